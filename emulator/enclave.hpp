// One enclave: its SECS, its pages and their EPCM entries, and what the kernel knows of its
// mappings.
//
// The EPC pages of an enclave are one memfd, page i of ELRANGE at offset i * 4096. It is mapped
// shared at ELRANGE, where the host's page tables enforce what the EPCM and the VMAs allow, and a
// second time read-write (`alias`), through which the emulator, and only it, reaches every page.
//
// Life: an enclave is held by its descriptors, by its mappings, by threads inside it, and by
// whoever looks it up; the last one to let go frees it. `lock` guards everything that is not
// atomic.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "emulator/epcm.hpp"
#include "emulator/fast/stub.hpp"
#include "emulator/host.hpp"
#include "emulator/lock.hpp"
#include "emulator/measurement.hpp"
#include "emulator/page_queue.hpp"
#include "emulator/page_watch.hpp"
#include "emulator/paged_out.hpp"
#include "sgxdl/arch/sgx.h"

namespace sgxemu {

// A mapping of enclave memory: the program's wish, which the EPCM narrows page by page.
struct Vma {
    uintptr_t begin = 0;
    uintptr_t end = 0;
    int protection = 0;
};

// ENCLU is 0F 01 D7; an ENCLU that was executed once stands in the EPC as HLT 01 D7.
// Executed again it becomes a jump, where that is possible (emulator/fast/fast.hpp).
inline constexpr uint8_t enclu_first_byte = 0x0f, hlt_byte = 0xf4, jump_byte = 0xe9;
inline constexpr uint16_t enclu_tail = 0xd701;
inline void restore_enclu(uint8_t* site) {
    site[0] = enclu_first_byte;
    site[1] = enclu_tail & 0xff;
    site[2] = enclu_tail >> 8;
}

// Addresses whose ENCLU was rewritten: an enclave has a handful. Written under the enclave's
// lock, read without it.
class EncluSites {
 public:
    bool contains(uintptr_t address) const;
    // False when the table is full; then the site simply goes on to trap as #UD.
    bool insert(uintptr_t address);
    // The site may become a jump. No longer, after one of the two below.
    bool may_jump(uintptr_t address) const { return has_state(address, hlt); }
    bool is_jump(uintptr_t address) const { return has_state(address, jump); }
    void has_jump(uintptr_t address) { set_state(address, jump); }
    void keep_hlt(uintptr_t address) { set_state(address, hlt_for_good); }
    // Forgets the sites in [begin, end).
    void forget(uintptr_t begin, uintptr_t end);
    // Calls f(address) for each site in [begin, end).
    template <class F>
    void for_each_in(uintptr_t begin, uintptr_t end, F f) const {
        const size_t used = used_.load(std::memory_order_acquire);
        for (size_t i = 0; i < used; ++i) {
            const uintptr_t address = slot_[i].load(std::memory_order_relaxed);
            if (address >= begin && address < end) f(address);
        }
    }

 private:
    enum State : uint8_t { hlt, hlt_for_good, jump };
    bool has_state(uintptr_t address, State state) const;
    void set_state(uintptr_t address, State state);

    static constexpr size_t capacity = 64;
    std::array<std::atomic<uintptr_t>, capacity> slot_{};  // 0: free
    std::array<std::atomic<State>, capacity> state_{};
    std::atomic<size_t> used_{0};  // one past the last slot in use
};

class Enclave {
 public:
    // `epc_descriptor` is the enclave's own, of the memfd whose descriptors the program has.
    explicit Enclave(int epc_descriptor);
    ~Enclave();
    Enclave(const Enclave&) = delete;
    Enclave& operator=(const Enclave&) = delete;

    // ECREATE: maps the EPC and makes the page records. 0 or -errno.
    int make_pages(uintptr_t base, size_t size);

    bool contains(uintptr_t address) const { return address - base_ < size_; }
    uintptr_t base() const { return base_; }
    size_t size() const { return size_; }

    size_t index_of(uintptr_t address) const { return (address - base_) / page_size; }
    EpcmEntry& entry(uintptr_t address) { return entries_[index_of(address)]; }
    // The bytes behind an address of ELRANGE, whatever its protection.
    uint8_t* bytes(uintptr_t address) { return alias_ + (address - base_); }
    template <class T>
    T* at(uintptr_t address) {
        return reinterpret_cast<T*>(bytes(address));
    }

    // A page came to be, in the EPC, or ceased to: keeps the sparse count that lets walks skip
    // holes.
    void count_page(uintptr_t address, int change);
    // First address >= `from` and < `end` whose page may exist; skips empty 2 MiB blocks.
    uintptr_t skip_holes(uintptr_t from, uintptr_t end) const;
    // EREMOVE: gives the page back to the EPC and its memory to the host. The caller has unmapped
    // it.
    void remove_page(uintptr_t address);
    // Frees the memory behind a page, which then reads as zeros.
    void drop_memory(uintptr_t address);
    size_t page_count() const { return page_count_; }
    // The page is in the EPC now, as its newest; it no longer is.
    void enqueue(uintptr_t address) { queue_.push(entries_, number_of(address)); }
    void dequeue(uintptr_t address) { queue_.remove(entries_, number_of(address)); }
    // The page longest in the EPC; 0: there is none.
    uintptr_t oldest_page() const {
        return queue_.oldest() == no_page ? 0 : base_ + uintptr_t{queue_.oldest()} * page_size;
    }

    // The operation that runs under the lock needs the page in the EPC until it ends: see
    // HoldPages.
    void hold(uintptr_t page);
    bool is_held(uintptr_t page) const;

    const int epc_fd;
    const uint64_t id;  // SECS.EID: of no other enclave since power-on
    host::FileId file;  // the memfd's
    Lock lock;
    std::atomic<bool> ioctl_busy{false};  // the driver's SGX_ENCL_IOCTL
    bool created = false;
    bool initialized = false;
    int einit_result = -1;
    // Attributes that EINIT may see: PROVISIONKEY needs SGX_IOC_ENCLAVE_PROVISION.
    uint64_t allowed_attributes = SGX_ATTR_DEBUG | SGX_ATTR_MODE64BIT | SGX_ATTR_KSS;
    sgx_secs secs{};                 // the SECS page; MRENCLAVE is final after EINIT
    uint8_t isv_family_id[16] = {};  // of the SIGSTRUCT, like the next; SECS has no named place
    uint8_t isv_ext_prod_id[16] = {};
    Measurement measurement;
    std::vector<Vma> vmas;  // sorted, disjoint; inside and, before EINIT, outside ELRANGE
    EncluSites sites;
    EncluStubs stubs;
    PagedOut paged_out;
    uint32_t inside = 0;               // threads
    uintptr_t last_added = 0;          // page of the last EAUG on a page fault; hostile systems
    std::unique_ptr<PageWatch> watch;  // when its pages are watched; made by ECREATE

    // References: see the top. The registry (registry.hpp) hands them out.
    std::atomic<uint32_t> references{1};
    // Guarded by the registry's lock. All descriptors together hold one reference, as all mappings
    // do.
    std::vector<int> descriptors;
    bool held_by_mappings = false;

 private:
    uint32_t number_of(uintptr_t address) const { return static_cast<uint32_t>(index_of(address)); }
    uintptr_t base_ = 0;
    size_t size_ = 0;
    uint8_t* alias_ = nullptr;
    EpcmEntry* entries_ = nullptr;
    uint16_t* block_count_ = nullptr;  // existing pages in each 2 MiB block
    size_t page_count_ = 0;
    PageQueue queue_;
    static constexpr size_t max_held = 32;
    std::array<uintptr_t, max_held> held_{};
    size_t held_count_ = 0;
    friend class HoldPages;
};

// While it exists, pages that translate() found or fetched stay in the EPC. Under the lock.
class HoldPages {
 public:
    explicit HoldPages(Enclave& enclave) : enclave_(enclave) {}
    ~HoldPages() { enclave_.held_count_ = 0; }
    HoldPages(const HoldPages&) = delete;
    HoldPages& operator=(const HoldPages&) = delete;

 private:
    Enclave& enclave_;
};

}  // namespace sgxemu
