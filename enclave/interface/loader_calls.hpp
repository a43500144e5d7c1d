// The calls by which the host has code loaded, patched and removed. Their contract is that of
// sgxdl::Loader (enclave/loader/loader.hpp); this is its shape on the wire. None runs pinned.
#pragma once

#include "enclave/interface/call.hpp"

namespace sgxdl {

inline constexpr size_t max_names_size = 1u << 20;  // bytes of a list of function names
inline constexpr size_t max_chunk_size = 1u << 15;  // bytes of payload per call: a slice, too
inline constexpr size_t max_module_name = 64;       // bytes, with the NUL

// The structures of loader.hpp, without pointers.
struct WireProgress {
    uint32_t stage;  // sgxdl::Stage
    uint32_t done;
    uint32_t functions, changed_functions, closure_functions, relocations, slices;
    uint32_t reserved;
    uint64_t text_bytes, data_bytes, generation;
};

struct WireModuleInfo {
    char name[64], version[64];
    uint64_t security_version, floor;
    uint32_t functions_defined, functions_loaded, patches, unloading;
    uint64_t retained_bytes;
    uint8_t digest[32];
};

struct WireLoaderInfo {
    uint64_t generation, oldest_pinned;
    uint32_t generations_live, modules, stubs, w_xor_x;
    uint64_t arena_pages_code, arena_pages_read_only, arena_pages_data;
    uint64_t units_live;
};

// --- operations: begin, then step until done or error ------------------------------------------
using BeginBundle =
    Ecall<16, void(In<uint8_t, 512> header, In<char, max_names_size> names), Pin::no>;
using FeedBundle = Ecall<17, void(In<uint8_t, max_chunk_size> bytes), Pin::no>;
using BeginExtend =
    Ecall<18, void(In<char, max_module_name> module, In<char, max_names_size> names), Pin::no>;
using BeginRollback = Ecall<19, void(In<char, max_module_name> module), Pin::no>;
using BeginUnload =
    Ecall<20, void(In<char, max_module_name> module, In<char, max_names_size> names, bool force),
          Pin::no>;
using StepOperation = Ecall<21, WireProgress(), Pin::no>;
using AbandonOperation = Ecall<22, void(), Pin::no>;
// Frees a bounded amount of what nobody can reach; true: call again.
using ReclaimSome = Ecall<23, bool(), Pin::no>;

// --- queries -----------------------------------------------------------------------------------
using GetLoaderInfo = Ecall<24, WireLoaderInfo(), Pin::no>;
using GetModuleInfo = Ecall<25, WireModuleInfo(uint32_t index), Pin::no>;
// Byte offset in ELRANGE of a symbol's canonical address, for diagnostics.
using FindSymbol =
    Ecall<26, uint64_t(In<char, max_module_name> module, In<char, 4096> name), Pin::no>;

}  // namespace sgxdl
