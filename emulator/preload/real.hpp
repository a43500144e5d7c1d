// The C library's own functions behind the names that this library takes.
#pragma once

#include <dlfcn.h>

namespace sgxemu::preload {

// The next definition of `name` after this library's; looked up once per call site through a
// function-local static: static const auto next = real<decltype(::stat)>("stat");
// nullptr when the C library has no such function, which then no program can have called.
template <class F>
F* real(const char* name) {
    return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}

// The emulator's result as a system call's: -1 and errno, or the value.
int as_system_call(int result);

}  // namespace sgxemu::preload
