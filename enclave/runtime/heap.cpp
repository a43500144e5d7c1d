#include "enclave/runtime/heap.hpp"

#include <atomic>
#include <bit>
#include <cstring>

#include "enclave/loader/platform.hpp"
#include "enclave/runtime/lock.hpp"
#include "enclave/runtime/pages.hpp"

namespace sgxdl::heap {

namespace {

constexpr size_t max_small = 16384;
constexpr size_t unit_pages = unit_size / page_size;
constexpr uint32_t none = UINT32_MAX;

enum class Use : uint8_t { absent = 0, pooled, small, large, large_rest, unusable };

// What one unit of 64 KiB is. Lives in the table at the beginning of the window.
struct Unit {
    Use use;
    uint8_t size_class;
    uint16_t used;            // small: blocks handed out
    uint16_t fresh;           // small: blocks from here on were never handed out
    bool present;             // its pages are committed
    bool lost;                // a page of it was set aside: unusable once it is given back
    uint32_t next, previous;  // small: list of units of the class that have a free block
    uint32_t run;             // large: units in the run
    uint32_t padding;
    void* free;  // small: list of freed blocks
};
static_assert(sizeof(Unit) == 32);

// 16, 32, ... 128, then four steps per doubling: 160, 192, 224, 256, 320, ... 16384.
constexpr size_t linear_classes = 8;
constexpr size_t class_count = linear_classes + 7 * 4;

constexpr size_t class_size(size_t index) {
    if (index < linear_classes) return 16 * (index + 1);
    const size_t step = index - linear_classes;
    return (5 + step % 4) << (5 + step / 4);
}
static_assert(class_size(class_count - 1) == max_small);

// The smallest class that holds `size`, which is 1 to max_small.
constexpr size_t class_of(size_t size) {
    if (size <= 128) return (size + 15) / 16 - 1;
    const size_t log = static_cast<size_t>(std::bit_width(size - 1)) - 1;  // 7 for 129 to 256
    return linear_classes + (log - 7) * 4 + ((size - 1) >> (log - 2)) % 4;
}
static_assert(class_of(129) == 8 && class_of(160) == 8 && class_of(161) == 9);
static_assert(class_of(256) == 11 && class_of(257) == 12 && class_of(max_small) == class_count - 1);

struct alignas(64) SizeClass {
    SpinLock lock;
    uint32_t partial = none;  // units with a free block
    std::atomic<uint64_t> blocks{0};
};

SizeClass classes[class_count];
SpinLock pool_lock;  // the table's `use` and `run`; taken after a class's lock, never before
Unit* units;
uintptr_t window;  // address of unit 0
uint32_t unit_count;
uint32_t first_maybe_free;  // no unit below is absent or pooled
uint32_t pooled;            // units committed and unused
uint32_t pooled_least;      // the least of that since the interval began
std::atomic<uint64_t> pages_committed{0}, pages_taken{0}, large_bytes{0}, large_blocks{0};

uintptr_t address_of(uint32_t unit) {
    return window + size_t{unit} * unit_size;
}

void count_pages(int64_t difference) {
    pages_committed.fetch_add(static_cast<uint64_t>(difference), std::memory_order_relaxed);
}

// The table's pages are committed in order, as far as units were ever used.
size_t table_pages_present;
bool have_table(uint32_t last_unit) {
    const size_t needed = ((size_t{last_unit} + 1) * sizeof(Unit) + page_size - 1) / page_size;
    if (needed <= table_pages_present) return true;
    const uintptr_t at = reinterpret_cast<uintptr_t>(units) + table_pages_present * page_size;
    if (pages::commit(at, needed - table_pages_present) != pages::Status::ok) return false;
    count_pages(static_cast<int64_t>(needed - table_pages_present));
    table_pages_present = needed;
    return true;
}

// Makes units [first, first + n), which are taken, present. Holds pool_lock.
bool commit_units(uint32_t first, uint32_t n) {
    for (uint32_t u = first; u < first + n; ++u) {
        if (units[u].present) continue;
        if (pages::commit(address_of(u), unit_pages) != pages::Status::ok) {
            units[u].lost = !pages::usable(address_of(u), unit_pages);
            return false;
        }
        count_pages(unit_pages);
        pages_taken.fetch_add(unit_pages, std::memory_order_relaxed);
        units[u].present = true;
    }
    return true;
}

// Takes the lowest `n` free units that are neighbours; commits none. Holds pool_lock.
uint32_t take_units(uint32_t n, Use use) {
    uint32_t run = 0;
    bool skipped = false;
    for (uint32_t i = first_maybe_free; i < unit_count; ++i) {
        if (!have_table(i)) return none;
        if (units[i].use != Use::absent && units[i].use != Use::pooled) {
            if (run != 0) skipped = true;
            run = 0;
            continue;
        }
        if (++run < n) continue;
        const uint32_t first = i + 1 - n;
        for (uint32_t u = first; u <= i; ++u) {
            units[u].present = units[u].use == Use::pooled;
            pooled -= units[u].present;
            units[u].use = u == first ? use : Use::large_rest;
        }
        if (pooled < pooled_least) pooled_least = pooled;
        units[first].run = n;
        if (!skipped) first_maybe_free = i + 1;
        return first;
    }
    return none;
}

// What is present stays in the pool. Holds pool_lock.
void give_units(uint32_t first, uint32_t n) {
    for (uint32_t u = first; u < first + n; ++u) {
        units[u].use = units[u].lost ? Use::unusable : units[u].present ? Use::pooled : Use::absent;
        pooled += units[u].present;
    }
    if (first < first_maybe_free) first_maybe_free = first;
}

void unlink(SizeClass& owner, uint32_t unit) {
    Unit& u = units[unit];
    (u.previous == none ? owner.partial : units[u.previous].next) = u.next;
    if (u.next != none) units[u.next].previous = u.previous;
}

void link(SizeClass& owner, uint32_t unit) {
    Unit& u = units[unit];
    u.previous = none;
    u.next = owner.partial;
    if (u.next != none) units[u.next].previous = unit;
    owner.partial = unit;
}

void* allocate_small(size_t index) {
    SizeClass& owner = classes[index];
    const size_t size = class_size(index);
    LockGuard guard(owner.lock);
    if (owner.partial == none) [[unlikely]] {
        LockGuard pool(pool_lock);
        const uint32_t unit = take_units(1, Use::small);
        if (unit == none) return nullptr;
        if (!commit_units(unit, 1)) {
            give_units(unit, 1);
            return nullptr;
        }
        Unit& u = units[unit];
        u.size_class = static_cast<uint8_t>(index);
        u.used = u.fresh = 0;
        u.free = nullptr;
        link(owner, unit);
    }
    const uint32_t unit = owner.partial;
    Unit& u = units[unit];
    void* block;
    if (u.free != nullptr) {
        block = u.free;
        memcpy(&u.free, block, sizeof(void*));
    } else {
        block = reinterpret_cast<void*>(address_of(unit) + u.fresh * size);
        ++u.fresh;
    }
    ++u.used;
    if (u.free == nullptr && u.fresh == unit_size / size) unlink(owner, unit);
    owner.blocks.fetch_add(1, std::memory_order_relaxed);
    return block;
}

void release_small(uint32_t unit, void* block) {
    Unit& u = units[unit];
    const size_t index = u.size_class;
    SizeClass& owner = classes[index];
    const size_t size = class_size(index);
    LockGuard guard(owner.lock);
    const size_t offset = reinterpret_cast<uintptr_t>(block) - address_of(unit);
    SGXDL_ASSERT(offset % size == 0 && offset / size < u.fresh && u.used != 0);
    SGXDL_ASSERT(block != u.free);
    const bool was_full = u.free == nullptr && u.fresh == unit_size / size;
    memcpy(block, &u.free, sizeof(void*));
    u.free = block;
    --u.used;
    owner.blocks.fetch_sub(1, std::memory_order_relaxed);
    if (was_full) link(owner, unit);
    // One empty unit per class stays: a caller that allocates and frees one block shall not pay
    // for the pool each time.
    if (u.used == 0 && (owner.partial != unit || u.next != none)) {
        unlink(owner, unit);
        LockGuard pool(pool_lock);
        give_units(unit, 1);
    }
}

void* reserve_large(size_t size) {
    const size_t n = (size + unit_size - 1) / unit_size;
    if (n == 0 || n > unit_count) return nullptr;
    uint32_t unit;
    {
        LockGuard pool(pool_lock);
        unit = take_units(static_cast<uint32_t>(n), Use::large);
    }
    if (unit == none) return nullptr;
    large_bytes.fetch_add(n * unit_size, std::memory_order_relaxed);
    large_blocks.fetch_add(1, std::memory_order_relaxed);
    return reinterpret_cast<void*>(address_of(unit));
}

void* allocate_large(size_t size) {
    void* const block = reserve_large(size);
    if (block == nullptr || heap::extend(block, size)) return block;
    heap::release(block);
    return nullptr;
}

// The unit of a live block; ends the enclave when `block` cannot be one.
uint32_t unit_of(const void* block) {
    const uintptr_t address = reinterpret_cast<uintptr_t>(block);
    const uintptr_t offset = address - window;
    SGXDL_ASSERT(address >= window && offset / unit_size < unit_count);
    const uint32_t unit = static_cast<uint32_t>(offset / unit_size);
    const Use use = units[unit].use;
    SGXDL_ASSERT(use == Use::small || (use == Use::large && offset % unit_size == 0));
    return unit;
}

}  // namespace

bool start(uintptr_t begin, size_t size) {
    // unit_count * (unit_size + sizeof(Unit)), rounded up to a unit for the table.
    const size_t table = (size / unit_size * sizeof(Unit) + unit_size - 1) / unit_size * unit_size;
    const uintptr_t aligned = (begin + unit_size - 1) / unit_size * unit_size;
    if (size < table + (aligned - begin) + unit_size) return false;
    units = reinterpret_cast<Unit*>(aligned);
    window = aligned + table;
    unit_count = static_cast<uint32_t>((begin + size - window) / unit_size);
    return have_table(0);
}

void* reserve(size_t size) {
    return size <= max_small ? allocate(size) : reserve_large(size);
}

bool extend(void* block, size_t size) {
    const uint32_t unit = unit_of(block);
    SGXDL_ASSERT(size <= usable_size(block));
    if (units[unit].use == Use::small) return true;
    LockGuard pool(pool_lock);
    return commit_units(unit, static_cast<uint32_t>((size + unit_size - 1) / unit_size));
}

uint64_t taken() {
    return pages_taken.load(std::memory_order_relaxed);
}

void* allocate(size_t size) {
    if (size == 0) size = 1;
    return size <= max_small ? allocate_small(class_of(size)) : allocate_large(size);
}

void* allocate_aligned(size_t alignment, size_t size) {
    if (!std::has_single_bit(alignment) || alignment > unit_size) return nullptr;
    if (size == 0) size = 1;
    if (alignment <= 16) return allocate(size);
    const size_t wanted = size < alignment ? alignment : size;
    if (wanted > max_small) return allocate_large(wanted);
    return allocate_small(class_of(std::bit_ceil(wanted)));
}

size_t usable_size(const void* block) {
    const Unit& u = units[unit_of(block)];
    return u.use == Use::small ? class_size(u.size_class) : size_t{u.run} * unit_size;
}

void* reallocate(void* block, size_t size) {
    if (block == nullptr) return allocate(size);
    const size_t old = usable_size(block);
    // Shrinking stays in place unless it would waste more than half.
    if (size <= old && size > old / 2) return block;
    void* const moved = allocate(size);
    if (moved == nullptr) return nullptr;
    memcpy(moved, block, size < old ? size : old);
    release(block);
    return moved;
}

void release(void* block) {
    if (block == nullptr) return;
    const uint32_t unit = unit_of(block);
    if (units[unit].use == Use::small) return release_small(unit, block);
    const uint32_t n = units[unit].run;
    large_bytes.fetch_sub(size_t{n} * unit_size, std::memory_order_relaxed);
    large_blocks.fetch_sub(1, std::memory_order_relaxed);
    LockGuard pool(pool_lock);
    give_units(unit, n);
}

size_t trim(size_t max_pages, bool everything) {
    size_t given = 0;
    uint32_t known;  // units that the table describes
    {
        LockGuard pool(pool_lock);
        const size_t described = table_pages_present * page_size / sizeof(Unit);
        known = described < unit_count ? static_cast<uint32_t>(described) : unit_count;
        if (!everything && max_pages > size_t{pooled_least} * unit_pages) {
            max_pages = size_t{pooled_least} * unit_pages;
        }
    }
    // From the top: take_units() prefers the lowest, so the heap stays dense at its beginning.
    for (uint32_t i = known; i-- > 0 && given + unit_pages <= max_pages;) {
        {
            LockGuard pool(pool_lock);
            if (units[i].use != Use::pooled) continue;
            units[i].use = Use::unusable;  // ours while the lock is not held
            --pooled;
            if (pooled_least != 0) --pooled_least;
        }
        const bool clean = pages::release(address_of(i), unit_pages);
        LockGuard pool(pool_lock);
        count_pages(-static_cast<int64_t>(unit_pages));
        if (!clean) continue;
        units[i].use = Use::absent;
        if (i < first_maybe_free) first_maybe_free = i;
        given += unit_pages;
    }
    return given;
}

void begin_interval() {
    LockGuard pool(pool_lock);
    pooled_least = pooled;
}

Counters counters() {
    Counters sum = {pages_committed.load(std::memory_order_relaxed),
                    large_bytes.load(std::memory_order_relaxed),
                    large_blocks.load(std::memory_order_relaxed)};
    for (size_t i = 0; i < class_count; ++i) {
        const uint64_t blocks = classes[i].blocks.load(std::memory_order_relaxed);
        sum.live_blocks += blocks;
        sum.live_bytes += blocks * class_size(i);
    }
    return sum;
}

}  // namespace sgxdl::heap
