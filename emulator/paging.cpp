// The reclaimer: which pages leave, and what the host's page tables say meanwhile.
#include "emulator/paging.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <vector>

#include "emulator/costs.hpp"
#include "emulator/machine.hpp"
#include "emulator/seal.hpp"
#include "emulator/vma.hpp"

namespace sgxemu {

namespace {

constexpr size_t pages_per_scan = 16;  // SGX_NR_TO_SCAN
constexpr size_t slots_per_va_page = 512;

Lock reclaim_lock;
std::vector<Enclave*> reclaimable;  // guarded by reclaim_lock
size_t next_enclave = 0;            // guarded by reclaim_lock

struct Counters {
    std::atomic<uint64_t> written_out{0}, brought_back{0};
};
static_assert(sizeof(Counters) == sizeof(PagingCount));
Counters own_counters;
Counters* counters = &own_counters;

bool may_leave(const Enclave& enclave, const EpcmEntry& entry, uintptr_t page) {
    return entry.valid && !entry.tcs_busy && !entry.pinned && !enclave.is_held(page);
}

// Up to pages_per_scan of the oldest pages. One that cannot leave becomes the newest, as in the
// driver.
std::vector<uintptr_t> choose(Enclave& enclave) {
    std::vector<uintptr_t> chosen;
    const size_t in_epc = enclave.page_count() - enclave.paged_out.count();
    for (size_t i = 0; i < in_epc && chosen.size() < pages_per_scan; ++i) {
        const uintptr_t page = enclave.oldest_page();
        if (page == 0) break;
        enclave.dequeue(page);
        enclave.enqueue(page);
        if (may_leave(enclave, enclave.entry(page), page)) chosen.push_back(page);
    }
    // Neighbours together: fewer changes of the host's page tables.
    std::sort(chosen.begin(), chosen.end());
    return chosen;
}

// Puts the pages out of everybody's reach, so that they do not change while they are sealed;
// returns how many of them, from the first.
size_t block(Enclave& enclave, const std::vector<uintptr_t>& pages) {
    size_t done = 0;
    while (done < pages.size()) {
        size_t next = done + 1;
        while (next < pages.size() && pages[next] == pages[next - 1] + page_size)
            ++next;
        if (!withdraw_access(enclave, pages[done], pages[next - 1] + page_size)) break;
        done = next;
    }
    return done;
}

size_t write_out(Enclave& enclave) {
    if (!enclave.paged_out.make(enclave.size() / page_size)) return 0;
    std::vector<uintptr_t> pages = choose(enclave);
    pages.resize(block(enclave, pages));
    for (const uintptr_t page : pages) {
        EpcmEntry& entry = enclave.entry(page);
        encls_ewb(enclave, page);
        enclave.dequeue(page);
        entry.valid = 0;
        entry.written_out = 1;
        enclave.paged_out.count(1);
        enclave.drop_memory(page);
    }
    charge(Charged::ewb, pages.size());
    machine().return_epc_pages(pages.size());
    counters->written_out.fetch_add(pages.size(), std::memory_order_relaxed);
    return pages.size();
}

enum class Reclaimed { some, none, none_but_one_was_busy };

// One round over the enclaves until some pages have left. The lock of another enclave is only
// tried: its holder may be waiting for ours.
Reclaimed reclaim(Enclave* locked) {
    const Guard guard(reclaim_lock);
    Reclaimed result = Reclaimed::none;
    for (size_t i = 0; i < reclaimable.size(); ++i) {
        next_enclave = (next_enclave + 1) % reclaimable.size();
        Enclave& enclave = *reclaimable[next_enclave];
        if (&enclave == locked) {
            if (write_out(enclave) != 0) return Reclaimed::some;
            continue;
        }
        const TryGuard enclave_guard(enclave.lock);
        if (!enclave_guard) {
            result = Reclaimed::none_but_one_was_busy;
        } else if (write_out(enclave) != 0) {
            return Reclaimed::some;
        }
    }
    return result;
}

}  // namespace

void join_reclaimer(Enclave& enclave) {
    const Guard guard(reclaim_lock);
    reclaimable.push_back(&enclave);
}

void leave_reclaimer(Enclave& enclave) {
    const Guard guard(reclaim_lock);
    std::erase(reclaimable, &enclave);
}

void forget_reclaimer_in_child() {
    new (&reclaim_lock) Lock;
    reclaimable.clear();
}

bool take_epc_page(Enclave* enclave) {
    // The holder of a busy enclave's lock makes room for itself, or waits as we do: not for ever.
    constexpr int patience = 10'000;
    for (int waited = 0; !machine().take_free_epc_page();) {
        if (!machine().config.reclaim) return false;
        const Reclaimed reclaimed = reclaim(enclave);
        if (reclaimed == Reclaimed::none || waited == patience) return false;
        if (reclaimed == Reclaimed::none_but_one_was_busy) {
            ++waited;
            ::sched_yield();
        }
    }
    return true;
}

bool grow(Enclave& enclave) {
    if (!machine().config.reclaim) return true;
    const size_t with_secs = enclave.page_count() + 1;
    if (with_secs <= enclave.paged_out.va_pages() * slots_per_va_page) return true;
    if (!take_epc_page(&enclave)) return false;
    enclave.paged_out.add_va_page();
    return true;
}

bool fetch_page(Enclave& enclave, uintptr_t address) {
    EpcmEntry& entry = enclave.entry(address);
    if (entry.valid) return true;
    if (!entry.written_out || !take_epc_page(&enclave)) return false;
    if (!encls_eldu(enclave, address)) {
        enclave.drop_memory(address);
        machine().return_epc_pages(1);
        return false;
    }
    charge(Charged::eldu);
    entry.written_out = 0;
    enclave.enqueue(address);
    enclave.paged_out.count(-1);
    enclave.paged_out.drop_content(enclave.index_of(address));
    counters->brought_back.fetch_add(1, std::memory_order_relaxed);
    return true;
}

PagingCount paging_count() {
    return {counters->written_out.load(std::memory_order_relaxed),
            counters->brought_back.load(std::memory_order_relaxed)};
}

int count_paging_in(const char* path) {
    const auto fd = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0));
    if (fd < 0) return -errno;
    void* p = MAP_FAILED;
    if (::ftruncate(fd, sizeof(Counters)) == 0) {
        p = host::mmap(nullptr, sizeof(Counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    const int error = p == MAP_FAILED ? -errno : 0;
    host::close(fd);
    if (error == 0) counters = static_cast<Counters*>(p);
    return error;
}

}  // namespace sgxemu
