// How much one slice of work may still cost. Counted in rough nanoseconds, by what was done and
// not by a clock: an enclave has no clock that it can trust.
#pragma once

#include SGXDL_PLATFORM_HEADER

namespace sgxdl {

struct Budget {
    static constexpr int64_t slice = 120'000;  // a slice ends soon after this much
    static constexpr int64_t page =
        9'000;  // commit or release one page (emulated; 2,000 on hardware)
    static constexpr int64_t relocation = 25;     // look at or apply one
    static constexpr int64_t record = 40;         // decode or place one section, symbol or unit
    static constexpr int64_t bytes_per_unit = 8;  // copy or hash this many bytes

    int64_t left = slice;
    uint64_t heap_at_begin = Platform::heap_growth();
    void spend(int64_t cost) { left -= cost; }
    bool spent() const {
        return left <= static_cast<int64_t>(Platform::heap_growth() - heap_at_begin) * page;
    }
};

}  // namespace sgxdl
