#include "examples/sqlite/server/gap.hpp"

#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>

namespace sgxdl::sqlite {

namespace {

using Clock = std::chrono::steady_clock;

double to_ms(Clock::duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    const size_t n = values.size();
    return n == 0 ? 0 : (values[(n - 1) / 2] + values[n / 2]) / 2;
}

// What one client saw; cut into windows afterwards.
struct Probe {
    Clock::time_point due, sent, answered;
};

struct Log {
    std::vector<Probe> probes;
    uint64_t bad = 0;
    std::string trouble;
};

void probe_loop(const GapOptions& options, Connection& connection, const CheckedQuery& probe,
                const std::atomic<bool>& stopping, Log& log) {
    prctl(PR_SET_TIMERSLACK, 1UL);  // the default of 50 us is half a probe interval
    std::vector<char> buffer(512);
    Clock::time_point due = Clock::now();
    while (!stopping) {
        const Clock::time_point sent = Clock::now();
        const std::string text = answer(connection, probe.query.sql, buffer);
        const Clock::time_point answered = Clock::now();
        log.probes.push_back({due, sent, answered});
        if (std::ranges::find(probe.right, text) == probe.right.end()) ++log.bad;
        // Probes that fell due while one was waiting are that one's wait, not new probes.
        due = std::max(due + options.interval, answered);
        std::this_thread::sleep_until(due);
    }
}

struct Window {
    Clock::time_point begin, end;
    bool with;
};

std::vector<Window> run_windows(const GapOptions& options, const std::function<bool()>& change) {
    std::vector<Window> windows;
    for (unsigned i = 0; i < 2 * options.windows; ++i) {
        const bool with = i % 2 == 1;
        const Clock::time_point begin = Clock::now();
        const Clock::time_point end = begin + options.window;
        if (with) {
            std::this_thread::sleep_for(options.window / 8);
            if (!change()) throw std::runtime_error("gap: the change failed");
            if (Clock::now() > end)
                throw std::runtime_error("gap: a window is too short for a patch");
        }
        std::this_thread::sleep_until(end);
        windows.push_back({begin, end, with});
    }
    return windows;
}

}  // namespace

GapResult measure_gap(const GapOptions& options, const Connect& connect, const CheckedQuery& probe,
                      const std::function<bool()>& change) {
    std::vector<Log> logs(options.clients);
    std::atomic<bool> stopping = false;
    std::vector<std::thread> threads;
    for (unsigned client = 0; client < options.clients; ++client) {
        logs[client].probes.reserve(1 << 18);
        threads.emplace_back([&, client] {
            try {
                const std::unique_ptr<Connection> connection = connect(client);
                probe_loop(options, *connection, probe, stopping, logs[client]);
            } catch (const std::exception& error) {
                logs[client].trouble = error.what();
            }
        });
    }
    std::vector<Window> windows;
    std::string trouble;
    try {
        std::this_thread::sleep_for(options.window);  // warm up
        windows = run_windows(options, change);
    } catch (const std::exception& error) {
        trouble = error.what();
    }
    stopping = true;
    for (std::thread& thread : threads)
        thread.join();
    for (const Log& log : logs) {
        if (!log.trouble.empty()) trouble = log.trouble;
    }
    if (!trouble.empty()) throw std::runtime_error(trouble);

    GapResult result{.windows = options.windows};
    std::vector<double> longest[2], intervals;
    for (const Window& window : windows) {
        Clock::duration wait{};
        for (const Log& log : logs) {
            // A probe belongs to every window that its wait overlaps.
            for (const Probe& p : log.probes) {
                if (p.answered < window.begin || p.due > window.end) continue;
                wait = std::max(wait, p.answered - p.due);
            }
        }
        longest[window.with ? 1 : 0].push_back(to_ms(wait));
    }
    for (const Log& log : logs) {
        result.probes += log.probes.size();
        result.bad_probes += log.bad;
        for (size_t i = 1; i < log.probes.size(); ++i) {
            intervals.push_back(to_ms(log.probes[i].sent - log.probes[i - 1].sent));
        }
    }
    result.without_ms = median(longest[0]);
    result.with_ms = median(longest[1]);
    result.probe_interval_ms = median(intervals);
    return result;
}

}  // namespace sgxdl::sqlite
