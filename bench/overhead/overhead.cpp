// What being loaded costs code that runs: SQLite's speedtest1 as a module against the same objects
// linked statically into the same enclave.
//
// Where functions lie moves SQLite by several per cent, so both sides come in several random orders
// of their functions, each function at the same place within its page on both sides, and pairs of
// runs (one of each side, of one order) are interleaved. Time is the processor time of the thread
// that is in the enclave. First the proof that both run the same code.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <random>
#include <stdexcept>

#include "bench/overhead/peek.hpp"
#include "bench/overhead/text.hpp"
#include "bench/report.hpp"
#include "sgxdl/host.hpp"

namespace sgxdl::bench {

namespace {

constexpr char module_name[] = "speedtest";

double cpu_ms() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

// One layout: the same order of functions, loaded and linked.
struct Layout {
    int seed;
    std::unique_ptr<host::Enclave> loaded, linked;

    explicit Layout(int number) : seed(number) {
        const host::EnclaveOptions quiet{.on_log = {}, .on_output = {}, .housekeeping = false};
        loaded = std::make_unique<host::Enclave>(SGXDL_OVERHEAD_IMAGE, quiet);
        const host::OperationReport report = loaded->load_module(bundle());
        if (!report) throw std::runtime_error(report.message());
        linked = std::make_unique<host::Enclave>(
            fmt::format("{}/overhead_static_{}.signed", SGXDL_OVERHEAD_FOLDER, seed), quiet);
    }
    std::string bundle() const {
        return fmt::format("{}/speedtest-{}.sgxm", SGXDL_OVERHEAD_FOLDER, seed);
    }
    std::string linked_elf() const {
        return fmt::format("{}/overhead_static_{}.elf", SGXDL_OVERHEAD_FOLDER, seed);
    }
};

std::string run(host::Enclave& enclave, const std::string& arguments) {
    std::vector<char> buffer(sqlite::max_text);
    host::OutTo<char> text{buffer};
    const auto reply = enclave.call<sqlite::Speedtest>(std::string_view(module_name),
                                                       std::string_view(arguments), text);
    if (!reply) throw std::runtime_error("speedtest1: " + reply.message());
    std::string out(buffer.data(), reply.value.size);
    if (reply.value.result != 0) throw std::runtime_error("speedtest1: " + out);
    return out;
}

double timed(host::Enclave& enclave, const std::string& arguments) {
    const double begin = cpu_ms();
    run(enclave, arguments);
    return cpu_ms() - begin;
}

std::string hash_of(const std::string& output) {
    const size_t at = output.find("Verification Hash: ");
    if (at == std::string::npos) throw std::runtime_error("speedtest1 printed no hash: " + output);
    return output.substr(at, output.find('\n', at) - at);
}

TextComparison compare(const Layout& layout) {
    const auto read = [&](int64_t offset, uint64_t size) {
        constexpr uint64_t part = 65536;
        std::vector<uint8_t> out((size + 7) / 8 * 8);
        for (uint64_t at = 0; at < size; at += part) {
            host::OutTo<uint8_t> to{{out.data() + at, std::min(part, size - at)}};
            const auto reply = layout.loaded->call<PeekCode>(std::string_view(module_name),
                                                             std::string_view("speedtest_main"),
                                                             offset + static_cast<int64_t>(at), to);
            if (!reply) throw std::runtime_error("reading loaded code: " + reply.message());
        }
        return out;
    };
    return compare_text(layout.bundle(), "speedtest_main", read, layout.linked_elf());
}

double median(std::vector<double> values) {
    return summarise(std::move(values)).median;
}

using Ratios = std::vector<std::vector<double>>;  // by layout

double median(const Ratios& ratios) {
    std::vector<double> all;
    for (const std::vector<double>& layout : ratios)
        all.insert(all.end(), layout.begin(), layout.end());
    return median(std::move(all));
}

// 95 % confidence interval of the median by resampling: layouts, and pairs within each. Pairs of
// one layout are not independent of each other, so that pairs alone would give too narrow a one.
std::pair<double, double> interval(const Ratios& ratios) {
    std::mt19937_64 random(1);
    const auto pick = [&](const auto& from) -> const auto& {
        return from[std::uniform_int_distribution<size_t>(0, from.size() - 1)(random)];
    };
    std::vector<double> medians;
    for (int i = 0; i < 4000; ++i) {
        Ratios sample(ratios.size());
        for (std::vector<double>& to : sample) {
            const std::vector<double>& layout = pick(ratios);
            for (size_t k = 0; k < layout.size(); ++k)
                to.push_back(pick(layout));
        }
        medians.push_back(median(sample));
    }
    std::ranges::sort(medians);
    return {medians[medians.size() * 25 / 1000], medians[medians.size() * 975 / 1000]};
}

void measure(const Options& options, Report& report) {
    const int layout_count = options.smoke ? 1 : SGXDL_OVERHEAD_LAYOUTS;
    const size_t rounds = options.rounds != 0 ? options.rounds : options.smoke ? 2 : 12;
    const std::string arguments = fmt::format("--memdb --size {}", options.smoke ? 3 : 10);
    std::vector<Layout> layouts;
    for (int seed = 1; seed <= layout_count; ++seed)
        layouts.emplace_back(seed);
    report.note("platform", layouts.front().loaded->platform());
    report.note("layouts", layout_count);

    TextComparison all;
    bool identical = true;
    for (const Layout& layout : layouts) {
        const TextComparison one = compare(layout);
        identical = identical && one.identical();
        if (!one.identical()) {
            fmt::print(stderr, "bench-overhead: layout {}: {} functions differ, {} missing: {}\n",
                       layout.seed, one.different, one.missing, one.first_difference);
        }
        all.functions += one.functions;
        all.bytes += one.bytes;
        all.masked += one.masked;
        all.same_place += one.same_place;
        // Warms both up: the heap has its size then.
        const std::string verify = arguments + " --verify";
        if (hash_of(run(*layout.loaded, verify)) != hash_of(run(*layout.linked, verify))) {
            throw std::runtime_error("loaded and static speedtest1 computed different hashes");
        }
    }
    fmt::print(
        "text {}: {} functions, {} bytes outside relocations; {} at the same place in a page\n",
        identical ? "identical" : "NOT IDENTICAL", all.functions, all.bytes - all.masked,
        all.same_place);
    report.note("text_identical", identical);
    report.note("text_functions_compared", all.functions);
    report.note("text_functions_at_same_place", all.same_place);
    report.note("text_bytes_compared", all.bytes - all.masked);

    Ratios ratios(layouts.size());
    Series ratio{"speedtest1_ratio", {}}, loaded{"loaded_ms", {}}, linked{"static_ms", {}};
    for (size_t round = 0; round < rounds; ++round) {
        for (size_t i = 0; i < layouts.size(); ++i) {
            Layout& layout = layouts[i];
            // Which side goes first alternates.
            double first = 0, second = 0;
            if ((round + i) % 2 == 0) {
                first = timed(*layout.loaded, arguments);
                second = timed(*layout.linked, arguments);
            } else {
                second = timed(*layout.linked, arguments);
                first = timed(*layout.loaded, arguments);
            }
            loaded.samples.push_back(first);
            linked.samples.push_back(second);
            ratio.samples.push_back(first / second);
            ratios[i].push_back(first / second);
        }
    }
    const auto [low, high] = interval(ratios);
    std::vector<double> each;
    for (const std::vector<double>& layout : ratios)
        each.push_back(median(layout));
    fmt::print("ratio by layout: {:.4f}\n", fmt::join(each, " "));
    fmt::print("ratio: 95 % confidence interval of the median {:.4f} to {:.4f}, {} pairs\n", low,
               high, ratio.samples.size());
    report.add(loaded);
    report.add(linked);
    report.add(ratio);
    report.note("pairs", ratio.samples.size());
    report.note("speedtest1_ratio_by_layout", each);
    report.note("speedtest1_ratio_median", median(ratios));
    report.note("ci_low", low);
    report.note("ci_high", high);
}

}  // namespace

}  // namespace sgxdl::bench

int main(int argc, char** argv) {
    using namespace sgxdl::bench;
    return run(argc, argv, "overhead", "Loaded code against the same code linked statically.",
               measure);
}
