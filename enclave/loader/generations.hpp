// Generations, pins and canonical stubs: what makes a running call see one version of everything.
//
// Stub i is the code `jmp *table[i]`; a thread's table base (GS) names the table of the generation
// it is pinned to. Tables have address space for every stub there may ever be and pages for those
// that exist; slots that are not set hold the trap. Stub indices that were handed out are never
// reused.
//
// The protocol, checked by model/: a pinning thread stores its slot and then loads the current
// generation again; the publisher stores the current generation and then scans the slots. Both
// sides are sequentially consistent, so one of the two sees the other.
#pragma once

#include <atomic>

#include "enclave/loader/arena.hpp"
#include "enclave/loader/budget.hpp"

namespace sgxdl {

struct Generation {
    uint64_t number = 0;
    uintptr_t table = 0;
    size_t pages = 0;             // committed pages of the table
    Generation* older = nullptr;  // next older one that is still live
    bool pinned = false;          // as of the last scan
};

class Generations {
 public:
    Generations(Platform& platform, Arena& arena) : platform_(platform), arena_(arena) {}
    ~Generations();
    Result<void> init(uint32_t stub_capacity);

    // --- pins: wait-free, any thread ---
    Result<void> pin();
    void unpin();

    // --- stubs ---
    // Reserves the next index; none when there is no capacity left. grow() makes it usable.
    uint32_t allot_stub();
    // Takes back indices that were allotted since `count` stubs existed and never handed out.
    void take_back_stubs(uint32_t count, const Vec<uint32_t>& indices);
    // Commits stub code and table pages until every allotted stub is usable in every live table
    // (and in `pending`); true when done.
    Result<bool> grow(Budget& budget);
    uintptr_t stub_address(uint32_t index) const { return stubs_ + index * Platform::stub_size; }
    // Stubs that lead somewhere or did; and all indices there are, unused ones included.
    uint32_t stub_count() const { return stub_count_ - static_cast<uint32_t>(unused_.size()); }
    uint32_t stub_total() const { return stub_count_; }

    static bool has(const Generation& generation, uint32_t index) {
        return index / slots_per_page < generation.pages;
    }
    static void set(const Generation& generation, uint32_t index, uintptr_t address);
    static uintptr_t get(const Generation& generation, uint32_t index);
    uintptr_t trap() const { return trap_; }

    // --- generations ---
    Generation* current() const { return current_.load(std::memory_order_relaxed); }
    Generation* pending() const { return pending_; }
    // Makes the next generation's record; copy_table() then fills its table from the current one.
    Result<void> prepare();
    Result<bool> copy_table(Budget& budget);
    void drop_pending();
    // Makes the pending generation current.
    void publish();

    // Scans the pins; then reachable() answers for this scan.
    void scan();
    // True when a pin of the last scan, or the current generation, lies in [birth, death).
    bool reachable(uint64_t birth, uint64_t death) const;
    // Drops retired generations that the last scan found unpinned; Arena::sweep() frees their
    // tables.
    void collect();

    uint32_t live_count() const;
    uint64_t oldest_pinned() const;  // as of the last scan; 0: none

 private:
    struct alignas(64) Slot {
        std::atomic<Generation*> pinned{nullptr};
        uint32_t depth = 0;  // the owning thread's
    };
    static constexpr size_t stubs_per_page = page_size / Platform::stub_size;
    static constexpr size_t slots_per_page = page_size / sizeof(uintptr_t);

    size_t table_space() const { return align_to_pages(capacity_ * sizeof(uintptr_t)); }
    static size_t align_to_pages(size_t bytes) { return (bytes + page_size - 1) / page_size; }
    Result<void> new_table(Generation& generation);
    void free_table(Generation& generation);
    Result<void> commit_table_page(Generation& generation);
    Result<void> commit_stub_page();

    Platform& platform_;
    Arena& arena_;
    uint32_t capacity_ = 0;
    uint32_t stub_count_ = 0;
    Vec<uint32_t> unused_;  // allotted, taken back, never handed out
    uintptr_t stubs_ = 0;
    size_t stub_pages_ = 0;
    uintptr_t trap_ = 0;
    Generation trap_table_;  // what an unpinned thread meets
    std::atomic<Generation*> current_{nullptr};
    Generation* pending_ = nullptr;
    Slot slots_[Platform::thread_capacity];
};

}  // namespace sgxdl
