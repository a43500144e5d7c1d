// The loader: verifies signed bundles, links them into the running process or enclave, patches
// loaded code by making new generations, and gives memory back.
//
// docs/consistency-model.md says what callers may rely on; docs/architecture.md how it is made.
//
// An operation (load, patch, rollback, unload) is in flight from begin_*() until step() returns
// done or an error, or abandon() is called. One at a time; while one is in flight begin_*()
// answers Code::busy. Between two step() calls the caller may leave the enclave. Up to the moment
// when the new state becomes current every failure abandons the operation and leaves nothing
// behind.
//
// Threads: begin_*, feed, step, abandon, reclaim and the queries may be called from any thread;
// each holds the loader's lock for the length of the call and answers Code::busy when another
// thread has it (except symbol(), which waits). pin and unpin are wait-free.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "enclave/loader/result.hpp"
#include "sgxdl/bundle.h"

namespace sgxdl {

class Platform;

// An entry of the allow-list: a name of the measured image that modules may import.
struct Import {
    const char* name;
    uintptr_t address;
    bool is_function;
};

// What the measured image says about who may bring code.
struct TrustAnchor {
    const char* product;     // must equal the bundle's
    uint8_t vendor_key[32];  // Ed25519 public key
};

struct LoaderConfig {
    TrustAnchor trust;
    std::span<const Import> imports;     // sorted by name (strcmp order)
    size_t max_bundle_size = 64u << 20;  // bytes, payload
    uint32_t stub_capacity = 131'072;
};

// Where an operation stands. One line in the log for each change.
enum class Stage : uint32_t {
    idle,
    receiving,
    verified,
    decoded,
    planned,
    building,
    current,
    retired,
    done,
    abandoned,
};
const char* stage_text(Stage stage);

// What an operation did; counts and bytes are complete when stage is done.
struct Progress {
    Stage stage = Stage::idle;
    uint32_t done = 0;               // 1 when the operation is over
    uint32_t functions = 0;          // units of code linked (a function and its cold part are one)
    uint32_t changed_functions = 0;  // patch/rollback: whose definition changed or is new
    uint32_t closure_functions = 0;  // patch/rollback: functions linked in all (changed included)
    uint32_t relocations = 0;        // applied
    uint32_t slices = 0;             // step() calls so far
    uint64_t text_bytes = 0;         // bytes of code linked
    uint64_t data_bytes = 0;         // bytes of read-only and writable data placed
    uint64_t generation = 0;         // current generation after it
};

// Everything `list` shows about one module. A copy: the module may be gone when it is read.
struct ModuleInfo {
    char name[SGXDL_BUNDLE_NAME_SIZE];
    char version[SGXDL_BUNDLE_NAME_SIZE];
    uint64_t security_version;
    uint64_t floor;
    uint32_t functions_defined, functions_loaded;
    uint32_t patches;         // patches applied at present
    bool unloading;           // unloaded; calls that began before may still be in it
    uint64_t retained_bytes;  // pristine bundles kept for re-linking and rollback
    uint8_t digest[32];       // bundle digest that names the present state
};

struct LoaderInfo {
    uint64_t generation;        // current
    uint64_t oldest_pinned;     // 0: none
    uint32_t generations_live;  // current and retired ones that are still pinned
    uint32_t modules;
    uint32_t stubs;
    uint64_t arena_pages_code, arena_pages_read_only,
        arena_pages_data;  // committed; tables are data
    uint64_t units_live;   // linked copies of units present
    uint32_t w_xor_x;
};

class Loader {
 public:
    struct State;
    // One loader per platform; `platform` and what `config` points to outlive it.
    explicit Loader(Platform& platform) : platform_(platform) {}
    ~Loader();
    Loader(const Loader&) = delete;

    Result<void> init(const LoaderConfig& config);

    // --- operations -------------------------------------------------------------------------
    // Begins a load or a patch (the header says which). `header` is a trusted copy: the caller
    // copied it in once. Checks sizes, kind and signature; allocates for the payload. `names`:
    // functions to load with all they reach, NUL-terminated one after another (for a module only);
    // empty: the whole module. A module that is loaded already is extended when the bundle is the
    // same: see begin_extend.
    Result<void> begin_bundle(const sgxdl_bundle_header& header, std::span<const char> names);
    // The payload's next bytes (trusted copies). More than payload_size is an error.
    Result<void> feed(std::span<const uint8_t> bytes);
    // Loads more functions of a module whose bundle is here already.
    Result<void> begin_extend(const char* module, std::span<const char> names);
    // Undoes the newest patch of the module. Refused unless the patch allows it.
    Result<void> begin_rollback(const char* module);
    // Unloads functions (and what only they used), or with no names the whole module. Refused
    // while other loaded code refers to them or, unless `force`, if an address was handed out.
    Result<void> begin_unload(const char* module, std::span<const char> names, bool force);
    // Does one slice of work, a bounded amount.
    Result<Progress> step();
    // Drops the operation in flight, if there is one; nothing of it stays.
    void abandon();

    // Frees what no pin can reach any more, a bounded amount; true when there may be more to do
    // now.
    bool reclaim();

    // --- calls ------------------------------------------------------------------------------
    // Pins the calling thread to the current generation (an ecall's entry); nested pins count.
    Result<void> pin();
    void unpin();
    // The canonical address of a global function or the address of a global object of a loaded
    // module; nullptr when there is none. Equal for the life of the module.
    void* symbol(const char* module, const char* name);

    // --- queries ----------------------------------------------------------------------------
    LoaderInfo info();
    Result<ModuleInfo> module_info(uint32_t index);
    // True when the address lies in code that this loader placed and is live.
    bool is_loaded_code(uintptr_t address);

 private:
    Platform& platform_;
    State* state_ = nullptr;
};

}  // namespace sgxdl
