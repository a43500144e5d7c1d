#include "emulator/user_dispatch.hpp"

#include <sys/prctl.h>

#include "emulator/entry.hpp"
#include "emulator/sgxemu.hpp"

namespace sgxemu {

namespace {

std::atomic<bool> works{true};

}  // namespace

void watch_syscalls(Thread& thread) {
    thread.syscalls = syscalls_allowed;
    // The one system call that is made while the byte says block: sigreturn into the enclave.
    const uint64_t begin = address_of(sgxemu_signal_return);
    const uint64_t length = address_of(sgxemu_signal_return_end) - begin;
    if (::prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, begin, length,
                &thread.syscalls) != 0) {
        works.store(false, std::memory_order_relaxed);
    }
}

bool stops_syscalls() {
    return works.load(std::memory_order_relaxed);
}

}  // namespace sgxemu
