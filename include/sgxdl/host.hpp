// The host's side of an enclave: creates it, calls it, serves what it asks for, and has code loaded
// and patched in it. Untrusted: nothing of the enclave's safety rests on this library.
//
//     sgxdl::host::Enclave enclave("app.signed");
//     auto sum = enclave.call<Add>(2, 3);          // Add: see sgxdl/enclave.hpp
//     if (!sum) fprintf(stderr, "%s\n", sum.message().c_str());
//     enclave.load_module("sqlite.sgxm");
//
// One path for both platforms: where there is no SGX device the emulator takes its place below
// the same interface.
//
// Threads: every function may be called from any thread at any time. A thread that makes an ecall
// takes one of the enclave's thread slots (TCS) for the length of the call and waits when all are
// taken.
#pragma once

#ifdef SGXDL_TRUSTED_CODE
#error "sgxdl/host.hpp is for hosts; code inside an enclave includes sgxdl/enclave.hpp"
#endif

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "enclave/interface/call.hpp"
#include "enclave/interface/loader_calls.hpp"
#include "enclave/interface/runtime_calls.hpp"
#include "host/call_outcome.hpp"
#include "host/marshal.hpp"

namespace sgxdl::host {

// An enclave could not be created, or a file is not what it should be. what() names what and where.
struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// What is done while a bundle is loaded; called after every slice.
using ProgressCallback = std::function<void(const WireProgress&)>;

// What an operation came to. Times are wall clock, seen from the host.
struct OperationReport {
    Status status = Status::ok;
    std::string context;
    WireProgress progress{};
    double total_ms = 0;
    double transfer_ms = 0;             // header and payload into the enclave
    std::array<double, 16> stage_ms{};  // by the stage in which the time was spent (Stage)
    double activation_us = 0;           // the slice in which the new state became current
    explicit operator bool() const { return status == Status::ok; }
    std::string message() const;
};

struct EnclaveOptions {
    // Lines of the loader's transition log; called from the thread that is in the enclave. Null:
    // they are dropped.
    std::function<void(std::string_view line)> on_log;
    // What the enclave prints (descriptor 1 or 2). Null: to the host's own descriptors.
    std::function<void(int descriptor, std::string_view bytes)> on_output;
    // A thread of the library that has unreachable code freed and unused heap given back.
    bool housekeeping = true;
};

class Enclave {
 public:
    // Creates the enclave from a signed image. Throws Error.
    explicit Enclave(const std::string& image_path, EnclaveOptions options = {});
    // No call may be in flight.
    ~Enclave();
    Enclave(const Enclave&) = delete;
    Enclave& operator=(const Enclave&) = delete;

    // --- about it
    const std::string& platform() const;   // "kernel" or "emulator", and why
    const std::string& mrenclave() const;  // hexadecimal, from the image file
    bool w_xor_x() const;                  // false: loaded code is writable (image for SGX1)
    double creation_ms() const;            // from opening the device to EINIT done
    int descriptor() const;                // of the device; for tests
    const void* base() const;              // of ELRANGE
    uint64_t size() const;                 // of ELRANGE, bytes
    uint32_t thread_count() const;
    uint64_t tcs_offset(uint32_t thread) const;  // in ELRANGE; for tests that enter by themselves
    std::optional<Crash> crash() const;          // set when the enclave is dead

    // --- calls
    // Makes the ecall `Call` (sgxdl::Ecall<…>). Scalars by value, In<T, n> as anything that
    // converts to std::span<const T> (a std::string_view for char), Out<T, n> as OutTo<T>&.
    template <class Call, class... Arguments>
    Reply<typename Call::Return> call(Arguments&&... arguments);

    // Has `server` answer the ocall `Call` (sgxdl::Ocall<…>). It gets scalars by value, In<T, n> as
    // std::span<const T>, Out<T, n> as std::span<T>, and returns an int64_t within the declared
    // bounds. It may run on several threads at once; it may make ecalls only if the
    // declaration says Nested::allowed. Before the first call that needs it.
    template <class Call, class Server>
    void serve(Server server);

    // --- loading and patching; one operation at a time, others get Code::busy
    // Loads the module bundle in `path`, whole, or only `functions` and what they reach. Throws
    // Error when the file cannot be read or is a patch; everything else is in the report.
    OperationReport load_module(const std::string& path,
                                std::span<const std::string> functions = {},
                                const ProgressCallback& progress = {});
    // The same for a patch bundle.
    OperationReport apply_patch(const std::string& path, const ProgressCallback& progress = {});
    // Either kind, from memory.
    OperationReport load_bundle(std::span<const uint8_t> bundle,
                                std::span<const std::string> functions = {},
                                const ProgressCallback& progress = {});
    // Loads more functions of a module whose bundle is in the enclave.
    OperationReport extend(const std::string& module, std::span<const std::string> functions);
    OperationReport rollback(const std::string& module, const ProgressCallback& progress = {});
    OperationReport unload(const std::string& module, std::span<const std::string> functions = {},
                           bool force = false);
    Reply<WireLoaderInfo> info();
    std::vector<WireModuleInfo> modules();
    // Has everything freed that nobody can reach, and up to all unused heap given back; waits for
    // it. For tests; housekeeping does it in the background.
    void reclaim_now();

    struct Impl;  // of the library

 private:
    Status enter(CallFrame& frame);
    std::string context_of(Status status, const CallFrame& frame) const;
    using RawServer = std::function<int64_t(const uint64_t* slots, uint64_t* scratch)>;
    void serve_raw(uint64_t id, RawServer server);

    std::unique_ptr<Impl> impl_;
};

// --- templates

template <class Call, class... Arguments>
Reply<typename Call::Return> Enclave::call(Arguments&&... arguments) {
    return detail::Caller<Call>::run(
        [this](CallFrame& frame) { return enter(frame); },
        [this](Status status, const CallFrame& frame) { return context_of(status, frame); },
        std::forward<Arguments>(arguments)...);
}

template <class Call, class F>
void Enclave::serve(F server) {
    serve_raw(Call::id, detail::Server<Call>::wrap(std::move(server)));
}

}  // namespace sgxdl::host
