#include "emulator/fast/identity.hpp"

#include <asm/ldt.h>
#include <linux/membarrier.h>

#include "emulator/host.hpp"
#include "emulator/thread_slots.hpp"

namespace sgxemu {

namespace {

// Every selector is an offset in the table; those of our descriptors end in 7 (LDT, ring 3).
constexpr size_t table_size = 0x11000;
constexpr uint32_t alignment = 1;
// Programs that use the LDT themselves take descriptors from its other end.
constexpr size_t ldt_entries = 8192;
constexpr size_t first_entry = ldt_entries - slot_count;

uint8_t* table = nullptr;
std::atomic<bool> has_descriptor[slot_count];

uint32_t selector_of(size_t slot) {
    return static_cast<uint32_t>((first_entry + slot) << 3 | 7);
}

bool make_descriptor(size_t slot) {
    if (has_descriptor[slot].load(std::memory_order_acquire)) return true;
    user_desc descriptor{};
    descriptor.entry_number = static_cast<unsigned int>(first_entry + slot);
    descriptor.seg_32bit = 1;
    descriptor.read_exec_only = 1;
    constexpr int write = 0x11;
    if (::syscall(SYS_modify_ldt, write, &descriptor, sizeof(descriptor)) != 0) return false;
    has_descriptor[slot].store(true, std::memory_order_release);
    return true;
}

}  // namespace

bool start_identities() {
    if (table != nullptr) return true;
    if (::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) != 0) {
        return false;
    }
    void* p = host::mmap(nullptr, table_size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (p == MAP_FAILED) return false;
    table = static_cast<uint8_t*>(p);
    return true;
}

uint32_t record_table() {
    return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(table)) + alignment;
}

bool take_identity(Thread& thread) {
    const auto begin = slots_begin.load(std::memory_order_relaxed);
    const size_t slot = (reinterpret_cast<uintptr_t>(&thread) - begin) / slot_size;
    const bool made = make_descriptor(slot);
    const uint32_t selector = made ? selector_of(slot) : 0;
    if (made) *reinterpret_cast<Thread**>(table + alignment + selector) = &thread;
    // A thread begins with the selector of the one that made it: it must not keep it.
    asm volatile("movl %0, %%es" : : "r"(selector));
    return made;
}

}  // namespace sgxemu
