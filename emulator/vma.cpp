// mmap, mprotect and munmap of enclave memory.
#include "emulator/vma.hpp"

#include <sys/mman.h>
#include <sys/personality.h>

#include <algorithm>
#include <cerrno>

#include "emulator/host.hpp"
#include "emulator/machine.hpp"
#include "emulator/registry.hpp"
#include "emulator/sgxemu.hpp"

namespace sgxemu {

namespace {

constexpr int rwx = PROT_READ | PROT_WRITE | PROT_EXEC;

uintptr_t page_round_up(uintptr_t n) {
    return (n + page_size - 1) & ~(page_size - 1);
}

int effective_protection(Enclave& enclave, uintptr_t page, int wish) {
    const EpcmEntry& entry = enclave.entry(page);
    if (!is_usable(entry)) return PROT_NONE;
    if (machine().config.strict && enclave.inside == 0) return PROT_NONE;
    // The driver refuses to map a page at all through a VMA that asks for more than its cap.
    if ((entry.kernel_cap & wish) != wish) return PROT_NONE;
    int protection = protection_of(entry.rwx) & wish;
    if (enclave.watch && !enclave.watch->is_executed(enclave.index_of(page)))
        protection &= ~PROT_EXEC;
    return protection;
}

template <class F>
void for_each_existing(Enclave& enclave, uintptr_t begin, uintptr_t end, F f) {
    uintptr_t page = enclave.skip_holes(begin, end);
    for (; page < end; page = enclave.skip_holes(page + page_size, end))
        f(enclave.entry(page));
}

// Takes [begin, end) out of the list, splitting mappings at its ends.
void erase_range(std::vector<Vma>& vmas, uintptr_t begin, uintptr_t end) {
    std::vector<Vma> kept;
    kept.reserve(vmas.size() + 1);
    for (const Vma& vma : vmas) {
        if (vma.begin < begin)
            kept.push_back({vma.begin, std::min(vma.end, begin), vma.protection});
        if (vma.end > end) kept.push_back({std::max(vma.begin, end), vma.end, vma.protection});
    }
    vmas = std::move(kept);
}

void insert_range(std::vector<Vma>& vmas, const Vma& vma) {
    erase_range(vmas, vma.begin, vma.end);
    const auto at = std::lower_bound(vmas.begin(), vmas.end(), vma,
                                     [](const Vma& a, const Vma& b) { return a.begin < b.begin; });
    auto added = vmas.insert(at, vma);
    // Merge equal neighbours, as the kernel does.
    if (added + 1 != vmas.end() && added->end == (added + 1)->begin &&
        added->protection == (added + 1)->protection) {
        added->end = (added + 1)->end;
        vmas.erase(added + 1);
    }
    if (added != vmas.begin() && (added - 1)->end == added->begin &&
        (added - 1)->protection == added->protection) {
        (added - 1)->end = added->end;
        vmas.erase(added);
    }
}

// sgx_encl_may_map: no more than every page in the range allows. Under enclave.lock.
int may_map(Enclave& enclave, uintptr_t begin, uintptr_t end, int protection) {
    const uintptr_t limit = enclave.base() + enclave.size();
    if (enclave.initialized && (begin < enclave.base() || end > limit)) return -EACCES;
    if (::personality(0xffffffff) & READ_IMPLIES_EXEC) return -EACCES;
    if (!enclave.created) return 0;
    const uintptr_t last = std::min(end, limit);
    uintptr_t page = enclave.skip_holes(std::max(begin, enclave.base()), last);
    for (; page < last; page = enclave.skip_holes(page + page_size, last)) {
        const EpcmEntry& entry = enclave.entry(page);
        if (entry.exists() && (~entry.kernel_cap & protection & rwx)) return -EACCES;
    }
    return 0;
}

// Maps the part of [begin, end) that lies in ELRANGE to the EPC, without access. Under the lock.
int map_epc(Enclave& enclave, uintptr_t begin, uintptr_t end) {
    if (!enclave.created) return 0;
    begin = std::max(begin, enclave.base());
    end = std::min(end, enclave.base() + enclave.size());
    if (begin >= end) return 0;
    void* p = host::mmap(reinterpret_cast<void*>(begin), end - begin, PROT_NONE,
                         MAP_SHARED | MAP_FIXED | MAP_NORESERVE, enclave.epc_fd,
                         static_cast<off_t>(begin - enclave.base()));
    if (p == MAP_FAILED) return -errno;
    ::madvise(p, end - begin, MADV_DONTFORK);
    for_each_existing(enclave, begin, end, [](EpcmEntry& entry) { entry.host_private = 0; });
    return apply_protection(enclave, begin, end);
}

// Debuggers write breakpoints into what the program may only read and execute, which the kernel
// permits them where it can copy the page: in private mappings. In those of a debug enclave, as the
// driver permits it there only (sgx_vma_access); all else must be shared with the emulator's alias.
// Under the lock. 0 or -errno.
int set_host_protection(Enclave& enclave, uintptr_t begin, uintptr_t end, int protection) {
    const bool is_debug = (enclave.secs.attributes.flags & SGX_ATTR_DEBUG) != 0;
    const bool is_code = (protection & PROT_EXEC) && !(protection & PROT_WRITE);
    const bool wants_private = is_debug && is_code;
    bool changes = false;
    for_each_existing(enclave, begin, end, [&](EpcmEntry& entry) {
        changes |= (entry.host_private != 0) != wants_private;
        entry.host_private = wants_private;
    });
    void* at = reinterpret_cast<void*>(begin);
    if (!changes) return host::mprotect(at, end - begin, protection) == 0 ? 0 : -errno;
    const int kind = wants_private ? MAP_PRIVATE : MAP_SHARED;
    void* p = host::mmap(at, end - begin, protection, kind | MAP_FIXED | MAP_NORESERVE,
                         enclave.epc_fd, static_cast<off_t>(begin - enclave.base()));
    if (p == MAP_FAILED) return -errno;
    ::madvise(p, end - begin, MADV_DONTFORK);
    return 0;
}

// Forgets mappings of any enclave but `except` in a range that something else has replaced.
void forget_mappings(uintptr_t begin, uintptr_t end, const Enclave* except) {
    for_each_enclave([&](Enclave& enclave) {
        if (&enclave == except) return;
        {
            const Guard guard(enclave.lock);
            erase_range(enclave.vmas, begin, end);
        }
        update_mapping_hold(enclave);
    });
}

void* fail(int error) {
    errno = error;
    return MAP_FAILED;
}

// Chooses and reserves the addresses, as the kernel does before the driver's mmap is called.
void* reserve(void* address, size_t length, int flags) {
    const int placement = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
    return host::mmap(address, length, PROT_NONE,
                      placement | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

int protect_enclave_part(Enclave& enclave, uintptr_t begin, uintptr_t end, int protection) {
    if (const int error = may_map(enclave, begin, end, protection)) return error;
    insert_range(enclave.vmas, {begin, end, protection & rwx});
    if (!enclave.created) return 0;
    const uintptr_t first = std::max(begin, enclave.base());
    const uintptr_t last = std::min(end, enclave.base() + enclave.size());
    return first < last ? apply_protection(enclave, first, last) : 0;
}

}  // namespace

const Vma* find_vma(const Enclave& enclave, uintptr_t address) {
    const auto after = std::upper_bound(enclave.vmas.begin(), enclave.vmas.end(), address,
                                        [](uintptr_t a, const Vma& vma) { return a < vma.begin; });
    if (after == enclave.vmas.begin()) return nullptr;
    const Vma& candidate = *(after - 1);
    return address < candidate.end ? &candidate : nullptr;
}

int apply_protection(Enclave& enclave, uintptr_t begin, uintptr_t end) {
    uintptr_t page = begin;
    while (page < end) {
        const Vma* vma = find_vma(enclave, page);
        if (vma == nullptr) {
            page += page_size;
            continue;
        }
        const uintptr_t stop = std::min(end, vma->end);
        while (page < stop) {
            const uintptr_t run_begin = page;
            const int protection = effective_protection(enclave, page, vma->protection);
            page += page_size;
            if (protection == PROT_NONE) page = enclave.skip_holes(page, stop);
            while (page < stop &&
                   effective_protection(enclave, page, vma->protection) == protection) {
                page += page_size;
                if (protection == PROT_NONE) page = enclave.skip_holes(page, stop);
            }
            if (const int error = set_host_protection(enclave, run_begin, page, protection)) {
                return error;
            }
        }
    }
    return 0;
}

bool withdraw_access(Enclave& enclave, uintptr_t begin, uintptr_t end) {
    for (const Vma& vma : enclave.vmas) {
        const uintptr_t from = std::max(begin, vma.begin), to = std::min(end, vma.end);
        if (from >= to) continue;
        if (host::mprotect(reinterpret_cast<void*>(from), to - from, PROT_NONE) != 0) return false;
    }
    return true;
}

int map_into_elrange(Enclave& enclave) {
    for (const Vma& vma : enclave.vmas) {
        if (const int error = map_epc(enclave, vma.begin, vma.end)) return error;
    }
    return 0;
}

void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
    const SignalsBlocked blocked;
    const EnclaveRef enclave = find_by_descriptor(fd);
    if (!enclave) {
        if (fd >= 0 && is_lost_descriptor(fd)) return fail(ENODEV);
        void* p = host::mmap(address, length, protection, flags, fd, offset);
        if (p != MAP_FAILED && (flags & MAP_FIXED)) {
            const auto begin = reinterpret_cast<uintptr_t>(p);
            forget_mappings(begin, page_round_up(begin + length), nullptr);
        }
        return p;
    }
    // sgx_get_unmapped_area: an enclave cannot be mapped privately.
    if ((flags & MAP_TYPE) == MAP_PRIVATE) return fail(EINVAL);
    if (length == 0) return fail(EINVAL);
    length = page_round_up(length);
    void* p = address;
    if (!(flags & MAP_FIXED)) {
        p = reserve(address, length, flags);
        if (p == MAP_FAILED) return p;
    }
    const auto begin = reinterpret_cast<uintptr_t>(p);
    if (begin % page_size != 0) return fail(EINVAL);
    int error = 0;
    {
        const Guard guard(enclave->lock);
        error = may_map(*enclave, begin, begin + length, protection);
        if (error == 0 && (flags & MAP_FIXED) && reserve(p, length, flags) == MAP_FAILED) {
            error = -errno;
        }
        if (error == 0) {
            insert_range(enclave->vmas, {begin, begin + length, protection & rwx});
            error = map_epc(*enclave, begin, begin + length);
        }
    }
    if (error != 0) {
        if (!(flags & MAP_FIXED)) host::munmap(p, length);
        return fail(-error);
    }
    forget_mappings(begin, begin + length, enclave.get());
    update_mapping_hold(*enclave);
    return p;
}

int mprotect(void* address, size_t length, int protection) {
    const SignalsBlocked blocked;
    const auto begin = reinterpret_cast<uintptr_t>(address);
    const uintptr_t end = page_round_up(begin + length);
    if (begin % page_size != 0) {
        errno = EINVAL;
        return -1;
    }
    uintptr_t at = begin;
    while (at < end) {
        uintptr_t next =
            end;  // of the run from `at` that is one enclave's mapping, or no enclave's
        EnclaveRef owner;
        int error = 0;
        for_each_enclave([&](Enclave& enclave) {
            const Guard guard(enclave.lock);
            for (const Vma& vma : enclave.vmas) {
                if (vma.begin > at) next = std::min(next, vma.begin);
            }
            const Vma* vma = find_vma(enclave, at);
            if (vma == nullptr || owner) return;
            const uintptr_t stop = std::min(end, vma->end);
            error = protect_enclave_part(enclave, at, stop, protection);
            next = std::min(next, stop);
            enclave.references.fetch_add(1, std::memory_order_relaxed);
            owner = EnclaveRef(&enclave);
        });
        if (!owner && host::mprotect(reinterpret_cast<void*>(at), next - at, protection) != 0) {
            return -1;
        }
        if (error != 0) {
            errno = -error;
            return -1;
        }
        at = next;
    }
    return 0;
}

int munmap(void* address, size_t length) {
    const SignalsBlocked blocked;
    const auto begin = reinterpret_cast<uintptr_t>(address);
    if (host::munmap(address, length) != 0) return -1;
    forget_mappings(begin, page_round_up(begin + length), nullptr);
    return 0;
}

bool is_enclave_address(const void* address) {
    const SignalsBlocked blocked;
    return static_cast<bool>(find_by_address(reinterpret_cast<uintptr_t>(address)));
}

}  // namespace sgxemu
