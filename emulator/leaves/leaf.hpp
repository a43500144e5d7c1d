// The effects of the ENCLU leaves that run inside an enclave and touch its pages, once none of
// their rules (rules.hpp) has ended them. One file each; SDM volume 3D, 38.4. Under enclave.lock.
#pragma once

#include "emulator/leaves/rules.hpp"

namespace sgxemu {

void eaccept(LeafRun& run);
void eacceptcopy(LeafRun& run);
void emodpe(LeafRun& run);
void ereport(LeafRun& run);
void egetkey(LeafRun& run);

}  // namespace sgxemu
