// The gap that a patch makes in the service: clients send a probe at least every 100 us; a window's
// longest wait is the longest time that any probe took, counted from the moment it was due. Windows
// of equal length with and without patches are interleaved; the figure is the median over each
// kind.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "examples/sqlite/server/clients.hpp"

namespace sgxdl::sqlite {

struct GapOptions {
    unsigned clients = 2;
    unsigned windows = 20;  // of each kind
    std::chrono::milliseconds window{200};
    std::chrono::microseconds interval{80};  // from one probe's due time to the next
};

struct GapResult {
    double without_ms = 0;  // median of the windows' longest waits
    double with_ms = 0;
    double probe_interval_ms = 0;  // median time between probes actually sent, all clients
    uint64_t probes = 0;
    uint64_t bad_probes = 0;  // wrong or failed answers
    unsigned windows = 0;     // of each kind
};

// Runs the measurement; `change` is called once in each window "with", early enough to be over
// before the window ends, and returns false when it failed (which ends the measurement: throws).
GapResult measure_gap(const GapOptions& options, const Connect& connect, const CheckedQuery& probe,
                      const std::function<bool()>& change);

}  // namespace sgxdl::sqlite
