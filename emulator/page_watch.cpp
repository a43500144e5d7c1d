#include "emulator/page_watch.hpp"

#include <atomic>

#include "emulator/registry.hpp"

namespace sgxemu {

namespace {

std::atomic<bool> watching{false};

}  // namespace

void PageWatch::added(size_t page, bool executable) {
    marks_[page].executable = executable;
}

void PageWatch::accepted(size_t page, bool executable) {
    Marks& marks = marks_[page];
    ++audit_.accepted;
    audit_.accepted_twice += marks.accepted;
    marks = {.accepted = 1, .executable = executable, .executed = 0};
}

void PageWatch::given_back(size_t page) {
    marks_[page] = {};
}

void PageWatch::executed(size_t page) {
    Marks& marks = marks_[page];
    if (marks.executed) return;
    marks.executed = 1;
    ++audit_.executed;
    audit_.executed_uncommitted += !marks.executable;
}

std::unique_ptr<PageWatch> make_page_watch(size_t pages) {
    if (!watching.load(std::memory_order_relaxed)) return nullptr;
    return std::make_unique<PageWatch>(pages);
}

void watch_pages(bool on) {
    watching.store(on, std::memory_order_relaxed);
}

PageAudit page_audit(int fd) {
    const SignalsBlocked blocked;
    const EnclaveRef enclave = find_by_descriptor(fd);
    if (!enclave) return {};
    const Guard guard(enclave->lock);
    return enclave->watch ? enclave->watch->audit() : PageAudit{};
}

}  // namespace sgxemu
