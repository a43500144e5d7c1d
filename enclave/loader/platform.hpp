// What the loader core needs from the place it runs in: the whole porting contract.
//
// A build of the core is for one platform. SGXDL_PLATFORM_HEADER names the header that defines
// sgxdl::Platform; the concept below is checked against it. Two exist: enclave/runtime/ (SGX2
// memory by EACCEPT/EACCEPTCOPY, or SGX1's static pages) and enclave/hosted/ (an ordinary process,
// mmap/mprotect).
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include "enclave/loader/result.hpp"

namespace sgxdl {

inline constexpr size_t page_size = 4096;

// What a committed page is for. Never writable and executable together, unless w_xor_x() is false.
enum class PageUse : uint8_t { data /* RW- */, code /* R-X */, read_only /* R-- */ };

struct AddressRange {
    uintptr_t begin = 0;
    size_t size = 0;  // bytes
};

// Every address is page aligned and inside the arena; every count is in pages.
// The core calls the memory functions from one thread at a time (it holds its operation).
template <class P>
concept LoaderPlatform = requires(P& p, uintptr_t address, size_t count, const void* source,
                                  PageUse use, void* bytes, uint32_t index, const void* table) {
    // The address range for everything the core places: fixed for life, at most 2 GiB, nothing
    // committed at first. Base-image functions that modules import should be within 2 GiB.
    { p.arena() } -> std::same_as<AddressRange>;
    // Makes `count` zeroed RW pages present at `address`. On error none of them is.
    { p.commit_data(address, count) } -> std::same_as<Result<void>>;
    // Makes `count` pages present at `address` whose content is that of `source` (page aligned,
    // readable) and whose use is `use`, code or read_only. They were never writable there, if
    // w_xor_x().
    // On error none of them is.
    { p.commit_copy(address, source, count, use) } -> std::same_as<Result<void>>;
    // Gives `count` committed pages back. Never fails for the caller: a page that the OS fails to
    // remove is set aside by the platform, and false says that the address range must not be
    // reused.
    { p.release(address, count) } -> std::same_as<bool>;
    // Asked after a commit that failed: false when the OS kept one of these pages for ever.
    { p.usable(address, count) } -> std::same_as<bool>;
    // Page-aligned scratch pages, RW, for building code in; nullptr when there is no memory.
    { p.staging_alloc(count) } -> std::same_as<void*>;
    {p.staging_free(bytes, count)};
    // Heap for the core's records, aligned to 16; nullptr when there is none. Static; any thread.
    { P::allocate(count) } -> std::same_as<void*>;
    {P::deallocate(bytes)};
    // A block like allocate()'s of which only what extend(block, size) covered, bytes [0, size),
    // may be used: large ones need not get all their pages in one slice.
    { P::reserve(count) } -> std::same_as<void*>;
    { P::extend(bytes, count) } -> std::same_as<bool>;
    // Pages that the heap has had to ask the system for so far: a slice pays for them.
    { P::heap_growth() } -> std::same_as<uint64_t>;
    // Index of the calling thread, below thread_capacity(); the same for the thread's whole life.
    { p.thread_index() } -> std::same_as<uint32_t>;
    { P::thread_capacity } -> std::convertible_to<uint32_t>;
    // Stubs: 16 bytes each, `jmp *table[index]` through the calling thread's table base (GS).
    { P::stub_size } -> std::convertible_to<size_t>;
    {P::emit_stub(bytes, index)};
    // Sets the calling thread's table base; used by pin and unpin. Before the first pin, and after
    // the last unpin, it is a table whose every slot holds the trap.
    {p.set_table(table)};
    // Address that every unset table slot holds: stops the thread with a message, never returns.
    { p.trap_address() } -> std::same_as<uintptr_t>;
    // True when code pages are never writable while present (false: SGX1's RWX region).
    { p.w_xor_x() } -> std::same_as<bool>;
    // One line of the transition log. `line` is NUL-terminated, without newline.
    {p.log(static_cast<const char*>(nullptr))};
};

// An invariant of our own is broken: stops the enclave for good. Never for bad input.
[[noreturn]] void platform_abort(const char* what, const char* file, int line);

}  // namespace sgxdl

#define SGXDL_ASSERT(condition)                                                    \
    do {                                                                           \
        if (!(condition)) ::sgxdl::platform_abort(#condition, __FILE__, __LINE__); \
    } while (0)
