// For the trusted part of an application: what its enclave is made of.
//
//     // interface.hpp, shared by both sides
//     using Add = sgxdl::Ecall<64, uint64_t(uint64_t a, uint64_t b)>;
//
//     // enclave.cpp
//     #include "sgxdl/enclave.hpp"
//     static uint64_t add(uint64_t a, uint64_t b) { return a + b; }
//     static constexpr sgxdl::EcallRow rows[] = {sgxdl::bind<Add, add>()};
//     constinit const sgxdl::Application sgxdl::application = {.ecalls = rows, .start = nullptr};
//
// Built by the CMake function sgxdl_add_enclave (cmake/Enclave.cmake), which compiles with the
// enclave's options, links the runtime, audits and signs.
//
// Handlers run pinned to one generation of the loaded code, unless their declaration says Pin::no.
// They may run on several threads at once. They get copies of the host's buffers in enclave memory
// (see enclave/runtime/dispatch.hpp) and may use C's library as far as it needs no kernel,
// libsodium, pthread mutexes, and ocalls: `sgxdl::ocall<Call>(arguments…)`.
#pragma once

#ifndef SGXDL_TRUSTED_CODE
#error "sgxdl/enclave.hpp is for code inside an enclave; hosts include sgxdl/host.hpp"
#endif

#include "enclave/interface/call.hpp"
#include "enclave/loader/result.hpp"
#include "enclave/runtime/application.hpp"
#include "enclave/runtime/dispatch.hpp"
#include "enclave/runtime/ocall.hpp"

// The canonical address of a function, or the address of an object, of a loaded module; null when
// there is none. Stays the same for the life of the module and follows patches. May be called from
// any ecall; modules may import it. Names are NUL-terminated.
extern "C" void* sgxdl_sym(const char* module, const char* name);
