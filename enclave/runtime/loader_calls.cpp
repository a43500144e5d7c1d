// Trusted side of enclave/interface/loader_calls.hpp, and the enclave's one loader.

#include "enclave/interface/loader_calls.hpp"

#include <cstring>
#include <new>

#include "enclave/loader/loader.hpp"
#include "enclave/runtime/application.hpp"
#include "enclave/runtime/enclave_platform.hpp"
#include "enclave/runtime/image.hpp"
#include "enclave/runtime/runtime.hpp"
#include "sgxdl/enclave.hpp"

namespace sgxdl {

namespace {

Platform platform;
alignas(Loader) unsigned char loader_memory[sizeof(Loader)];  // lives as long as the enclave

Loader& loader() {
    return *std::launder(reinterpret_cast<Loader*>(loader_memory));
}

// A name that the host gave, as a C string.
struct Name {
    char text[max_module_name] = {};
    bool good = false;
    explicit Name(std::span<const char> from) {
        if (from.empty() || from.size() > sizeof(text) || from.back() != '\0') return;
        memcpy(text, from.data(), from.size());
        good = strlen(text) + 1 == from.size() && text[0] != '\0';
    }
};

Error bad_name() {
    return make_error(Code::no_such_module, "not a module's name");
}

Result<void> begin_bundle(std::span<const uint8_t> bytes, std::span<const char> names) {
    sgxdl_bundle_header header;
    if (bytes.size() != sizeof(header)) {
        return make_error(Code::truncated, "header has %u bytes", uint64_t{bytes.size()});
    }
    memcpy(&header, bytes.data(), sizeof(header));
    return loader().begin_bundle(header, names);
}

Result<void> feed_bundle(std::span<const uint8_t> bytes) {
    return loader().feed(bytes);
}

Result<void> begin_extend(std::span<const char> module, std::span<const char> names) {
    const Name name(module);
    if (!name.good) return bad_name();
    return loader().begin_extend(name.text, names);
}

Result<void> begin_rollback(std::span<const char> module) {
    const Name name(module);
    if (!name.good) return bad_name();
    return loader().begin_rollback(name.text);
}

Result<void> begin_unload(std::span<const char> module, std::span<const char> names, bool force) {
    const Name name(module);
    if (!name.good) return bad_name();
    return loader().begin_unload(name.text, names, force);
}

Result<WireProgress> step() {
    Result<Progress> progress = loader().step();
    if (!progress) return progress.error();
    return WireProgress{.stage = static_cast<uint32_t>(progress->stage),
                        .done = progress->done,
                        .functions = progress->functions,
                        .changed_functions = progress->changed_functions,
                        .closure_functions = progress->closure_functions,
                        .relocations = progress->relocations,
                        .slices = progress->slices,
                        .reserved = 0,
                        .text_bytes = progress->text_bytes,
                        .data_bytes = progress->data_bytes,
                        .generation = progress->generation};
}

void abandon() {
    loader().abandon();
}

bool reclaim() {
    return loader().reclaim();
}

WireLoaderInfo get_info() {
    const LoaderInfo info = loader().info();
    return {.generation = info.generation,
            .oldest_pinned = info.oldest_pinned,
            .generations_live = info.generations_live,
            .modules = info.modules,
            .stubs = info.stubs,
            .w_xor_x = info.w_xor_x,
            .arena_pages_code = info.arena_pages_code,
            .arena_pages_read_only = info.arena_pages_read_only,
            .arena_pages_data = info.arena_pages_data,
            .units_live = info.units_live};
}

Result<WireModuleInfo> get_module_info(uint32_t index) {
    Result<ModuleInfo> info = loader().module_info(index);
    if (!info) return info.error();
    WireModuleInfo wire = {};
    static_assert(sizeof(wire.name) == sizeof(info->name) &&
                  sizeof(wire.version) == sizeof(info->version));
    memcpy(wire.name, info->name, sizeof(wire.name));
    memcpy(wire.version, info->version, sizeof(wire.version));
    wire.security_version = info->security_version;
    wire.floor = info->floor;
    wire.functions_defined = info->functions_defined;
    wire.functions_loaded = info->functions_loaded;
    wire.patches = info->patches;
    wire.unloading = info->unloading;
    wire.retained_bytes = info->retained_bytes;
    memcpy(wire.digest, info->digest, sizeof(wire.digest));
    return wire;
}

Result<uint64_t> find_symbol(std::span<const char> module, std::span<const char> symbol) {
    const Name name(module);
    if (!name.good) return bad_name();
    if (symbol.empty() || symbol.back() != '\0') {
        return make_error(Code::no_such_symbol, "not a symbol's name");
    }
    void* const address = loader().symbol(name.text, symbol.data());
    if (address == nullptr) {
        return make_error(Code::no_such_symbol, "%s in module %s", symbol.data(), name.text);
    }
    return reinterpret_cast<uint64_t>(address) - enclave_base();
}

constexpr EcallRow rows[] = {
    bind<BeginBundle, begin_bundle>(), bind<FeedBundle, feed_bundle>(),
    bind<BeginExtend, begin_extend>(), bind<BeginRollback, begin_rollback>(),
    bind<BeginUnload, begin_unload>(), bind<StepOperation, step>(),
    bind<AbandonOperation, abandon>(), bind<ReclaimSome, reclaim>(),
    bind<GetLoaderInfo, get_info>(),   bind<GetModuleInfo, get_module_info>(),
    bind<FindSymbol, find_symbol>(),
};

}  // namespace

std::span<const EcallRow> loader_rows() {
    return rows;
}

Result<void> start_loader() {
    new (loader_memory) Loader(platform);
    LoaderConfig config = {};
    const sgxdl_image_info& info = image_info();
    config.trust.product = info.product;
    memcpy(config.trust.vendor_key, info.vendor_key, sizeof(config.trust.vendor_key));
    config.imports = application_imports();
    // Every live generation takes 8 bytes of address range per stub: at most 1/128 of the arena.
    if (info.arena_size / 1024 < config.stub_capacity) {
        config.stub_capacity = static_cast<uint32_t>(info.arena_size / 1024);
    }
    return loader().init(config);
}

Result<void> pin_thread() {
    return loader().pin();
}
void unpin_thread() {
    loader().unpin();
}

}  // namespace sgxdl

extern "C" void* sgxdl_sym(const char* module, const char* name) {
    return sgxdl::loader().symbol(module, name);
}
