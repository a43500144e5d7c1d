// The end of an enclave: after a fault that nobody fixes up, a failed assertion or an abort the
// enclave's state cannot be trusted any more. It is marked dead for good; every entry from then on
// leaves at once with the first crash's report.
#pragma once

#include "enclave/interface/abi.hpp"

namespace sgxdl {

// True when some thread has crashed.
bool enclave_is_dead();

// Records a crash; only the first one counts. `report.text` is filled by the caller.
void record_crash(const CrashReport& report);

// Writes the recorded crash and Exit::crashed to the host's area (already checked).
void report_crash(HostArea* area);

// Marks the enclave dead and leaves it; never returns. Not from the exception handler.
[[noreturn]] void crash(CrashKind kind, const char* text, uint64_t rip);

// Copies text into a report, cut to size.
void set_crash_text(CrashReport& report, const char* text);

}  // namespace sgxdl
