// The C library's own signals.
#pragma once

namespace sgxemu::preload {

// Has the C library install the handlers of its internal signals (cancellation and setxid, 32 and
// 33) now, and takes them: otherwise they would run on an enclave's FS. Once; later calls do
// nothing.
void adopt_library_handlers();

}  // namespace sgxemu::preload
