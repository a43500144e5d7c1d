// process_vm_readv/writev on ourselves: the kernel walks the page tables and reports EFAULT.
#include "emulator/usercopy.hpp"

#include <sys/uio.h>
#include <unistd.h>

namespace sgxemu {

bool copy_from_program(void* to, uint64_t from, size_t size) {
    iovec local{to, size};
    iovec remote{reinterpret_cast<void*>(from), size};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

bool copy_to_program(uint64_t to, const void* from, size_t size) {
    iovec local{const_cast<void*>(from), size};
    iovec remote{reinterpret_cast<void*>(to), size};
    return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

}  // namespace sgxemu
