// Looking a function up in the vDSO that AT_SYSINFO_EHDR names.
#pragma once

namespace sgxemu_test {

// Its address, or nullptr.
void* vdso_symbol(const char* name);

}  // namespace sgxemu_test
