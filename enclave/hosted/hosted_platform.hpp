// The loader's platform in an ordinary Linux process: for unit tests, sanitizers, fuzzing,
// benchmarks.
//
// The arena is reserved address space; pages are made present by mprotect. Code pages are filled
// while they are writable and become read-execute before anybody knows them. The table base is the
// GS base, which glibc does not use.
#pragma once

#include <atomic>
#include <cstdint>

#include "enclave/loader/platform.hpp"

namespace sgxdl {

class Platform {
 public:
    static constexpr uint32_t thread_capacity = 256;
    static constexpr size_t stub_size = 16;

    // Reserves the arena: `arena_size` bytes, page aligned, below 2 GiB if `low` (for R_X86_64_32).
    explicit Platform(size_t arena_size = 256u << 20, bool low = false);
    ~Platform();
    Platform(const Platform&) = delete;

    AddressRange arena() { return {begin_, size_}; }
    Result<void> commit_data(uintptr_t address, size_t count);
    Result<void> commit_copy(uintptr_t address, const void* source, size_t count, PageUse use);
    bool release(uintptr_t address, size_t count);
    bool usable(uintptr_t, size_t) { return true; }
    void* staging_alloc(size_t count);
    void staging_free(void* bytes, size_t count);
    static void* allocate(size_t size);
    static void deallocate(void* bytes);
    static void* reserve(size_t size) { return allocate(size); }
    static bool extend(void* bytes, size_t size);
    static uint64_t heap_growth() { return 0; }
    static uint32_t thread_index();
    static void emit_stub(void* bytes, uint32_t index);
    static void set_table(const void* table);
    static uintptr_t trap_address();
    bool w_xor_x() { return true; }
    void log(const char* line);

    // --- for tests ---
    // Pages present in the arena at this moment.
    size_t committed_pages() const { return committed_; }
    // Heap blocks of the core that are allocated at this moment.
    static size_t heap_blocks();
    // The operation number n from now on (commits, staging and heap) fails once; 0: none does.
    static void fail_after(uint64_t operations);
    // The next `count` releases fail: the system keeps the pages.
    static void refuse_releases(uint64_t count);
    // Receives every log line; nullptr: none.
    void (*log_sink)(const char* line) = nullptr;

 private:
    uintptr_t begin_ = 0;
    size_t size_ = 0;
    std::atomic<size_t> committed_{0};
};

}  // namespace sgxdl
