// CPUID instructions of the program.
#pragma once

namespace sgxemu::preload {

// Finds the CPUID instructions in the program and its libraries that were not looked at yet, and
// makes them trap (HLT), so that the program reads the emulated machine's SGX leaves. Not in the
// C library, the dynamic linker and this library. May be called from several threads. Does nothing
// before start_cpuid_emulation.
void rewrite_cpuid_sites();

// The traps are the emulator's from now on: does the above for what is loaded.
void start_cpuid_emulation();

}  // namespace sgxemu::preload
