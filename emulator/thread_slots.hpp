// Where the threads' records are: shared by thread.cpp, which makes them, and handler_thread.cpp,
// which finds them on whatever FS a signal came in.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "emulator/thread.hpp"

namespace sgxemu {

inline constexpr size_t slot_size = 256u << 10;
inline constexpr size_t slot_count = 4096;
// In a slot: the record, a guard page, the signal stack, the stack of leaves that do not trap.
inline constexpr size_t stack_offset = 2 * 4096;
inline constexpr size_t leaf_stack_size = 64u << 10;
inline constexpr size_t signal_stack_size = slot_size - stack_offset - leaf_stack_size;

// Only an open slot has memory behind it; it stays open and is reused.
enum class SlotState : uint8_t { closed, opening, open };

extern std::atomic<uintptr_t> slots_begin;  // 0: not yet reserved
extern std::atomic<size_t> slots_used;      // one past the highest slot ever taken
extern std::atomic<SlotState> slot_state[slot_count];

inline Thread* thread_in_slot(uintptr_t begin, size_t i) {
    return reinterpret_cast<Thread*>(begin + i * slot_size);
}

}  // namespace sgxemu
