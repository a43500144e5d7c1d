// Answers to ocalls, spoiled by the system on their way into the enclave. The processor knows no
// ocalls: OcallAnswers says which entries bring one, and where it stands.
//
// What the behaviours do to an answer (all of its bytes):
//   drop     it never comes: the memory is as it was at the entry before on this TCS
//   refuse   its first 8 bytes are all ones
//   repeat   it comes once more as the next one on this TCS
//   delay    it comes 20 ms later
//   swap     it changes places with the last one of another TCS
//   replay   the first answer that came on any TCS comes in its place
#pragma once

#include <cstdint>

namespace sgxemu {

// EENTER by the entry function is about to be carried out with these registers.
void spoil_ocall_answer(uint64_t tcs, uint64_t rdi, uint64_t rsi);

// True when some answers are to be spoiled.
bool are_ocalls_spoiled();

}  // namespace sgxemu
