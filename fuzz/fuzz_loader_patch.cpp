// The loader core on payloads of patches, against a module that is loaded (SGXDL_FUZZ_BASE, made by
// `sgxdl pack` at build time). A patch that is accepted is rolled back, and everything is unloaded.
#include <cstring>

#include "fuzz/loader_fuzz.hpp"
#include "fuzz/read_file.hpp"

using namespace sgxdl;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < fuzz::plan_size) return 0;
    static const std::vector<uint8_t> base = fuzz::read_file(SGXDL_FUZZ_BASE);
    static const sgxdl_bundle_header base_header =
        fuzz::signed_header(SGXDL_BUNDLE_MODULE, "fuzz", base);
    const fuzz::Plan plan = fuzz::read_plan(data);
    const std::span<const uint8_t> payload{data + fuzz::plan_size, size - fuzz::plan_size};
    fuzz::Subject subject;
    Loader& loader = subject.loader();
    auto load = [&] {
        return loader.begin_bundle(base_header,
                                   plan.by_name ? fuzz::two_names() : std::span<const char>());
    };
    fuzz::require(subject.run(load, base, {}), "the base module does not load");
    subject.settle();

    sgxdl_bundle_header header =
        fuzz::signed_header(SGXDL_BUNDLE_PATCH, "fuzz", payload, SGXDL_BUNDLE_ROLLBACK_ALLOWED);
    fuzz::digest(base_header, header.predecessor);
    fuzz::sign(header, payload);
    if (!subject.run([&] { return loader.begin_bundle(header, {}); }, payload, plan)) return 0;
    subject.settle();
    fuzz::require(subject.run([&] { return loader.begin_rollback("fuzz"); }, {}, {}),
                  "a patch that allows rollback cannot be rolled back");
    subject.settle();
    fuzz::require(subject.run([&] { return loader.begin_unload("fuzz", {}, true); }, {}, {}),
                  "the module cannot be unloaded after the rollback");
    subject.settle();
    fuzz::require(loader.info().units_live == 0, "units are left after unloading");
    return 0;
}
