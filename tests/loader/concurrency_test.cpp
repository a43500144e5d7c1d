// Everything at once: calls under pins while other threads patch, roll back, load, unload, reclaim
// and ask. Meant for ThreadSanitizer (preset tsan) as much as for its own assertions. Bounded.
#include <atomic>
#include <chrono>
#include <thread>

#include "tests/loader/fixture.hpp"

namespace sgxdl::test {
namespace {

using Clock = std::chrono::steady_clock;

// `first` and `second` always change together; a call that sees both versions answers neither
// 1001 * v.
std::string pair(int version) {
    const std::string v = std::to_string(version);
    return "typedef int fn(int);\n"
           "__attribute__((noinline)) int first(int x) { return x + " +
           v +
           "; }\n"
           "__attribute__((noinline)) int second(int x) { return x + " +
           v +
           "; }\n"
           "fn* volatile indirect = second; static int calls;\n"
           "int both(int x) { int a = first(x); for (volatile int i = 0; i < 30; i++); "
           "__atomic_add_fetch(&calls, 1, 0); return a * 1000 + indirect(x); }\n"
           "int spare(int x) { return x; }\n";
}

// What the host's worker does: an operation that is told `busy` goes on a little later.
class Worker {
 public:
    explicit Worker(Loader& loader) : loader_(loader) {}
    // The error of an operation that was refused or failed; none otherwise.
    Error bundle(const std::vector<uint8_t>& bundle, const std::vector<char>& names = {}) {
        sgxdl_bundle_header header;
        memcpy(&header, bundle.data(), sizeof header);
        if (auto begun = patient([&] { return loader_.begin_bundle(header, names); }); !begun)
            return begun.error();
        for (size_t at = sizeof header; at < bundle.size(); at += 1024) {
            const std::span<const uint8_t> bytes{bundle.data() + at,
                                                 std::min<size_t>(1024, bundle.size() - at)};
            if (auto fed = patient([&] { return loader_.feed(bytes); }); !fed) return fed.error();
        }
        return finish();
    }
    Error rollback(const char* module) {
        auto begun = patient([&] { return loader_.begin_rollback(module); });
        return begun ? finish() : begun.error();
    }
    Error unload(const char* module, std::span<const char> names = {}) {
        auto begun = patient([&] { return loader_.begin_unload(module, names, true); });
        return begun ? finish() : begun.error();
    }
    Error extend(const char* module, std::span<const char> names) {
        auto begun = patient([&] { return loader_.begin_extend(module, names); });
        return begun ? finish() : begun.error();
    }

 private:
    template <class F>
    static auto patient(F&& attempt) -> decltype(attempt()) {
        for (;;) {
            auto result = attempt();
            if (result || result.error().code != Code::busy) return result;
            std::this_thread::yield();
        }
    }
    Error finish() {
        for (;;) {
            auto progress = patient([&] { return loader_.step(); });
            if (!progress) return progress.error();
            if (progress->done) return {};
            std::this_thread::yield();
        }
    }
    Loader& loader_;
};

// The loader's lock is not fair; who asks all the time keeps others out.
void breathe() {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
}

struct LoaderConcurrency : LoaderTest {
    // The log's sink is this thread's business only.
    LoaderConcurrency() { platform.log_sink = nullptr; }
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    template <class F>
    void repeat(F body) {
        threads.emplace_back([this, body]() mutable {
            while (!stop)
                body();
        });
    }
    // For a second and until enough has happened; the machine may be busy, so up to a minute.
    template <class F>
    void run_until(F enough) {
        const auto begin = Clock::now();
        for (auto now = begin; now - begin < std::chrono::seconds(1) ||
                               (!enough() && now - begin < std::chrono::seconds(60));
             now = Clock::now())
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        stop = true;
        for (std::thread& thread : threads)
            thread.join();
        threads.clear();
        EXPECT_TRUE(enough());
    }
};

}  // namespace

TEST_F(LoaderConcurrency, CallsGoOnWhileEverythingChanges) {
    const auto base = module("m", pair(1));
    const auto change =
        patch("m", base, pair(2), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"first", "second"});
    const auto other = module("other", pair(7));
    ASSERT_TRUE(apply(base).ok());
    auto* both = symbol<int(int)>("m", "both");
    auto* second = symbol<int(int)>("m", "second");
    std::atomic<uint64_t> calls{0}, wrong{0}, bad_calls{0}, bad_loads{0}, patches{0}, loads{0},
        reclaims{0}, questions{0};

    for (int t = 0; t < 3; t++) {
        repeat([&] {
            Pin pin(loader());
            const int value = both(0);
            Pin nested(loader());
            // The whole of one pin is one version.
            if ((value != 1001 && value != 2002) || second(0) != value / 1000) bad_calls++;
            calls++;
        });
    }
    repeat([&] {
        Worker worker(loader());
        if (worker.bundle(change).code != Code::ok || worker.rollback("m").code != Code::ok)
            wrong++;
        patches++;
    });
    repeat([&] {
        Worker worker(loader());
        const char name[] = "both";
        const char spare[] = "spare";
        if (worker.bundle(other, {name, name + sizeof name}).code != Code::ok ||
            worker.extend("other", spare).code != Code::ok)
            wrong++;
        {
            Pin pin(loader());
            auto* theirs = symbol<int(int)>("other", "both");
            if (!theirs || theirs(0) != 7007) bad_loads++;
        }
        if (worker.unload("other", spare).code != Code::ok ||
            worker.unload("other").code != Code::ok)
            wrong++;
        loads++;
    });
    repeat([&] {
        loader().reclaim();
        reclaims++;
        breathe();
    });
    repeat([&] {
        if (symbol<int(int)>("m", "both") != both) wrong++;
        if (!loader().is_loaded_code(reinterpret_cast<uintptr_t>(both))) wrong++;
        const LoaderInfo info = loader().info();
        if (info.generations_live == 0 || info.modules == 0) wrong++;
        if (auto module = loader().module_info(0); !module && module.error().code != Code::busy)
            wrong++;
        questions++;
        breathe();
    });
    run_until([&] {
        return calls > 300 && patches > 10 && loads > 10 && reclaims > 30 && questions > 30;
    });
    EXPECT_EQ(wrong, 0u);
    EXPECT_EQ(bad_calls, 0u);
    EXPECT_EQ(bad_loads, 0u);
    reclaim_all();
    EXPECT_EQ(footprint().modules, 1u);
    EXPECT_EQ(footprint().generations, 1u);
    EXPECT_EQ(footprint().units, 6u) << "one copy of each unit of m";
}

TEST_F(LoaderConcurrency, LongCallsKeepTheirVersionWhileThreadsComeAndGo) {
    const auto base = module("m", pair(1));
    const auto change =
        patch("m", base, pair(2), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"first", "second"});
    ASSERT_TRUE(apply(base).ok());
    auto* both = symbol<int(int)>("m", "both");
    std::atomic<uint64_t> wrong{0}, rounds{0};
    for (int t = 0; t < 3; t++) {
        repeat([&] {
            std::thread([&] {
                Pin pin(loader());
                const int value = both(0);
                for (int i = 0; i < 20; i++) {
                    std::this_thread::sleep_for(std::chrono::microseconds(200));
                    if (both(0) != value) wrong++;
                }
            }).join();
        });
    }
    repeat([&] {
        Worker worker(loader());
        if (worker.bundle(change).code != Code::ok) wrong++;
        loader().reclaim();
        if (worker.rollback("m").code != Code::ok) wrong++;
        loader().reclaim();
        rounds++;
    });
    run_until([&] { return rounds > 10; });
    EXPECT_EQ(wrong, 0u);
    reclaim_all();
    EXPECT_EQ(footprint().generations, 1u);
}

TEST_F(LoaderConcurrency, AnyThreadMayAbandonOrTakeOverAnOperation) {
    const auto base = module("m", pair(1));
    const auto change =
        patch("m", base, pair(2), SGXDL_BUNDLE_ROLLBACK_ALLOWED, {"first", "second"});
    ASSERT_TRUE(apply(base).ok());
    auto* both = symbol<int(int)>("m", "both");
    std::atomic<uint64_t> wrong{0}, done{0}, abandoned{0};
    sgxdl_bundle_header header;
    memcpy(&header, change.data(), sizeof header);
    const std::span<const uint8_t> payload{change.data() + sizeof header,
                                           change.size() - sizeof header};
    // Three threads drive whatever operation there is, and sometimes drop it.
    for (int t = 0; t < 3; t++) {
        repeat([&, dice = 7919u * static_cast<unsigned>(t + 1)]() mutable {
            dice = dice * 1103515245 + 12345;
            switch (dice >> 28) {
                case 0:
                    if (loader().begin_bundle(header, {})) (void)loader().feed(payload);
                    break;
                case 1:
                    (void)loader().begin_rollback("m");
                    break;
                case 2:
                    loader().abandon();
                    abandoned++;
                    break;
                case 3:
                    loader().reclaim();
                    break;
                default:
                    if (auto progress = loader().step(); progress && progress->done) done++;
            }
        });
    }
    repeat([&] {
        Pin pin(loader());
        const int value = both(0);
        if (value != 1001 && value != 2002) wrong++;
    });
    run_until([&] { return done > 10 && abandoned > 10; });
    EXPECT_EQ(wrong, 0u);
    loader().abandon();
    reclaim_all();
    EXPECT_EQ(footprint().generations, 1u);
    EXPECT_EQ(footprint().units, 6u);
}

}  // namespace sgxdl::test
