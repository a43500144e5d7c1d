// Where the tests' handler of SIGSEGV (exit_test.cpp, installed before the first enclave) jumps to.
#pragma once

#include <setjmp.h>

namespace sgxemu_test {

extern sigjmp_buf after_segv;

}  // namespace sgxemu_test
