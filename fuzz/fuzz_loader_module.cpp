// The loader core's decoder, planner and linker on payloads of modules. What loads is unloaded
// again, by force; loaded code is never run.
#include <cstring>

#include "fuzz/loader_fuzz.hpp"

using namespace sgxdl;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < fuzz::plan_size) return 0;
    const fuzz::Plan plan = fuzz::read_plan(data);
    const std::span<const uint8_t> payload{data + fuzz::plan_size, size - fuzz::plan_size};
    const sgxdl_bundle_header header = fuzz::signed_header(SGXDL_BUNDLE_MODULE, "fuzz", payload);
    fuzz::Subject subject;
    Loader& loader = subject.loader();
    auto load = [&] {
        return loader.begin_bundle(header,
                                   plan.by_name ? fuzz::two_names() : std::span<const char>());
    };
    if (!subject.run(load, payload, plan)) return 0;
    fuzz::require(loader.info().modules == 1, "loaded, but there is no module");
    loader.symbol("fuzz", "one");
    subject.settle();
    fuzz::require(subject.run([&] { return loader.begin_unload("fuzz", {}, true); }, {}, {}),
                  "what was loaded cannot be unloaded by force");
    subject.settle();
    const LoaderInfo info = loader.info();
    fuzz::require(info.modules == 0 && info.units_live == 0, "units are left after unloading");
    return 0;
}
