// What both forms of the emulator take from the environment. `sgxdl emulate` writes these
// variables.
//
//   SGXEMU_HOSTILE   a hostile system (emulator/hostile_plan.hpp)
//   SGXEMU_OCALLS    ENTRY:OFFSET:SIZE in decimal, where ocall answers stand (sgxemu::OcallAnswers)
//   SGXEMU_COSTS     the table whose costs are charged (sgxemu::charge_costs)
#pragma once

#include <string>

namespace sgxemu {

// Applies the variables, the first time it is called. Empty, or which variable is wrong, and how.
const std::string& apply_environment();

}  // namespace sgxemu
