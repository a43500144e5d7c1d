// How long loading takes: SQLite as a module, and modules of many empty functions. In this process
// (`sqlite_*`, `empty_fn_us`: the core itself, by parts) and in the enclave (group `enclave`),
// where pages come by EACCEPT and EACCEPTCOPY and slices leave the enclave in between.
#include <fmt/format.h>

#include <stdexcept>

#include "bench/hosted.hpp"
#include "bench/report.hpp"
#include "enclave/loader/loader.hpp"
#include "sgxdl/host.hpp"
#include "tool/front/bundle.hpp"

namespace sgxdl::bench {

namespace {

size_t rounds_of(const Options& options) {
    return options.rounds ? options.rounds : options.smoke ? 1 : 11;
}

void sqlite_hosted(const Options& options, Report& report) {
    const std::vector<uint8_t> bundle = read_file(SGXDL_BENCH_SQLITE);
    Series total{"sqlite_total_ms", {}}, verify{"verify_ms", {}}, decode{"decode_ms", {}},
        link{"link_ms", {}}, commit{"commit_ms", {}};
    Progress progress{};
    for (size_t round = 0; round < rounds_of(options); round++) {
        Hosted hosted(bundle, front::read_public_key(SGXDL_BENCH_SQLITE_KEY));
        const LoadTimes times = hosted.load(bundle);
        total.samples.push_back(times.total);
        verify.samples.push_back(times.verify);
        decode.samples.push_back(times.decode);
        link.samples.push_back(times.link);
        commit.samples.push_back(times.commit);
        progress = times.progress;
    }
    for (const Series* series : {&total, &verify, &decode, &link, &commit})
        report.add(*series);
    report.note("sqlite_functions", progress.functions);
    report.note("sqlite_relocations", progress.relocations);
    report.note("sqlite_text_bytes", progress.text_bytes);
    report.note("sqlite_bundle_bytes", bundle.size());
}

void empty_hosted(const Options& options, Report& report, const std::string& path,
                  const std::string& key) {
    const std::vector<uint8_t> bundle = read_file(path);
    Series each{key, {}};
    for (size_t round = 0; round < rounds_of(options); round++) {
        Hosted hosted(bundle, front::read_public_key(SGXDL_BENCH_KEY));
        const LoadTimes times = hosted.load(bundle);
        each.samples.push_back(times.total * 1000 / times.progress.functions);
    }
    report.add(each);
}

// An enclave of its own for each round: a module that is loaded again would need unloading first.
void in_enclave(const Options& options, Report& report) {
    const std::vector<uint8_t> sqlite = read_file(SGXDL_BENCH_SQLITE);
    const std::vector<uint8_t> empty = read_file(SGXDL_BENCH_EMPTY_10K);
    Series total{"sqlite_total_ms", {}}, transfer{"transfer_ms", {}}, decode{"decode_ms", {}},
        build{"link_and_commit_ms", {}}, each{"empty_fn_us", {}};
    const auto load = [](host::Enclave& enclave, std::span<const uint8_t> bundle) {
        host::OperationReport loaded = enclave.load_bundle(bundle);
        if (!loaded) throw std::runtime_error("loading: " + loaded.message());
        return loaded;
    };
    const auto stage = [](const host::OperationReport& loaded, Stage which) {
        return loaded.stage_ms[static_cast<size_t>(which)];
    };
    for (size_t round = 0; round < rounds_of(options); round++) {
        host::Enclave enclave(SGXDL_BENCH_SQLITE_IMAGE);
        if (round == 0) report.note("platform", enclave.platform(), "enclave");
        const host::OperationReport loaded = load(enclave, sqlite);
        total.samples.push_back(loaded.total_ms);
        transfer.samples.push_back(loaded.transfer_ms + stage(loaded, Stage::receiving));
        decode.samples.push_back(stage(loaded, Stage::verified));
        build.samples.push_back(stage(loaded, Stage::decoded) + stage(loaded, Stage::planned) +
                                stage(loaded, Stage::building) + stage(loaded, Stage::current));
        host::Enclave other(SGXDL_BENCH_IMAGE);
        const host::OperationReport functions = load(other, empty);
        each.samples.push_back(functions.total_ms * 1000 / functions.progress.functions);
    }
    for (const Series* series : {&total, &transfer, &decode, &build, &each})
        report.add(*series, "enclave");
}

}  // namespace

}  // namespace sgxdl::bench

int main(int argc, char** argv) {
    using namespace sgxdl::bench;
    return run(argc, argv, "load", "How long loading takes.",
               [](const Options& options, Report& report) {
                   report.note("platform", "hosted");
                   sqlite_hosted(options, report);
                   empty_hosted(options, report, SGXDL_BENCH_EMPTY_10K, "empty_fn_us");
                   empty_hosted(options, report, SGXDL_BENCH_EMPTY_100K, "empty_fn_100k_us");
                   in_enclave(options, report);
               });
}
