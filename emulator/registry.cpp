// A fixed table under one lock; small enough to be scanned.
#include "emulator/registry.hpp"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <vector>

#include "emulator/machine.hpp"
#include "emulator/paging.hpp"
#include "emulator/vma.hpp"

namespace sgxemu {

namespace {

Lock registry_lock;
std::array<Enclave*, max_enclaves> slots;  // guarded by registry_lock
size_t slots_used = 0;                     // one past the last used slot; guarded
std::vector<host::FileId> lost;            // files of the parent's enclaves; guarded

// A forked child has no enclaves: their memory is not inherited (MADV_DONTFORK), a lock may have
// been held by a thread that does not exist here. Forgets them all, so that everything the child
// asks of them is refused as for an enclave that never was; their records stay allocated.
void forget_in_child() {
    new (&registry_lock) Lock;
    for (size_t i = 0; i < slots_used; ++i) {
        if (slots[i] != nullptr) lost.push_back(slots[i]->file);
    }
    slots.fill(nullptr);
    slots_used = 0;
    Machine& m = machine();
    m.epc_free.store(m.config.epc_pages, std::memory_order_relaxed);
    forget_reclaimer_in_child();
}

EnclaveRef referenced(Enclave* enclave) {
    enclave->references.fetch_add(1, std::memory_order_relaxed);
    return EnclaveRef(enclave);
}

bool has_descriptor(const Enclave& enclave, int fd) {
    const auto& list = enclave.descriptors;
    return std::find(list.begin(), list.end(), fd) != list.end();
}

template <class Predicate>
EnclaveRef find_if(Predicate matches) {
    const Guard guard(registry_lock);
    for (size_t i = 0; i < slots_used; ++i) {
        if (slots[i] != nullptr && matches(*slots[i])) return referenced(slots[i]);
    }
    return {};
}

}  // namespace

EnclaveRef::~EnclaveRef() {
    if (enclave_ != nullptr) drop_reference(enclave_);
}

void drop_reference(Enclave* enclave) {
    {
        // Under the registry's lock, so that no lookup revives an enclave whose count reached zero.
        const Guard guard(registry_lock);
        if (enclave->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
        for (auto& slot : slots) {
            if (slot == enclave) slot = nullptr;
        }
        while (slots_used != 0 && slots[slots_used - 1] == nullptr)
            --slots_used;
    }
    delete enclave;
}

bool register_enclave(Enclave* enclave, int fd) {
    static const int fork_handler = ::pthread_atfork(nullptr, nullptr, forget_in_child);
    if (fork_handler != 0) return false;
    enclave->file = host::file_id(fd);
    enclave->descriptors.push_back(fd);
    const Guard guard(registry_lock);
    for (size_t i = 0; i < max_enclaves; ++i) {
        if (slots[i] != nullptr) continue;
        slots[i] = enclave;
        if (i >= slots_used) slots_used = i + 1;
        return true;
    }
    return false;
}

EnclaveRef find_by_descriptor(int fd) {
    if (fd < 0) return {};
    EnclaveRef enclave = find_if([fd](const Enclave& e) { return has_descriptor(e, fd); });
    if (enclave && host::file_id(fd) != enclave->file) {
        release_descriptor(fd);
        return {};
    }
    return enclave;
}

EnclaveRef find_by_address(uintptr_t address) {
    return find_if([address](Enclave& e) {
        if (!e.contains(address)) return false;
        const Guard guard(e.lock);
        return find_vma(e, address) != nullptr;
    });
}

size_t enclave_count() {
    const Guard guard(registry_lock);
    size_t count = 0;
    for (size_t i = 0; i < slots_used; ++i)
        count += slots[i] != nullptr;
    return count;
}

EnclaveRef enclave_in_slot(size_t i) {
    const Guard guard(registry_lock);
    return i < slots_used && slots[i] != nullptr ? referenced(slots[i]) : EnclaveRef();
}

bool add_descriptor(int from, int to) {
    const EnclaveRef enclave = find_by_descriptor(from);
    if (!enclave) return false;
    const Guard guard(registry_lock);
    if (!has_descriptor(*enclave, to)) enclave->descriptors.push_back(to);
    return true;
}

bool release_descriptor(int fd) {
    const EnclaveRef enclave = find_if([fd](const Enclave& e) { return has_descriptor(e, fd); });
    if (!enclave) return false;
    {
        const Guard guard(registry_lock);
        if (std::erase(enclave->descriptors, fd) == 0) return false;
        if (!enclave->descriptors.empty()) return true;
    }
    drop_reference(enclave.get());
    return true;
}

void release_descriptors(unsigned int first, unsigned int last) {
    const auto in_range = [=](int fd) {
        const auto n = static_cast<unsigned int>(fd);
        return n >= first && n <= last;
    };
    for_each_enclave([&](Enclave& enclave) {
        bool dropped = false;
        {
            const Guard guard(registry_lock);
            dropped =
                std::erase_if(enclave.descriptors, in_range) != 0 && enclave.descriptors.empty();
        }
        if (dropped) drop_reference(&enclave);
    });
}

bool is_lost_descriptor(int fd) {
    const Guard guard(registry_lock);
    if (lost.empty()) return false;
    return std::find(lost.begin(), lost.end(), host::file_id(fd)) != lost.end();
}

void update_mapping_hold(Enclave& enclave) {
    bool dropped = false;
    {
        const Guard registry_guard(registry_lock);
        const Guard enclave_guard(enclave.lock);
        const bool holds = !enclave.vmas.empty();
        if (holds && !enclave.held_by_mappings) {
            enclave.references.fetch_add(1, std::memory_order_relaxed);
        }
        dropped = !holds && enclave.held_by_mappings;
        enclave.held_by_mappings = holds;
    }
    if (dropped) drop_reference(&enclave);
}

int configure(const MachineConfig& config) {
    const SignalsBlocked blocked;
    if (enclave_count() != 0) return -EBUSY;
    Machine& m = machine();
    m.config = config;
    m.epc_free.store(config.epc_pages, std::memory_order_relaxed);
    return 0;
}

}  // namespace sgxemu
