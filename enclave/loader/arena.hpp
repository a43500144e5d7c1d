// The pages of the arena: which are taken, for what, and how many linked copies stand on each.
//
// take() and give() deal in address space; the platform makes pages present and gives them back.
// A page that linked copies share is freed when the last of them is gone: hold() and drop() count,
// sweep() releases in runs of at most 16 (the driver interrupts every CPU once per page).
#pragma once

#include "enclave/loader/vec.hpp"

namespace sgxdl {

class Arena {
 public:
    static constexpr size_t sweep_run = 16;

    explicit Arena(Platform& platform) : platform_(platform) {}
    Result<void> init();

    // Takes `count` contiguous pages of address space, nothing committed; 0 when there is no room.
    uintptr_t take(size_t count);
    // Gives address space back whose pages are not committed.
    void give(uintptr_t address, size_t count);

    // Commits taken pages; on error none of them is committed.
    Result<void> commit_data(uintptr_t address, size_t count);
    Result<void> commit_copy(uintptr_t address, const void* source, size_t count, PageUse use);
    // Releases pages at once (an abandoned operation's) and gives their address space back if
    // `give`. Taken pages in the range that are not committed are only given back.
    void release(uintptr_t address, size_t count, bool give);

    // Gives address space back as sweep() releases its pages.
    void discard(uintptr_t address, size_t count);

    // One more, or one less, linked copy stands on [address, address + size).
    void hold(uintptr_t address, uint64_t size);
    void drop(uintptr_t address, uint64_t size);
    // Releases one run of pages that nothing stands on any more; true when there may be more.
    bool sweep();

    bool contains(uintptr_t address) const { return address - base_ < pages_.size() * page_size; }
    // What is committed at an address inside the arena, or nothing.
    bool is_code(uintptr_t address) const;
    size_t committed(PageUse use) const { return committed_[static_cast<size_t>(use)]; }
    uintptr_t base() const { return base_; }
    size_t size() const { return pages_.size() * page_size; }

 private:
    struct Page {
        uint16_t holders = 0;
        enum class State : uint8_t { free, taken, committed, dead, lost } state = State::free;
        PageUse use = PageUse::data;
    };
    size_t index(uintptr_t address) const {
        SGXDL_ASSERT(contains(address) && address % page_size == 0);
        return (address - base_) / page_size;
    }
    Result<void> check_usable(uintptr_t address, size_t count);
    Result<void> finish_commit(const Result<void>& done, uintptr_t address, size_t count,
                               PageUse use);
    // Gives committed pages [first, first + count), all alike, back to the platform.
    void release_run(size_t first, size_t count, Page::State after);

    Platform& platform_;
    uintptr_t base_ = 0;
    Vec<Page> pages_;
    size_t hint_ = 0;  // no free page lies below
    size_t dead_ = 0;  // pages waiting for sweep()
    size_t sweep_at_ = 0;
    size_t committed_[3] = {};
};

}  // namespace sgxdl
