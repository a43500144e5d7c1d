// The enclave's heap: malloc and its family over dynamic pages.
//
// Memory comes in units of 64 KiB. A unit is either cut into blocks of one size class (up to
// 16 KiB; powers of two and three steps between) or belongs to a run of units that is one large
// block. What a unit is stands in a table apart from it, so blocks have no headers: block i of a
// class of size s starts at i * s, which makes a power-of-two class aligned to its size.
// Each class has its own lock. A unit all of whose blocks are free goes back to the pool of
// committed units; trim() gives pool units back to the OS, out of the way of the calls that free.
//
// Errors of the caller (a pointer that is not a live block) end the enclave: they are bugs of
// trusted code.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sgxdl::heap {

inline constexpr size_t unit_size = 65536;

// Prepares the heap's window; false when there is no memory for its table.
[[nodiscard]] bool start(uintptr_t begin, size_t size);

void* allocate(size_t size);  // 16-byte aligned; nullptr when there is none
void* allocate_aligned(size_t alignment,
                       size_t size);  // alignment: power of two, at most unit_size
void* reallocate(void* block, size_t size);
void release(void* block);

// A block whose bytes can be used only as far as extend() has made them usable, so that a large
// one need not get all its pages at once. extend(): bytes [0, size); false when there is no memory.
void* reserve(size_t size);
[[nodiscard]] bool extend(void* block, size_t size);
size_t usable_size(const void* block);

// Gives at most `max_pages` pages of unused units back to the OS. Returns how many it gave. Without
// `everything` only units that were unused all the time since the interval began: memory that comes
// and goes stays.
size_t trim(size_t max_pages, bool everything);
void begin_interval();

struct Counters {
    uint64_t pages, live_bytes, live_blocks;
};
Counters counters();
uint64_t taken();  // pages that the OS gave since the start

}  // namespace sgxdl::heap
