// Page records of an enclave and the memory behind them.
#include "emulator/enclave.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "emulator/host.hpp"
#include "emulator/machine.hpp"
#include "emulator/paging.hpp"

namespace sgxemu {

namespace {

constexpr size_t block_size = size_t{2} << 20;

uint64_t next_id() {
    static std::atomic<uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

void* map_records(size_t size) {
    void* p = host::mmap(host::far_away(size), size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? nullptr : p;
}

}  // namespace

bool EncluSites::contains(uintptr_t address) const {
    bool found = false;
    for_each_in(address, address + 1, [&](uintptr_t) { found = true; });
    return found;
}

bool EncluSites::insert(uintptr_t address) {
    if (contains(address)) return true;
    for (size_t i = 0; i < capacity; ++i) {
        if (slot_[i].load(std::memory_order_relaxed) != 0) continue;
        state_[i].store(hlt, std::memory_order_relaxed);
        slot_[i].store(address, std::memory_order_relaxed);
        // Release: pairs with the acquire in for_each_in, which then sees the slot.
        if (i >= used_.load(std::memory_order_relaxed)) {
            used_.store(i + 1, std::memory_order_release);
        }
        return true;
    }
    return false;
}

bool EncluSites::has_state(uintptr_t address, State state) const {
    for (size_t i = 0; i < capacity; ++i) {
        if (slot_[i].load(std::memory_order_relaxed) != address) continue;
        return state_[i].load(std::memory_order_relaxed) == state;
    }
    return false;
}

void EncluSites::set_state(uintptr_t address, State state) {
    for (size_t i = 0; i < capacity; ++i) {
        if (slot_[i].load(std::memory_order_relaxed) != address) continue;
        state_[i].store(state, std::memory_order_relaxed);
    }
}

void EncluSites::forget(uintptr_t begin, uintptr_t end) {
    const size_t used = used_.load(std::memory_order_relaxed);
    for (size_t i = 0; i < used; ++i) {
        const uintptr_t address = slot_[i].load(std::memory_order_relaxed);
        if (address >= begin && address < end) slot_[i].store(0, std::memory_order_relaxed);
    }
}

Enclave::Enclave(int epc_descriptor) : epc_fd(epc_descriptor), id(next_id()) {}

Enclave::~Enclave() {
    // The mappings at ELRANGE are gone already: they held a reference.
    if (alias_ != nullptr) host::munmap(alias_, size_);
    if (entries_ != nullptr) host::munmap(entries_, size_ / page_size * sizeof(EpcmEntry));
    if (block_count_ != nullptr) {
        host::munmap(block_count_, (size_ / block_size + 1) * sizeof(uint16_t));
    }
    leave_reclaimer(*this);
    const size_t resident = page_count_ - paged_out.count();
    machine().return_epc_pages(resident + paged_out.va_pages() + (created ? 1 : 0));
    host::close(epc_fd);
}

int Enclave::make_pages(uintptr_t base, size_t size) {
    if (::ftruncate(epc_fd, static_cast<off_t>(size)) != 0) return -errno;
    void* alias = host::mmap(host::far_away(size), size, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_NORESERVE, epc_fd, 0);
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

void Enclave::count_page(uintptr_t address, int change) {
    auto& block = block_count_[(address - base_) / block_size];
    block = static_cast<uint16_t>(block + change);
    page_count_ += static_cast<size_t>(change);
}

uintptr_t Enclave::skip_holes(uintptr_t from, uintptr_t end) const {
    while (from < end && block_count_[(from - base_) / block_size] == 0) {
        from = base_ + ((from - base_) / block_size + 1) * block_size;
    }
    return std::min(from, end);
}

void Enclave::remove_page(uintptr_t address) {
    dequeue(address);
    EpcmEntry& e = entry(address);
    sites.forget(address, address + page_size);
    e = {};
    count_page(address, -1);
    drop_memory(address);
    machine().return_epc_pages(1);
}

void Enclave::drop_memory(uintptr_t address) {
    ::fallocate(epc_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                static_cast<off_t>(address - base_), page_size);
}

void Enclave::hold(uintptr_t page) {
    if (!is_held(page) && held_count_ < max_held) held_[held_count_++] = page;
}

bool Enclave::is_held(uintptr_t page) const {
    const auto end = held_.begin() + held_count_;
    return std::find(held_.begin(), end, page) != end;
}

}  // namespace sgxemu
