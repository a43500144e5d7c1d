#include "emulator/costs.hpp"

#include <time.h>
#include <x86intrin.h>

#include <array>
#include <atomic>
#include <cerrno>

namespace sgxemu {

namespace {

using enum Charged;

// "Confidential Serverless Made Efficient with Plug-In Enclaves", ISCA 2021, table of median
// instruction latencies.
constexpr CostRow gemini_lake[] = {
    {eenter, 14'000, true, "EENTER"},
    {eexit, 6'000, true, "EEXIT"},
    {eresume, 14'000, false, "as EENTER"},
    {aex, 6'000, false, "as EEXIT"},
    {eaccept, 10'000, true, "EACCEPT"},
    {eacceptcopy, 10'000, false, "as EACCEPT; the copy is not counted"},
    {emodpe, 9'000, true, "EMODPE"},
    {ereport, 34'000, true, "EREPORT"},
    {egetkey, 40'000, true, "EGETKEY"},
    {ecreate, 28'500, true, "ECREATE"},
    {eadd, 12'500, true, "EADD"},
    {eextend, 5'500, true, "EEXTEND, 256 bytes"},
    {einit, 88'000, true, "EINIT"},
    {eaug, 10'000, true, "EAUG; the page fault around it is not counted"},
    {emodpr, 8'000, true, "EMODPR; ETRACK and interrupts are not counted"},
    {emodt, 6'000, true, "EMODT; ETRACK and interrupts are not counted"},
    {eremove, 4'500, true, "EREMOVE"},
    {ewb, 12'500, false, "as EADD"},
    {eldu, 12'500, false, "as EADD"},
};

// "Eleos: ExitLess OS Services for SGX Enclaves", EuroSys 2017: direct costs of exits and of a page
// fault that the driver serves. A machine without SGX2.
constexpr CostRow skylake[] = {
    {eenter, 3'800, true, "EENTER"},
    {eexit, 3'300, true, "EEXIT"},
    {eresume, 3'800, false, "as EENTER"},
    {aex, 3'300, false, "as EEXIT"},
    {eaccept, 3'800, false, "as EENTER"},
    {eacceptcopy, 3'800, false, "as EENTER"},
    {emodpe, 3'800, false, "as EENTER"},
    {ereport, 3'800, false, "as EENTER"},
    {egetkey, 3'800, false, "as EENTER"},
    {ecreate, 25'000, false, "as a served page fault"},
    {eadd, 25'000, false, "as a served page fault"},
    {eextend, 0, false, "contained in EADD"},
    {einit, 25'000, false, "as a served page fault"},
    {eaug, 25'000, false, "as a served page fault"},
    {emodpr, 3'800, false, "as EENTER"},
    {emodt, 3'800, false, "as EENTER"},
    {eremove, 3'800, false, "as EENTER"},
    {ewb, 0, false, "contained in ELDU"},
    {eldu, 25'000, true, "the driver's share of a page fault, eviction of another page included"},
};

constexpr CostTable tables[] = {
    {"gemini-lake", "Intel Pentium Silver J5005 (NUC7PJYH)",
     "Li et al., Confidential Serverless Made Efficient with Plug-In Enclaves, ISCA 2021", 1.5,
     gemini_lake},
    {"skylake", "Intel Core i7-6700",
     "Orenbach et al., Eleos: ExitLess OS Services for SGX Enclaves, EuroSys 2017", 3.4, skylake},
};

// Every table has every row, in order: charge() indexes.
constexpr bool is_complete(const CostTable& table) {
    if (table.rows.size() != static_cast<size_t>(Charged::count)) return false;
    for (size_t i = 0; i < table.rows.size(); ++i) {
        if (static_cast<size_t>(table.rows[i].what) != i) return false;
    }
    return true;
}
static_assert(is_complete(tables[0]) && is_complete(tables[1]));

std::atomic<const CostTable*> model{nullptr};
std::atomic<double> ticks_per_cycle{0};
std::array<std::atomic<uint64_t>, static_cast<size_t>(Charged::count)> counts;

// Of the innermost scope on this thread. Handlers use it: it must not be allocated lazily.
__attribute__((tls_model("initial-exec"))) thread_local double owed = 0;

uint64_t monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// Of the TSC, which on the processors that matter ticks evenly (constant_tsc).
double measured_tsc_ghz() {
    constexpr uint64_t interval_ns = 10'000'000;
    const uint64_t begin_ns = monotonic_ns(), begin = __rdtsc();
    uint64_t now_ns = begin_ns;
    while (now_ns - begin_ns < interval_ns)
        now_ns = monotonic_ns();
    return static_cast<double>(__rdtsc() - begin) / static_cast<double>(now_ns - begin_ns);
}

}  // namespace

std::span<const CostTable> cost_tables() {
    return tables;
}

int charge_costs(std::string_view name) {
    for (std::atomic<uint64_t>& count : counts)
        count.store(0, std::memory_order_relaxed);
    if (name.empty()) {
        model.store(nullptr, std::memory_order_release);
        return 0;
    }
    for (const CostTable& table : tables) {
        if (name != table.name) continue;
        ticks_per_cycle.store(measured_tsc_ghz() / table.ghz, std::memory_order_relaxed);
        model.store(&table, std::memory_order_release);
        return 0;
    }
    return -ENOENT;
}

const char* cost_model() {
    const CostTable* table = model.load(std::memory_order_acquire);
    return table != nullptr ? table->name : nullptr;
}

CostRecord cost_record(size_t table, size_t row) {
    if (table >= std::size(tables)) return {};
    const CostTable& t = tables[table];
    if (row >= t.rows.size()) return {t.name, t.machine, t.source, t.ghz};
    const CostRow& r = t.rows[row];
    return {t.name, t.machine, t.source, t.ghz, r.what, r.cycles, r.quoted, r.note};
}

uint64_t charged(Charged what) {
    return counts[static_cast<size_t>(what)].load(std::memory_order_relaxed);
}

void charge(Charged what, uint64_t times) {
    const CostTable* table = model.load(std::memory_order_acquire);
    if (table == nullptr || times == 0) return;
    counts[static_cast<size_t>(what)].fetch_add(times, std::memory_order_relaxed);
    owed += static_cast<double>(table->rows[static_cast<size_t>(what)].cycles) *
            static_cast<double>(times) * ticks_per_cycle.load(std::memory_order_relaxed);
}

CostScope::CostScope() {
    if (model.load(std::memory_order_relaxed) == nullptr) return;
    begin_ = __rdtsc();
    outer_ = owed;
    owed = 0;
}

CostScope::~CostScope() {
    if (begin_ == 0) return;
    const auto ticks = static_cast<uint64_t>(owed);
    while (__rdtsc() - begin_ < ticks)
        _mm_pause();
    owed = outer_;
}

}  // namespace sgxemu
