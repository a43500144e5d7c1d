// What SGX operations cost on real machines, charged on request: each takes at least as long here,
// by the cycles that were reported for it at that machine's frequency. Off unless asked for. The
// time that the emulator spends itself counts; where it is slower than the machine, it stays
// slower.
//
// The figures were entered without the papers at hand and have not been compared with their text:
// do that before anything is concluded from them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "emulator/sgxemu.hpp"

namespace sgxemu {

struct CostRow {
    Charged what = Charged::count;
    uint32_t cycles = 0;
    bool quoted = false;    // false: the source has no figure; the nearest is charged
    const char* note = "";  // where in the source, or which row is the nearest
};

struct CostTable {
    const char* name;
    const char* machine;
    const char* source;
    double ghz;  // cycles of this frequency
    std::span<const CostRow> rows;
};

std::span<const CostTable> cost_tables();

// Adds the operation to what the running scope owes. Nothing without a model. Safe in handlers.
void charge(Charged what, uint64_t times = 1);

// One way through the emulator: whatever it owes at its end it waits for.
class CostScope {
 public:
    CostScope();
    ~CostScope();
    CostScope(const CostScope&) = delete;
    CostScope& operator=(const CostScope&) = delete;

 private:
    uint64_t begin_ = 0;
    double outer_ = 0;  // what the interrupted scope owes already, in ticks
};

}  // namespace sgxemu
