// What a call from the host into an enclave comes to. Part of sgxdl/host.hpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "enclave/interface/abi.hpp"

namespace sgxdl::host {

// Why an enclave died.
struct Crash {
    CrashKind kind = CrashKind::none;
    uint64_t vector = 0;      // exception vector
    uint64_t error_code = 0;  // of a page fault or general protection fault
    uint64_t address = 0;     // of a page fault; offset in the enclave when inside
    uint64_t rip = 0;         // offset in the enclave
    uint64_t thread = 0;      // index
    std::string text;
    std::string message() const;  // all of it in one line
};

// The fixed text of a status, the loader's codes included.
const char* status_text(Status status);

// What a call came to. `value` is meaningful when the status is ok.
struct CallOutcome {
    Status status = Status::ok;
    std::string context;  // where and what, when the status is not ok
    explicit operator bool() const { return status == Status::ok; }
    // Status and context in one line.
    std::string message() const;
};
template <class R>
struct Reply : CallOutcome {
    R value{};
};
template <>
struct Reply<void> : CallOutcome {};

// A buffer that a call fills: `storage` is the caller's, `count` the elements that were written.
template <class T>
struct OutTo {
    std::span<T> storage;
    size_t count = 0;
};

}  // namespace sgxdl::host
