// Page records of an enclave and the memory behind them.
#include "emulator/enclave.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "emulator/machine.hpp"

namespace sgxemu {

namespace {

constexpr size_t block_size = size_t{2} << 20;

void* map_records(size_t size) {
    void* p = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? nullptr : p;
}

size_t hash_of(uintptr_t address) {
    return (address * 0x9e3779b97f4a7c15u) >> 32;
}

}  // namespace

bool EncluSites::contains(uintptr_t address) const {
    size_t i = hash_of(address);
    for (size_t probes = 0; probes < capacity; ++probes, ++i) {
        // Relaxed: the byte that trapped was written before the site was entered, by a locked path.
        const uintptr_t found = slot_[i % capacity].load(std::memory_order_relaxed);
        if (found == address) return true;
        if (found == 0) return false;
    }
    return false;
}

bool EncluSites::insert(uintptr_t address) {
    if (contains(address)) return true;
    if (count_.load(std::memory_order_relaxed) >= capacity / 2) return false;
    size_t i = hash_of(address);
    while (slot_[i % capacity].load(std::memory_order_relaxed) != 0)
        ++i;
    slot_[i % capacity].store(address, std::memory_order_relaxed);
    count_.fetch_add(1, std::memory_order_relaxed);
    return true;
}

void EncluSites::forget(uintptr_t begin, uintptr_t end) {
    if (count_.load(std::memory_order_relaxed) == 0) return;
    for (auto& slot : slot_) {
        const uintptr_t address = slot.load(std::memory_order_relaxed);
        if (address > removed && address >= begin && address < end) {
            slot.store(removed, std::memory_order_relaxed);
        }
    }
}

Enclave::~Enclave() {
    // The mappings at ELRANGE are gone already: they held a reference.
    if (alias_ != nullptr) ::munmap(alias_, size_);
    if (entries_ != nullptr) ::munmap(entries_, size_ / page_size * sizeof(EpcmEntry));
    if (block_count_ != nullptr) {
        ::munmap(block_count_, (size_ / block_size + 1) * sizeof(uint16_t));
    }
    machine().return_epc_pages(valid_count_ + (created ? 1 : 0));
    ::close(epc_fd);
}

int Enclave::make_pages(uintptr_t base, size_t size) {
    if (::ftruncate(epc_fd, static_cast<off_t>(size)) != 0) return -errno;
    void* alias =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, epc_fd, 0);
    if (alias == MAP_FAILED) return -errno;
    // A forked child has no enclave: neither mapping is inherited.
    ::madvise(alias, size, MADV_DONTFORK);
    void* entries = map_records(size / page_size * sizeof(EpcmEntry));
    void* blocks = map_records((size / block_size + 1) * sizeof(uint16_t));
    base_ = base;
    size_ = size;
    alias_ = static_cast<uint8_t*>(alias);
    entries_ = static_cast<EpcmEntry*>(entries);
    block_count_ = static_cast<uint16_t*>(blocks);
    return entries != nullptr && blocks != nullptr ? 0 : -ENOMEM;
}

void Enclave::count_valid(uintptr_t address, int change) {
    auto& block = block_count_[(address - base_) / block_size];
    block = static_cast<uint16_t>(block + change);
    valid_count_ = valid_count_ + static_cast<size_t>(change);
}

uintptr_t Enclave::skip_holes(uintptr_t from, uintptr_t end) const {
    while (from < end && block_count_[(from - base_) / block_size] == 0) {
        from = base_ + ((from - base_) / block_size + 1) * block_size;
    }
    return std::min(from, end);
}

void Enclave::remove_page(uintptr_t address) {
    EpcmEntry& e = entry(address);
    sites.forget(address, address + page_size);
    e = {};
    count_valid(address, -1);
    // Frees the memory and leaves zeros for the next EAUG of this page.
    ::fallocate(epc_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                static_cast<off_t>(address - base_), page_size);
    machine().return_epc_pages(1);
}

}  // namespace sgxemu
