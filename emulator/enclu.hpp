// ENCLU as the processor executes it: recognised where it trapped, dispatched by EAX.
#pragma once

#include <ucontext.h>

#include <optional>

#include "emulator/fault.hpp"
#include "emulator/leaves/leaf.hpp"
#include "emulator/thread.hpp"

namespace sgxemu {

inline constexpr uint64_t enclu_length = 3;

// True when the thread, inside its enclave, trapped on an ENCLU: on #UD at its bytes (which
// rewrites the site, when the machine is configured so), on #GP at a rewritten site (which makes it
// a jump, likewise).
bool trapped_on_enclu(Thread& thread, const ucontext_t& context, uint8_t vector);

// Executes the leaf that EAX names, in enclave mode. On success the context has moved on; otherwise
// nothing has changed and the exception is to be raised at the ENCLU.
std::optional<Exception> execute_enclu_inside(Thread& thread, ucontext_t& context, Bases& bases);

// What a leaf may change besides its operands.
struct LeafRegisters {
    uint64_t rax = 0, rflags = 0;
};

// A leaf that is no transition. Returns the exception to raise; then nothing has changed.
std::optional<Exception> execute_leaf(Enclave& enclave, uint32_t number,
                                      const LeafOperands& operands, LeafRegisters& registers);

// The same as execute_enclu_inside, outside: EENTER and ERESUME; everything else is #GP.
std::optional<Exception> execute_enclu_outside(Thread& thread, ucontext_t& context, Bases& bases);

}  // namespace sgxemu
