// The loader's state between operations, and what operations share.
#pragma once

#include "enclave/loader/generations.hpp"
#include "enclave/loader/loader.hpp"
#include "enclave/loader/model.hpp"

namespace sgxdl {

// The lowest security version the loader still accepts for a module name; outlives the module.
struct Floor {
    char name[SGXDL_BUNDLE_NAME_SIZE];
    uint64_t version;
};

struct Core {
    explicit Core(Platform& p) : platform(p), arena(p), generations(p, arena) {}
    ~Core();

    Module* find_module(std::string_view name);
    uint64_t floor_of(std::string_view name) const;
    // Room for a floor of `name` is made by reserve_floor(); raise_floor() then cannot fail.
    bool reserve_floor() { return floors.reserve(floors.size() + 1); }
    void raise_floor(const sgxdl_bundle_header& header);
    // Import by name; none when it is not on the allow-list.
    uint32_t find_import(std::string_view name) const;

    // Calls use(copy) for every linked copy of the unit that is present.
    template <class Use>
    void for_each_copy(const Module& module, uint32_t unit, Use&& use);
    // Sets a stub's slot in every live generation (and the pending one) to that generation's copy.
    void fill_stub(const Module& module, uint32_t symbol);

    // Frees a linked copy for good: pages, record, reference.
    void free_instance(Instance* instance);
    // Frees a module that has no linked copies any more.
    void free_module(Module* module);

    Platform& platform;
    LoaderConfig config;
    Arena arena;
    Generations generations;
    Vec<Module*> modules;
    Vec<Instance*> retired;
    Vec<Floor> floors;
    uint64_t instances = 0;
};

// Where a module symbol is in a definition that has it: fast for the present one, a walk otherwise.
struct SymbolPlace {
    const Piece* piece = nullptr;
    uint64_t offset = 0;
};
SymbolPlace place_of(const Definition& definition, uint32_t symbol);

const char* unit_name(const Module& module, uint32_t unit);

}  // namespace sgxdl
