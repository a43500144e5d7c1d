// Keeps an eye on an enclave's pages for tests: see sgxemu::PageAudit. Knows only what the
// processor did, never what the enclave believes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "emulator/sgxemu.hpp"

namespace sgxemu {

// By index of the page in ELRANGE. Under enclave.lock.
class PageWatch {
 public:
    explicit PageWatch(size_t pages) : marks_(pages) {}

    // EADD.
    void added(size_t page, bool executable);
    // EACCEPT of an added page, or EACCEPTCOPY.
    void accepted(size_t page, bool executable);
    // EACCEPT of PT_TRIM.
    void given_back(size_t page);
    // An instruction is fetched from here. So that the first one is seen, a page gets its right to
    // be executed only then.
    void executed(size_t page);
    bool is_executed(size_t page) const { return marks_[page].executed; }

    const PageAudit& audit() const { return audit_; }

 private:
    struct Marks {
        uint8_t accepted : 1 = 0, executable : 1 = 0, executed : 1 = 0;
    };
    std::vector<Marks> marks_;
    PageAudit audit_;
};

// One for an enclave that is being created; null when nobody watches.
std::unique_ptr<PageWatch> make_page_watch(size_t pages);

}  // namespace sgxemu
