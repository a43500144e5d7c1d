// The operating system's misbehaviour, as sgxemu::misbehave and sgxemu::single_step ordered it.
#pragma once

#include <ucontext.h>

#include <cstdint>

#include "emulator/sgxemu.hpp"
#include "emulator/thread.hpp"

namespace sgxemu {

// What the system does with this operation, one of those that it was told about or not: counts it.
Misbehaviour misbehaviour_of(Operation operation);
// Lets the time of Misbehaviour::delay pass.
void dawdle();

// Single steps: the processor's trap flag, set when a thread goes on inside.
bool is_stepping();
void set_step_flag(Thread& thread, ucontext_t& context);
// One instruction was carried out inside. True: the system keeps the thread outside now.
bool step_done();

}  // namespace sgxemu
