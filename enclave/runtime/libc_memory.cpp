// malloc and its family for everything that is linked into the enclave, modules included.
// Replaces musl's, which asks the kernel for memory.

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

#include "enclave/runtime/crash.hpp"
#include "enclave/runtime/heap.hpp"

using namespace sgxdl;

namespace {

void* or_enomem(void* block) {
    if (block == nullptr) errno = ENOMEM;
    return block;
}

}  // namespace

extern "C" {

void* malloc(size_t size) {
    return or_enomem(heap::allocate(size));
}

void free(void* block) {
    heap::release(block);
}

void* calloc(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return or_enomem(nullptr);
    void* const block = heap::allocate(bytes);
    if (block != nullptr) memset(block, 0, bytes);
    return or_enomem(block);
}

void* realloc(void* block, size_t size) {
    return or_enomem(heap::reallocate(block, size));
}

void* reallocarray(void* block, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return or_enomem(nullptr);
    return or_enomem(heap::reallocate(block, bytes));
}

void* memalign(size_t alignment, size_t size) {
    return or_enomem(heap::allocate_aligned(alignment, size));
}

void* aligned_alloc(size_t alignment, size_t size) {
    return or_enomem(heap::allocate_aligned(alignment, size));
}

int posix_memalign(void** result, size_t alignment, size_t size) {
    void* const block = heap::allocate_aligned(alignment, size);
    if (block == nullptr) return ENOMEM;
    *result = block;
    return 0;
}

size_t malloc_usable_size(void* block) {
    return block == nullptr ? 0 : heap::usable_size(block);
}

// The names by which musl's own objects call the allocator.
void* __libc_malloc(size_t size) {
    return malloc(size);
}
void* __libc_calloc(size_t count, size_t size) {
    return calloc(count, size);
}
void* __libc_realloc(void* block, size_t size) {
    return realloc(block, size);
}
void __libc_free(void* block) {
    free(block);
}

}  // extern "C"

// C++ code of an enclave is compiled without exceptions: no memory is the end.
void* operator new(size_t size) {
    void* const block = malloc(size);
    if (block == nullptr) {
        crash(CrashKind::abort, "operator new: out of enclave memory",
              reinterpret_cast<uint64_t>(__builtin_return_address(0)));
    }
    return block;
}
void* operator new[](size_t size) {
    return operator new(size);
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
    return malloc(size);
}
void* operator new[](size_t size, const std::nothrow_t&) noexcept {
    return malloc(size);
}
void operator delete(void* block) noexcept {
    free(block);
}
void operator delete[](void* block) noexcept {
    free(block);
}
void operator delete(void* block, size_t) noexcept {
    free(block);
}
void operator delete[](void* block, size_t) noexcept {
    free(block);
}
