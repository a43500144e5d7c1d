// The emulator's signal handlers: how faults and ENCLU reach it.
#pragma once

namespace sgxemu {

// Installs them for the fault signals and interrupt_signal, once, keeping what was installed before
// for faults that are not the emulator's. 0 or -errno. A handler that the program installs for
// those signals later would take the enclave's faults away: it must be installed before.
int install_signal_handlers();

}  // namespace sgxemu
