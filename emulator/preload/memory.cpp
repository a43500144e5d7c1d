// Mappings. Those of enclaves are the emulator's; it must also know when others replace them.
#include <sys/mman.h>

#include <cerrno>
#include <cstdarg>

#include "emulator/preload/real.hpp"
#include "emulator/sgxemu.hpp"

extern "C" {

void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) noexcept {
    return sgxemu::mmap(address, length, protection, flags, fd, offset);
}

void* mmap64(void* address, size_t length, int protection, int flags, int fd,
             off64_t offset) noexcept {
    return sgxemu::mmap(address, length, protection, flags, fd, offset);
}

int mprotect(void* address, size_t length, int protection) noexcept {
    return sgxemu::mprotect(address, length, protection);
}

int pkey_mprotect(void* address, size_t length, int protection, int key) noexcept {
    static const auto next = sgxemu::preload::real<int(void*, size_t, int, int)>("pkey_mprotect");
    if (key == -1) return sgxemu::mprotect(address, length, protection);
    return next(address, length, protection, key);
}

int munmap(void* address, size_t length) noexcept {
    return sgxemu::munmap(address, length);
}

// The driver's mappings cannot grow (VM_DONTEXPAND: EFAULT). The kernel would move or shrink them,
// to where no EPC page is or to what munmap does; that is refused, too.
void* mremap(void* address, size_t size, size_t new_size, int flags, ...) noexcept {
    static const auto next =
        sgxemu::preload::real<void*(void*, size_t, size_t, int, ...)>("mremap");
    va_list arguments;
    va_start(arguments, flags);
    void* wish = va_arg(arguments, void*);
    va_end(arguments);
    if (sgxemu::is_enclave_address(address)) {
        errno = EFAULT;
        return MAP_FAILED;
    }
    return next(address, size, new_size, flags, wish);
}
}
