// What happens before the program's main: the machine is configured, its traps are taken over, the
// program is shown the vDSO and the processor of a machine with SGX.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "emulator/dispositions.hpp"
#include "emulator/environment.hpp"
#include "emulator/preload/cpuid.hpp"
#include "emulator/preload/vdso.hpp"
#include "emulator/settings.hpp"
#include "emulator/sgxemu.hpp"

namespace {

[[noreturn]] void refuse(const char* reason, const char* detail) {
    std::fprintf(stderr, "sgxemu: %s%s\n", reason, detail);
    ::_exit(1);
}

// The C library passes main's arguments to constructors.
__attribute__((constructor)) void start(int, char**, char** environment) {
    sgxemu::MachineConfig config;
    if (const char* error = sgxemu::read_settings(config)) refuse(error, "");
    if (sgxemu::configure(config) != 0) refuse("cannot configure the machine", "");
    if (const std::string& error = sgxemu::apply_environment(); !error.empty()) {
        refuse("", error.c_str());
    }
    if (const char* path = std::getenv("SGXEMU_COUNTERS")) {
        if (sgxemu::count_paging_in(path) != 0) refuse("cannot count in ", path);
    }
    if (sgxemu::take_all_signals() != 0) refuse("cannot take over the signals", "");
    if (!sgxemu::preload::replace_vdso(environment)) {
        refuse("found no AT_SYSINFO_EHDR after the environment to put the vDSO in", "");
    }
    sgxemu::preload::start_cpuid_emulation();
}

}  // namespace
