// How the host and the enclave's entry code talk: registers at EENTER and the memory they share.
//
// EENTER (by the vDSO, which passes these registers through): RDI = Entry, RSI = HostArea* of the
// TCS, RDX = CallFrame* (Entry::ecall). The enclave leaves by EEXIT, all registers cleared, after
// it has written HostArea::exit_reason. Everything here lies outside the enclave, aligned to 8
// bytes, and is read and written by the enclave in aligned 8-byte units only, each at most once.
//
// Shared by trusted and untrusted code; no pointers into the enclave, no padding.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sgxdl {

enum class Entry : uint64_t {
    ecall = 1,
    ocall_return = 2,
    exception = 3,  // with CSSA = 1: the host saw the enclave fault and asks what to do
};

enum class Exit : uint64_t {
    none = 0,  // never written by the enclave
    done,      // the ecall is over, its frame is complete
    ocall,     // serve HostArea::ocall, then Entry::ocall_return
    resume,    // exception handled: ERESUME
    refused,   // this entry was not acceptable, nothing changed; HostArea::refusal says why
    crashed,   // the enclave is dead, HostArea::crash says why
};

inline constexpr size_t max_slots = 16;          // arguments of a call, in 8-byte slots
inline constexpr size_t max_result_words = 128;  // a call's returned structure
inline constexpr size_t max_context_words = 24;  // error text
inline constexpr size_t host_scratch_words = 8192;

// One ecall. `arguments` of a buffer: address and count of elements; after the call the second
// slot of an output holds the count of elements written.
struct CallFrame {
    uint64_t id;
    uint64_t status;  // Status below; written last
    uint64_t arguments[max_slots];
    uint64_t result[max_result_words];
    uint64_t context[max_context_words];  // NUL-terminated text when status is not ok
};

struct OcallFrame {
    uint64_t id;
    uint64_t arguments[max_slots];  // a buffer is (byte offset in the scratch area, count)
    int64_t result;
};

// Why an enclave died, or which fault it died of.
struct CrashReport {
    uint64_t kind;        // CrashKind
    uint64_t vector;      // exception vector (SDM 6.3.1), kind exception
    uint64_t error_code;  // of a #PF or #GP
    uint64_t address;     // of a #PF; offset from the enclave's base when inside
    uint64_t rip;         // where; offset from the enclave's base
    uint64_t thread;      // index
    uint64_t text[20];    // NUL-terminated
};

enum class CrashKind : uint64_t { none = 0, exception, abort, trap, startup };

struct HostArea {
    uint64_t exit_reason;  // Exit
    uint64_t refusal;      // Status
    OcallFrame ocall;
    CrashReport crash;
    uint64_t scratch[host_scratch_words];
};

// What became of a call. Values below 0x1000 are the loader core's codes (Code), which an
// ecall's handler returns; the rest belong to the call layer.
enum class Status : uint64_t {
    ok = 0,
    first_call_status = 0x1000,
#define SGXDL_CALL_STATUS(name, text) name,
#include "enclave/interface/status.def"
#undef SGXDL_CALL_STATUS
};

}  // namespace sgxdl
