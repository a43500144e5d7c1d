#include "enclave/hosted/hosted_platform.hpp"

#include <asm/prctl.h>
#include <immintrin.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace sgxdl {

namespace {

std::atomic<uint64_t> fail_in{0};
std::atomic<uint64_t> refused_releases{0};
std::atomic<size_t> blocks{0};

bool fails_now() {
    if (fail_in.load(std::memory_order_relaxed) == 0) return false;
    return fail_in.fetch_sub(1) == 1;
}

[[noreturn]] void trap() {
    static constexpr char text[] =
        "sgx-dl: call of a function that this thread's generation does not have\n";
    (void)!write(2, text, sizeof text - 1);
    abort();
}

// Thread indices are given back when a thread ends, so that long test programs do not run out.
struct ThreadIndices {
    std::mutex mutex;
    bool used[Platform::thread_capacity] = {};
};
ThreadIndices& thread_indices() {
    static ThreadIndices indices;
    return indices;
}
struct ThreadIndex {
    uint32_t value = Platform::thread_capacity;
    ThreadIndex() {
        ThreadIndices& all = thread_indices();
        std::lock_guard lock(all.mutex);
        for (uint32_t i = 0; i < Platform::thread_capacity && value == Platform::thread_capacity;
             ++i) {
            if (all.used[i]) continue;
            all.used[i] = true;
            value = i;
        }
    }
    ~ThreadIndex() {
        ThreadIndices& all = thread_indices();
        std::lock_guard lock(all.mutex);
        if (value < Platform::thread_capacity) all.used[value] = false;
    }
};

}  // namespace

Platform::Platform(size_t arena_size, bool low) : size_(arena_size) {
    void* at = mmap(nullptr, size_, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (low ? MAP_32BIT : 0), -1, 0);
    if (at == MAP_FAILED) {
        perror("sgx-dl: cannot reserve the arena");
        abort();
    }
    begin_ = reinterpret_cast<uintptr_t>(at);
}

Platform::~Platform() {
    munmap(reinterpret_cast<void*>(begin_), size_);
}

Result<void> Platform::commit_data(uintptr_t address, size_t count) {
    if (fails_now() || mprotect(reinterpret_cast<void*>(address), count * page_size,
                                PROT_READ | PROT_WRITE) != 0) {
        return make_error(Code::page_refused, "%u data pages", static_cast<uint64_t>(count));
    }
    committed_ += count;
    return {};
}

Result<void> Platform::commit_copy(uintptr_t address, const void* source, size_t count,
                                   PageUse use) {
    void* at = reinterpret_cast<void*>(address);
    const size_t size = count * page_size;
    if (fails_now() || mprotect(at, size, PROT_READ | PROT_WRITE) != 0)
        return make_error(Code::page_refused, "%u pages", static_cast<uint64_t>(count));
    memcpy(at, source, size);
    if (mprotect(at, size, use == PageUse::code ? PROT_READ | PROT_EXEC : PROT_READ) != 0) {
        madvise(at, size, MADV_DONTNEED);
        mprotect(at, size, PROT_NONE);
        return make_error(Code::page_refused, "%u pages", static_cast<uint64_t>(count));
    }
    committed_ += count;
    return {};
}

bool Platform::release(uintptr_t address, size_t count) {
    void* at = reinterpret_cast<void*>(address);
    committed_ -= count;
    if (refused_releases.load(std::memory_order_relaxed) > 0) {
        --refused_releases;
        return false;
    }
    return madvise(at, count * page_size, MADV_DONTNEED) == 0 &&
           mprotect(at, count * page_size, PROT_NONE) == 0;
}

void* Platform::staging_alloc(size_t count) {
    void* bytes = fails_now() ? nullptr : aligned_alloc(page_size, count * page_size);
    if (bytes) ++blocks;
    return bytes;
}

void Platform::staging_free(void* bytes, size_t) {
    deallocate(bytes);
}

void* Platform::allocate(size_t size) {
    void* bytes = fails_now() ? nullptr : malloc(size ? size : 1);
    if (bytes) ++blocks;
    return bytes;
}

bool Platform::extend(void*, size_t) {
    return !fails_now();
}

void Platform::deallocate(void* bytes) {
    if (!bytes) return;
    --blocks;
    free(bytes);
}

uint32_t Platform::thread_index() {
    static thread_local ThreadIndex index;
    return index.value;
}

void Platform::emit_stub(void* bytes, uint32_t index) {
    // jmp *%gs:disp32 (65 FF 24 25), then int3.
    static constexpr uint8_t jump[] = {0x65, 0xff, 0x24, 0x25};
    const uint32_t displacement = index * 8;
    memset(bytes, 0xcc, stub_size);
    memcpy(bytes, jump, sizeof jump);
    memcpy(static_cast<uint8_t*>(bytes) + sizeof jump, &displacement, sizeof displacement);
}

__attribute__((target("fsgsbase"))) void Platform::set_table(const void* table) {
    static const bool fast = getauxval(AT_HWCAP2) & 2;  // HWCAP2_FSGSBASE
    if (fast) {
        _writegsbase_u64(reinterpret_cast<uint64_t>(table));
    } else {
        syscall(SYS_arch_prctl, ARCH_SET_GS, table);
    }
}

uintptr_t Platform::trap_address() {
    return reinterpret_cast<uintptr_t>(&trap);
}

void Platform::log(const char* line) {
    if (log_sink) log_sink(line);
}

size_t Platform::heap_blocks() {
    return blocks;
}
void Platform::fail_after(uint64_t operations) {
    fail_in = operations;
}

void Platform::refuse_releases(uint64_t count) {
    refused_releases = count;
}

void platform_abort(const char* what, const char* file, int line) {
    fprintf(stderr, "sgx-dl: %s:%d: broken invariant: %s\n", file, line, what);
    abort();
}

}  // namespace sgxdl
