// What needs a kernel and is still referred to by code that is linked (libsodium's guarded
// allocations, for one): fails with ENOSYS.

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace {

int unavailable() {
    errno = ENOSYS;
    return -1;
}

}  // namespace

extern "C" {

void* mmap(void*, size_t, int, int, int, off_t) {
    unavailable();
    return MAP_FAILED;
}
int munmap(void*, size_t) {
    return unavailable();
}
int mprotect(void*, size_t, int) {
    return unavailable();
}
int madvise(void*, size_t, int) {
    return unavailable();
}
int mlock(const void*, size_t) {
    return unavailable();
}
int munlock(const void*, size_t) {
    return unavailable();
}

long sysconf(int name) {
    switch (name) {
        case _SC_PAGESIZE:
            return 4096;
        default:
            errno = EINVAL;
            return -1;
    }
}

}  // extern "C"
