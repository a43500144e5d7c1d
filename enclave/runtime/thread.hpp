// A thread's own data: what FS points at. One page per TCS, part of the measured image.
//
// The first 0x200 bytes are laid out as musl 1.2.3 has its `struct pthread`, as far as the objects
// of libc.a that an enclave uses look at it (self, canary, tid, errno, locale).
#pragma once

#include <cstddef>
#include <cstdint>

#include "enclave/interface/abi.hpp"
#include "enclave/interface/layout.h"
#include "enclave/runtime/thread_offsets.h"

namespace sgxdl {

struct ThreadArea {
    // --- musl's struct pthread
    ThreadArea* self;
    uint64_t musl_reserved1[4];
    uint64_t canary;
    int32_t tid;  // index + 1; the owner that musl writes into locks
    int32_t error_number;
    uint64_t musl_reserved2[14];
    const void* locale;
    uint64_t musl_reserved3[42];
    // --- ours; `index` is written by the signer
    uint32_t index;
    uint32_t reserved;
    uint32_t started;
    uint32_t in_crash;        // this thread is reporting a crash already
    uint64_t exit_target;     // where EEXIT goes: the host's address behind its ENCLU
    uint64_t ocall_frame;     // stack pointer saved by the ocall in flight, or 0
    uint32_t nested_allowed;  // the ocall in flight admits ecalls
    uint32_t depth;           // ecalls on this thread's stack
    HostArea* host_area;      // checked to lie outside the enclave, for the length of an ecall
    uint64_t scratch_used;    // words of host_area->scratch that ocalls in flight occupy
};

static_assert(offsetof(ThreadArea, self) == THREAD_SELF);
static_assert(offsetof(ThreadArea, canary) == THREAD_CANARY);
static_assert(offsetof(ThreadArea, tid) == 0x30);
static_assert(offsetof(ThreadArea, error_number) == 0x34);
static_assert(offsetof(ThreadArea, locale) == 0xa8);
static_assert(offsetof(ThreadArea, index) == THREAD_INDEX);
static_assert(offsetof(ThreadArea, index) == SGXDL_THREAD_INIT_OFFSET);
static_assert(offsetof(ThreadArea, exit_target) == THREAD_EXIT_TARGET);
static_assert(offsetof(ThreadArea, ocall_frame) == THREAD_OCALL_FRAME);
static_assert(sizeof(ThreadArea) <= SGXDL_PAGE_SIZE);

// The calling thread's area. By FS itself: `self` is not set before the thread's first ecall.
inline ThreadArea& this_thread() {
    uintptr_t base;
    asm volatile("rdfsbase %0" : "=r"(base));
    return *reinterpret_cast<ThreadArea*>(base);
}

}  // namespace sgxdl
