// The cost of a call inside loaded code: direct, through a plain pointer, and through a canonical
// address (the stub), with one thread and with two; in the enclave and, as `hosted`, in this
// process. Nanoseconds per call, the loop around it included; the ways are interleaved round by
// round.
#include <fmt/format.h>

#include <array>
#include <atomic>
#include <stdexcept>
#include <thread>

#include "bench/enclave/interface.hpp"
#include "bench/hosted.hpp"
#include "bench/report.hpp"
#include "sgxdl/host.hpp"
#include "tool/front/bundle.hpp"

namespace sgxdl::bench {

namespace {

using Leaf = int(int);
// The same code as the module's leaf, where a plain indirect call goes.
__attribute__((noipa, aligned(64))) int own_leaf(int x) {
    return x + 1;
}

// Runs `count` calls and returns what they counted.
using Loop = std::function<int64_t(Way way, uint64_t count)>;

constexpr std::array<std::pair<Way, const char*>, 3> ways = {{
    {Way::direct, "direct_ns"},
    {Way::indirect, "indirect_ns"},
    {Way::canonical, "canonical_ns"},
}};

// Nanoseconds per call, each thread running `count` of them at the same time as the others.
double measure(const Loop& loop, Way way, size_t threads, uint64_t count) {
    std::atomic<size_t> ready = 0;
    std::vector<double> took(threads);
    std::atomic<bool> right = true;
    auto body = [&](size_t index) {
        ready++;
        while (ready < threads) {
        }
        const auto begin = Clock::now();
        if (loop(way, count) != static_cast<int64_t>(count)) right = false;
        took[index] = ms_since(begin) * 1e6 / static_cast<double>(count);
    };
    std::vector<std::thread> others;
    for (size_t i = 1; i < threads; i++)
        others.emplace_back(body, i);
    body(0);
    for (std::thread& thread : others)
        thread.join();
    if (!right) throw std::runtime_error("a call loop counted wrongly");
    double sum = 0;
    for (double one : took)
        sum += one;
    return sum / static_cast<double>(threads);
}

void measure_all(const Loop& loop, const Options& options, Report& report,
                 const std::string& group) {
    const size_t rounds = options.rounds ? options.rounds : options.smoke ? 2 : 21;
    const uint64_t count = options.smoke ? 100'000 : 20'000'000;
    for (size_t threads : {size_t{1}, size_t{2}}) {
        std::array<Series, ways.size()> series;
        for (size_t i = 0; i < ways.size(); i++)
            series[i].key = std::string(ways[i].second) + (threads == 2 ? "_2t" : "");
        for (size_t i = 0; i < ways.size(); i++)  // warm up
            measure(loop, ways[i].first, threads, count / 10);
        for (size_t round = 0; round < rounds; round++) {
            for (size_t i = 0; i < ways.size(); i++) {
                const size_t way = (i + round) % ways.size();
                series[way].samples.push_back(measure(loop, ways[way].first, threads, count));
            }
        }
        for (const Series& one : series)
            report.add(one, group);
    }
}

void in_enclave(std::span<const uint8_t> bundle, const Options& options, Report& report) {
    host::Enclave enclave(SGXDL_BENCH_IMAGE);
    report.note("platform", enclave.platform());
    const host::OperationReport loaded = enclave.load_bundle(bundle);
    if (!loaded) throw std::runtime_error("loading the module: " + loaded.message());
    measure_all(
        [&](Way way, uint64_t count) {
            auto reply = enclave.call<CallLoop>(way, count);
            if (!reply) throw std::runtime_error("the call loop: " + reply.message());
            return reply.value;
        },
        options, report, "");
}

void in_process(std::span<const uint8_t> bundle, const Options& options, Report& report) {
    Hosted hosted(bundle, front::read_public_key(SGXDL_BENCH_KEY));
    hosted.load(bundle);
    Loader& loader = hosted.loader();
    auto* direct = reinterpret_cast<int (*)(uint64_t)>(loader.symbol("bench", "bench_direct"));
    auto* pointer =
        reinterpret_cast<int (*)(Leaf*, uint64_t)>(loader.symbol("bench", "bench_pointer"));
    auto* address = reinterpret_cast<Leaf* (*)()>(loader.symbol("bench", "bench_leaf_address"));
    if (!direct || !pointer || !address) throw std::runtime_error("the module lacks a function");
    measure_all(
        [&](Way way, uint64_t count) -> int64_t {
            if (!loader.pin()) throw std::runtime_error("pin");
            int64_t counted = -1;
            switch (way) {
                case Way::direct:
                    counted = direct(count);
                    break;
                case Way::indirect:
                    counted = pointer(own_leaf, count);
                    break;
                case Way::canonical:
                    counted = pointer(address(), count);
                    break;
            }
            loader.unpin();
            return counted;
        },
        options, report, "hosted");
}

}  // namespace

}  // namespace sgxdl::bench

int main(int argc, char** argv) {
    using namespace sgxdl::bench;
    return run(argc, argv, "call", "The cost of a call inside loaded code.",
               [](const Options& options, Report& report) {
                   const std::vector<uint8_t> bundle = read_file(SGXDL_BENCH_BUNDLE);
                   in_enclave(bundle, options, report);
                   in_process(bundle, options, report);
               });
}
