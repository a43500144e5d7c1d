// The stubs of one enclave: made at its ENCLUs, found by the handler of a signal that came in one.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "emulator/fast/offsets.h"

namespace sgxemu {

class Enclave;

// States of a stub, in the order of its instructions: from offset `begin` to the next one's.
struct StubRange {
    uint16_t begin;
    uint8_t kind;  // offsets.h
    uint8_t value;
};
static_assert(sizeof(StubRange) == 4);

class EncluStubs {
 public:
    EncluStubs() = default;
    ~EncluStubs();
    EncluStubs(const EncluStubs&) = delete;
    EncluStubs& operator=(const EncluStubs&) = delete;

    // A stub for the ENCLU at `site`, which must be able to reach it by a jump whose displacement
    // has `high` as its upper half; 0: it cannot be had. Stubs stay as long as the enclave, since a
    // thread may be in one. Under enclave.lock.
    uint64_t make(const Enclave& enclave, uint64_t site, uint16_t high);

    // The stub that the address lies in, and its ENCLU. Without the lock.
    struct Found {
        uint64_t stub = 0, site = 0;
        StubRange range{};
    };
    bool find(uint64_t address, Found& found) const;

 private:
    static constexpr size_t max_pages = 16;
    // Page i's address; published after its content.
    std::array<std::atomic<uint64_t>, max_pages> pages_{};
    std::array<size_t, max_pages> used_{};  // stubs in it; under the lock
};

// The ENCLU that a stub stands for.
uint64_t enclu_of_stub(uint64_t stub);

}  // namespace sgxemu
