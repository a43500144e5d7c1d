// What an enclave's application gives to the runtime. See include/sgxdl/enclave.hpp.
#pragma once

#include <cstdint>
#include <span>

#include "enclave/loader/loader.hpp"
#include "enclave/runtime/dispatch.hpp"

namespace sgxdl {

// Defined once by the application.
struct Application {
    std::span<const EcallRow> ecalls;
    bool (*start)();  // called once, before the first ecall; may be null; false: no enclave
};
extern const Application application;

// The import allow-list, sorted by name; generated from the application's list.
std::span<const Import> application_imports();

}  // namespace sgxdl
