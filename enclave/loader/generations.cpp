#include "enclave/loader/generations.hpp"

#include <cstring>

namespace sgxdl {

Result<void> Generations::init(uint32_t stub_capacity) {
    capacity_ = stub_capacity;
    trap_ = platform_.trap_address();
    stubs_ = arena_.take(align_to_pages(capacity_ * Platform::stub_size));
    if (!stubs_) return make_error(Code::no_arena, "%u stubs", static_cast<uint64_t>(capacity_));
    SGXDL_TRY(new_table(trap_table_));
    Generation* first = create<Generation>();
    if (!first) return make_error(Code::no_memory, "first generation");
    first->number = 1;
    if (auto made = new_table(*first); !made) {
        destroy(first);
        return made;
    }
    current_.store(first, std::memory_order_release);
    return {};
}

Generations::~Generations() {
    if (!stubs_) return;
    drop_pending();
    for (Generation* g = current(); g;) {
        Generation* older = g->older;
        free_table(*g);
        destroy(g);
        g = older;
    }
    if (trap_table_.table) free_table(trap_table_);
    arena_.release(stubs_, align_to_pages(capacity_ * Platform::stub_size), true);
}

// --- pins ---------------------------------------------------------------------------------------

Result<void> Generations::pin() {
    Generation* generation = current_.load(std::memory_order_acquire);
    if (!generation) return make_error(Code::bad_state, "the loader is not initialised");
    const uint32_t thread = platform_.thread_index();
    if (thread >= Platform::thread_capacity) return make_error(Code::too_many_threads);
    Slot& slot = slots_[thread];
    if (slot.depth++ > 0) return {};
    for (;;) {
        // Orders the store before the load below; partner: publish() and scan(). A record that was
        // freed in between may be dead here, so it is not looked at before the second load confirms
        // it.
        slot.pinned.store(generation, std::memory_order_seq_cst);
        Generation* again = current_.load(std::memory_order_seq_cst);
        if (again == generation) break;
        generation = again;
    }
    platform_.set_table(reinterpret_cast<const void*>(generation->table));
    return {};
}

void Generations::unpin() {
    Slot& slot = slots_[platform_.thread_index()];
    SGXDL_ASSERT(slot.depth > 0);
    if (--slot.depth > 0) return;
    platform_.set_table(reinterpret_cast<const void*>(trap_table_.table));
    // Orders everything this call read before the slot is seen empty; partner: scan().
    slot.pinned.store(nullptr, std::memory_order_release);
}

// --- stubs --------------------------------------------------------------------------------------

uint32_t Generations::allot_stub() {
    if (!unused_.empty()) {
        const uint32_t index = unused_[unused_.size() - 1];
        unused_.truncate(unused_.size() - 1);
        return index;
    }
    return stub_count_ < capacity_ ? stub_count_++ : UINT32_MAX;
}

void Generations::take_back_stubs(uint32_t count, const Vec<uint32_t>& indices) {
    // True when they are exactly the newest there are; one from `unused_`, or one that somebody
    // else allotted since, makes it false.
    bool newest = unused_.empty() && stub_count_ - count == indices.size();
    for (uint32_t index : indices)
        newest &= index >= count;
    for (uint32_t index : indices) {
        // It may hold an address already; nobody has the stub, but nothing may dangle.
        for (Generation* g = current(); g; g = g->older) {
            if (has(*g, index)) set(*g, index, trap_);
        }
        // Without memory the index is lost, which wastes a slot and no more.
        if (!newest) (void)unused_.push(index);
    }
    if (!newest) return;
    // Nobody else allotted one since: shrink to what there was.
    stub_count_ = count;
    const size_t stub_pages = (count + stubs_per_page - 1) / stubs_per_page;
    if (stub_pages < stub_pages_) {
        arena_.release(stubs_ + stub_pages * page_size, stub_pages_ - stub_pages, false);
        stub_pages_ = stub_pages;
    }
    const size_t pages = (count + slots_per_page - 1) / slots_per_page;
    auto shrink = [&](Generation& g) {
        if (g.pages <= pages) return;
        arena_.release(g.table + pages * page_size, g.pages - pages, false);
        g.pages = pages;
    };
    shrink(trap_table_);
    for (Generation* g = current(); g; g = g->older)
        shrink(*g);
}

Result<void> Generations::commit_stub_page() {
    void* staging = platform_.staging_alloc(1);
    if (!staging) return make_error(Code::no_memory, "staging for stubs");
    for (size_t i = 0; i < stubs_per_page; ++i) {
        Platform::emit_stub(static_cast<uint8_t*>(staging) + i * Platform::stub_size,
                            static_cast<uint32_t>(stub_pages_ * stubs_per_page + i));
    }
    auto done = arena_.commit_copy(stubs_ + stub_pages_ * page_size, staging, 1, PageUse::code);
    platform_.staging_free(staging, 1);
    if (done) ++stub_pages_;
    return done;
}

Result<void> Generations::commit_table_page(Generation& g) {
    const uintptr_t page = g.table + g.pages * page_size;
    SGXDL_TRY(arena_.commit_data(page, 1));
    ++g.pages;
    auto* slots = reinterpret_cast<uintptr_t*>(page);
    for (size_t i = 0; i < slots_per_page; ++i)
        slots[i] = trap_;
    return {};
}

Result<bool> Generations::grow(Budget& budget) {
    const size_t pages = (stub_count_ + slots_per_page - 1) / slots_per_page;
    auto grow_table = [&](Generation& g) -> Result<bool> {
        while (g.pages < pages) {
            if (budget.spent()) return false;
            SGXDL_TRY(commit_table_page(g));
            budget.spend(Budget::page);
        }
        return true;
    };
    // A pending table that is copied already grows along, ahead of the current one, so that it
    // stays complete when a page is refused; one that is not copied yet will be.
    if (pending_ && pending_->pages >= current()->pages) {
        if (auto done = grow_table(*pending_); !done || !*done) return done;
    }
    if (auto done = grow_table(trap_table_); !done || !*done) return done;
    for (Generation* g = current(); g; g = g->older) {
        if (auto done = grow_table(*g); !done || !*done) return done;
    }
    while (stub_pages_ * stubs_per_page < stub_count_) {
        if (budget.spent()) return false;
        SGXDL_TRY(commit_stub_page());
        budget.spend(Budget::page);
    }
    return true;
}

void Generations::set(const Generation& generation, uint32_t index, uintptr_t address) {
    SGXDL_ASSERT(index / slots_per_page < generation.pages);
    // Orders the linked code before the address that leads to it; partner: the stub's load.
    __atomic_store_n(reinterpret_cast<uintptr_t*>(generation.table) + index, address,
                     __ATOMIC_RELEASE);
}

uintptr_t Generations::get(const Generation& generation, uint32_t index) {
    SGXDL_ASSERT(index / slots_per_page < generation.pages);
    return __atomic_load_n(reinterpret_cast<uintptr_t*>(generation.table) + index,
                           __ATOMIC_RELAXED);
}

// --- generations --------------------------------------------------------------------------------

Result<void> Generations::new_table(Generation& generation) {
    generation.table = arena_.take(table_space());
    if (!generation.table) return make_error(Code::no_arena, "stub table");
    return {};
}

void Generations::free_table(Generation& generation) {
    arena_.release(generation.table, table_space(), true);
    generation.table = 0;
}

Result<void> Generations::prepare() {
    SGXDL_ASSERT(!pending_);
    Generation* next = create<Generation>();
    if (!next) return make_error(Code::no_memory, "generation");
    auto made = new_table(*next);
    if (!made) {
        // Tables of generations that nobody is pinned to may take up the room.
        scan();
        collect();
        while (arena_.sweep()) {
        }
        made = new_table(*next);
    }
    if (!made) {
        destroy(next);
        return made;
    }
    next->number = current()->number + 1;
    pending_ = next;
    return {};
}

Result<bool> Generations::copy_table(Budget& budget) {
    const Generation& from = *current();
    while (pending_->pages < from.pages) {
        if (budget.spent()) return false;
        const size_t page = pending_->pages;
        SGXDL_TRY(commit_table_page(*pending_));
        memcpy(reinterpret_cast<void*>(pending_->table + page * page_size),
               reinterpret_cast<const void*>(from.table + page * page_size), page_size);
        budget.spend(Budget::page);
    }
    return true;
}

void Generations::drop_pending() {
    if (!pending_) return;
    free_table(*pending_);
    destroy(pending_);
    pending_ = nullptr;
}

void Generations::publish() {
    pending_->older = current();
    Generation* next = pending_;
    pending_ = nullptr;
    // Orders the whole new state before the pointer, and the pointer before the scans that follow;
    // partner: pin().
    current_.store(next, std::memory_order_seq_cst);
}

void Generations::scan() {
    for (Generation* g = current(); g; g = g->older)
        g->pinned = false;
    for (Slot& slot : slots_) {
        // Partner: pin(). A stale pointer of a thread that is about to look again matches nothing,
        // or a record at the same address, which then only stays longer.
        Generation* pinned = slot.pinned.load(std::memory_order_seq_cst);
        if (!pinned) continue;
        for (Generation* g = current(); g; g = g->older) {
            if (g == pinned) g->pinned = true;
        }
    }
}

bool Generations::reachable(uint64_t birth, uint64_t death) const {
    for (Generation* g = current(); g; g = g->older) {
        if ((g->pinned || g == current()) && birth <= g->number && g->number < death) return true;
    }
    return false;
}

void Generations::collect() {
    Generation* newer = current();
    while (Generation* g = newer->older) {
        if (g->pinned) {
            newer = g;
            continue;
        }
        newer->older = g->older;
        arena_.discard(g->table, table_space());
        destroy(g);
    }
}

uint32_t Generations::live_count() const {
    uint32_t count = 0;
    for (Generation* g = current(); g; g = g->older)
        ++count;
    return count;
}

uint64_t Generations::oldest_pinned() const {
    uint64_t oldest = 0;
    for (Generation* g = current(); g; g = g->older) {
        if (g->pinned) oldest = g->number;
    }
    return oldest;
}

}  // namespace sgxdl
