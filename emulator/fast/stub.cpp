#include "emulator/fast/stub.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cstring>

#include "emulator/enclave.hpp"
#include "emulator/enclu.hpp"
#include "emulator/fast/identity.hpp"
#include "emulator/host.hpp"

namespace sgxemu {

extern "C" {
// The dynamic linker's: where the stack began.
extern void* __libc_stack_end;
// stub.S
extern const uint8_t sgxemu_stub[], sgxemu_stub_end[];
extern const uint8_t sgxemu_stub_leaf_entry[], sgxemu_stub_return[];
extern const uint16_t sgxemu_stub_records[], sgxemu_stub_records_end[];
extern const StubRange sgxemu_stub_ranges[], sgxemu_stub_ranges_end[];
void sgxemu_fast_leaf_entry();
}

namespace {

constexpr size_t stub_size = 512;
constexpr size_t stubs_per_page = page_size / stub_size;
constexpr uint64_t window_size = 0x10000;
constexpr size_t jump_length = 5;

void put(uint8_t* at, uint64_t value) {
    std::memcpy(at, &value, sizeof(value));
}

// The template, with its addresses filled in.
void write_stub(uint8_t* at, uint64_t site) {
    std::memcpy(at, sgxemu_stub, static_cast<size_t>(sgxemu_stub_end - sgxemu_stub));
    const uint32_t table = record_table();
    for (const uint16_t* place = sgxemu_stub_records; place != sgxemu_stub_records_end; ++place) {
        std::memcpy(at + *place, &table, sizeof(table));
    }
    put(at + (sgxemu_stub_leaf_entry - sgxemu_stub),
        reinterpret_cast<uint64_t>(&sgxemu_fast_leaf_entry));
    put(at + (sgxemu_stub_return - sgxemu_stub), site + enclu_length);
}

StubRange range_at(uint64_t offset) {
    const auto after =
        std::upper_bound(sgxemu_stub_ranges, sgxemu_stub_ranges_end, offset,
                         [](uint64_t o, const StubRange& range) { return o < range.begin; });
    return *(after - 1);
}

// The program's first stack grows down to its limit, through whatever is not mapped yet.
uint64_t stack_reserve() {
    constexpr rlim_t most = rlim_t{1} << 30;
    rlimit limit{};
    if (::getrlimit(RLIMIT_STACK, &limit) != 0) return most;
    return std::min(limit.rlim_cur, most);
}

bool may_become_stack(uint64_t page) {
    static const uint64_t reserve = stack_reserve();
    return reinterpret_cast<uint64_t>(__libc_stack_end) - page < reserve;
}

// A page for stubs somewhere in [begin, begin + window_size), outside ELRANGE; 0: none is free.
uint64_t map_page(const Enclave& enclave, uint64_t begin) {
    const uint64_t first = (begin + page_size - 1) & ~(page_size - 1);
    for (uint64_t page = first; page + page_size <= begin + window_size; page += page_size) {
        if (enclave.contains(page) || may_become_stack(page)) continue;
        void* at = reinterpret_cast<void*>(page);
        void* p = host::mmap(at, page_size, PROT_READ | PROT_EXEC,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (p == at) return page;
        if (p != MAP_FAILED) host::munmap(p, page_size);
    }
    return 0;
}

// One more stub in a page in which others may be running. The new one is seen by nobody yet.
bool add_to_page(uint64_t stub, uint64_t site) {
    void* page = reinterpret_cast<void*>(stub & ~(page_size - 1));
    if (host::mprotect(page, page_size, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) return false;
    write_stub(reinterpret_cast<uint8_t*>(stub), site);
    return host::mprotect(page, page_size, PROT_READ | PROT_EXEC) == 0;
}

}  // namespace

uint64_t enclu_of_stub(uint64_t stub) {
    uint64_t behind = 0;
    const auto* at = reinterpret_cast<const uint8_t*>(stub);
    std::memcpy(&behind, at + (sgxemu_stub_return - sgxemu_stub), sizeof(behind));
    return behind - enclu_length;
}

EncluStubs::~EncluStubs() {
    for (const auto& page : pages_) {
        const uint64_t address = page.load(std::memory_order_relaxed);
        if (address != 0) host::munmap(reinterpret_cast<void*>(address), page_size);
    }
}

uint64_t EncluStubs::make(const Enclave& enclave, uint64_t site, uint16_t high) {
    const auto displacement = static_cast<int32_t>(uint32_t{high} << 16);
    const uint64_t begin = site + jump_length + static_cast<uint64_t>(int64_t{displacement});
    for (size_t i = 0; i < max_pages; ++i) {
        uint64_t page = pages_[i].load(std::memory_order_relaxed);
        const bool is_new = page == 0;
        if (is_new) page = map_page(enclave, begin);
        if (page == 0) return 0;
        if (page - begin > window_size - page_size) continue;
        // The site was a jump before.
        for (uint64_t stub = page; stub != page + used_[i] * stub_size; stub += stub_size) {
            if (enclu_of_stub(stub) == site) return stub;
        }
        if (used_[i] == stubs_per_page) continue;
        const uint64_t stub = page + used_[i] * stub_size;
        const bool written = add_to_page(stub, site);
        if (written) ++used_[i];
        // Release: pairs with the acquire in find(), which reads the page's stubs.
        if (is_new) pages_[i].store(page, std::memory_order_release);
        return written ? stub : 0;
    }
    return 0;
}

bool EncluStubs::find(uint64_t address, Found& found) const {
    for (const auto& page : pages_) {
        const uint64_t begin = page.load(std::memory_order_acquire);
        if (begin == 0) return false;
        if (address - begin >= page_size) continue;
        found.stub = address & ~(stub_size - 1);
        found.site = enclu_of_stub(found.stub);
        found.range = range_at(address - found.stub);
        return true;
    }
    return false;
}

}  // namespace sgxemu
