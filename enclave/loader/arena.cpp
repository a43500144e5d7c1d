#include "enclave/loader/arena.hpp"

namespace sgxdl {

Result<void> Arena::init() {
    const AddressRange range = platform_.arena();
    SGXDL_ASSERT(range.begin % page_size == 0 && range.size % page_size == 0 &&
                 range.size <= (2ull << 30));
    base_ = range.begin;
    if (!pages_.resize(range.size / page_size)) return make_error(Code::no_memory, "page records");
    return {};
}

uintptr_t Arena::take(size_t count) {
    SGXDL_ASSERT(count > 0);
    Page* pages = pages_.begin();
    while (hint_ < pages_.size() && pages[hint_].state != Page::State::free)
        ++hint_;
    size_t run = 0;
    for (size_t i = hint_; i < pages_.size(); ++i) {
        run = pages[i].state == Page::State::free ? run + 1 : 0;
        if (run != count) continue;
        const size_t first = i + 1 - count;
        for (size_t k = first; k <= i; ++k)
            pages[k].state = Page::State::taken;
        return base_ + first * page_size;
    }
    return 0;
}

void Arena::give(uintptr_t address, size_t count) {
    const size_t first = index(address);
    for (size_t i = first; i < first + count; ++i) {
        SGXDL_ASSERT(pages_[i].state == Page::State::taken);
        pages_[i].state = Page::State::free;
    }
    if (first < hint_) hint_ = first;
}

// Taken pages stay taken when they are released without being given back; the system may have kept
// some of those.
Result<void> Arena::check_usable(uintptr_t address, size_t count) {
    const size_t first = index(address);
    for (size_t i = first; i < first + count; ++i) {
        if (pages_[i].state == Page::State::lost)
            return make_error(Code::page_refused, "the system kept the page at %x",
                              base_ + i * page_size);
    }
    return {};
}

Result<void> Arena::commit_data(uintptr_t address, size_t count) {
    if (count == 0) return {};
    SGXDL_TRY(check_usable(address, count));
    return finish_commit(platform_.commit_data(address, count), address, count, PageUse::data);
}

Result<void> Arena::commit_copy(uintptr_t address, const void* source, size_t count, PageUse use) {
    SGXDL_TRY(check_usable(address, count));
    return finish_commit(platform_.commit_copy(address, source, count, use), address, count, use);
}

Result<void> Arena::finish_commit(const Result<void>& done, uintptr_t address, size_t count,
                                  PageUse use) {
    const size_t first = index(address);
    for (size_t i = first; i < first + count; ++i) {
        SGXDL_ASSERT(pages_[i].state == Page::State::taken);
        if (!done) {
            if (!platform_.usable(base_ + i * page_size, 1)) pages_[i].state = Page::State::lost;
            continue;
        }
        pages_[i].state = Page::State::committed;
        pages_[i].use = use;
        pages_[i].holders = 0;
    }
    if (done) committed_[static_cast<size_t>(use)] += count;
    return done;
}

void Arena::release_run(size_t first, size_t count, Page::State after) {
    const PageUse use = pages_[first].use;
    const bool reusable = platform_.release(base_ + first * page_size, count);
    committed_[static_cast<size_t>(use)] -= count;
    for (size_t i = first; i < first + count; ++i) {
        // A page that the OS kept may come back with other content: it is never used again.
        pages_[i].state = reusable ? after : Page::State::lost;
    }
    if (after == Page::State::free && first < hint_) hint_ = first;
}

void Arena::release(uintptr_t address, size_t count, bool give_back) {
    const Page::State after = give_back ? Page::State::free : Page::State::taken;
    const size_t first = index(address);
    for (size_t i = first; i < first + count;) {
        size_t run = 1;
        if (pages_[i].state == Page::State::committed) {
            while (i + run < first + count && run < sweep_run &&
                   pages_[i + run].state == Page::State::committed &&
                   pages_[i + run].use == pages_[i].use) {
                ++run;
            }
            release_run(i, run, after);
        } else if (give_back && pages_[i].state == Page::State::taken) {
            give(base_ + i * page_size, 1);
        }
        i += run;
    }
}

void Arena::discard(uintptr_t address, size_t count) {
    const size_t first = index(address);
    for (size_t i = first; i < first + count; ++i) {
        if (pages_[i].state == Page::State::committed) {
            pages_[i].state = Page::State::dead;
            ++dead_;
        } else if (pages_[i].state == Page::State::taken) {
            give(base_ + i * page_size, 1);
        }
    }
}

void Arena::hold(uintptr_t address, uint64_t size) {
    if (size == 0) return;
    const size_t first = index(address & ~(page_size - 1));
    const size_t last = index((address + size - 1) & ~(page_size - 1));
    for (size_t i = first; i <= last; ++i) {
        SGXDL_ASSERT(pages_[i].state == Page::State::committed && pages_[i].holders < UINT16_MAX);
        ++pages_[i].holders;
    }
}

void Arena::drop(uintptr_t address, uint64_t size) {
    if (size == 0) return;
    const size_t first = index(address & ~(page_size - 1));
    const size_t last = index((address + size - 1) & ~(page_size - 1));
    for (size_t i = first; i <= last; ++i) {
        SGXDL_ASSERT(pages_[i].state == Page::State::committed && pages_[i].holders > 0);
        if (--pages_[i].holders == 0) {
            pages_[i].state = Page::State::dead;
            ++dead_;
        }
    }
}

bool Arena::sweep() {
    if (dead_ == 0) return false;
    while (pages_[sweep_at_].state != Page::State::dead)
        sweep_at_ = sweep_at_ + 1 == pages_.size() ? 0 : sweep_at_ + 1;
    const size_t first = sweep_at_;
    size_t run = 1;
    while (first + run < pages_.size() && run < sweep_run &&
           pages_[first + run].state == Page::State::dead &&
           pages_[first + run].use == pages_[first].use) {
        ++run;
    }
    release_run(first, run, Page::State::free);
    dead_ -= run;
    return dead_ != 0;
}

bool Arena::is_code(uintptr_t address) const {
    if (!contains(address)) return false;
    const Page& page = pages_[(address - base_) / page_size];
    return (page.state == Page::State::committed || page.state == Page::State::dead) &&
           page.use == PageUse::code;
}

}  // namespace sgxdl
