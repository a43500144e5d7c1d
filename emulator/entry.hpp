// What entry.S and C++ know of each other.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sgxemu {

// What sgxemu_prepare_entry tells the entry code to do. entry.S knows the layout.
struct EntryOrder {
    enum : uint64_t { enter = 0, fault = 1, trap = 2 };
    uint64_t what = fault;
    uint64_t rip = 0;             // enter
    uint64_t fs_base = 0;         // enter
    uint64_t gs_base = 0;         // enter
    uint64_t cssa = 0;            // enter: for RAX
    uint64_t vector = 0;          // fault
    uint64_t error_code = 0;      // fault
    uint64_t address = 0;         // fault
    uint8_t* syscalls = nullptr;  // enter: Thread::syscalls
    uint64_t padding = 0;
};
static_assert(sizeof(EntryOrder) == 80);

// What entry.S pushes below the stack pointer of the ENCLU, the last first.
struct SavedRegisters {
    uint64_t target;  // the leaf, then where EENTER jumps
    uint64_t r15, r14, r13, r12;
    uint64_t r11, r10, r9, r8, rdx, rsi, rdi;
};
static_assert(sizeof(SavedRegisters) == 96);

extern "C" {
// Labels in entry.S; only their addresses mean something.
void sgxemu_aep();
void sgxemu_after_enclu();
void sgxemu_handle_exception();
void sgxemu_signal_entry();
void sgxemu_signal_return();
void sgxemu_signal_return_end();
}

inline uint64_t address_of(void (*label)()) {
    return reinterpret_cast<uint64_t>(label);
}

}  // namespace sgxemu
