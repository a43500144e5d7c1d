// SYSCALL is #UD in enclave mode (SDM volume 3D, 35.6.1). Linux can be asked to stop a thread's
// system calls while a byte of ours says so: Documentation/admin-guide/syscall-user-dispatch.rst,
// Linux 5.11.
//
// What is lost: the instruction has written RCX and R11 when the kernel stops it.
#pragma once

#include "emulator/thread.hpp"

namespace sgxemu {

// Values of Thread::syscalls.
inline constexpr uint8_t syscalls_allowed = 0, syscalls_blocked = 1;

// Has the calling thread's system calls depend on thread.syscalls. Where the kernel cannot,
// enclaves can make system calls, and sgxemu::stops_syscalls() says so.
void watch_syscalls(Thread& thread);

}  // namespace sgxemu
