#include "enclave/runtime/pages.hpp"

#include <atomic>
#include <cstring>

#include "enclave/interface/runtime_calls.hpp"
#include "enclave/runtime/image.hpp"
#include "enclave/runtime/lock.hpp"
#include "enclave/runtime/ocall.hpp"
#include "sgxdl/arch/sgx.h"

// entry.S: the leaf's error code, or enclu_faulted.
extern "C" uint64_t sgxdl_eaccept(const sgx_secinfo* secinfo, uintptr_t page);
extern "C" uint64_t sgxdl_eacceptcopy(const sgx_secinfo* secinfo, uintptr_t page,
                                      const void* source);

namespace sgxdl::pages {

namespace {

enum class State : uint8_t { absent = 0, present, trimming, set_aside };

constexpr size_t trim_run = 16;
constexpr size_t max_record_pages = 4096;  // one byte per page: ELRANGE of up to 64 GiB
constexpr int trap_byte = 0xcc;            // INT3

SpinLock lock;
bool record_present[max_record_pages];  // pages of the record itself that are committed
std::atomic<uint64_t> committed_count{0}, set_aside_count{0}, accept_count{0}, trim_count{0},
    record_count{0};

const sgx_secinfo rw_pending = {
    .flags = SGX_SECINFO_R | SGX_SECINFO_W | SGX_SECINFO_REG | SGX_SECINFO_PENDING, .reserved = {}};
const sgx_secinfo trim_modified = {.flags = SGX_SECINFO_TRIM | SGX_SECINFO_MODIFIED,
                                   .reserved = {}};
const sgx_secinfo code_copy = {.flags = SGX_SECINFO_R | SGX_SECINFO_X | SGX_SECINFO_REG,
                               .reserved = {}};
const sgx_secinfo read_only_copy = {.flags = SGX_SECINFO_R | SGX_SECINFO_REG, .reserved = {}};

void count(std::atomic<uint64_t>& counter, uint64_t n = 1) {
    counter.fetch_add(n, std::memory_order_relaxed);  // a statistic: orders nothing
}

// Index in the record; the windows are checked by in_window().
size_t index_of(uintptr_t address) {
    return (address - enclave_base()) / page_size;
}

bool in_window(uintptr_t address, size_t pages) {
    const sgxdl_image_info& info = image_info();
    if (address % page_size != 0 || pages == 0 || pages > info.elrange_size / page_size) {
        return false;
    }
    const uint64_t offset = address - enclave_base();
    const uint64_t size = pages * page_size;
    const auto inside = [&](uint64_t begin, uint64_t length) {
        return offset >= begin && offset - begin <= length && size <= length - (offset - begin);
    };
    return inside(info.arena_offset, info.arena_size) || inside(info.heap_offset, info.heap_size);
}

State* record() {
    return reinterpret_cast<State*>(enclave_base() + image_info().records_offset);
}

void* pointer(uintptr_t address) {
    return reinterpret_cast<void*>(address);
}

// A zeroed RW page; SGX_SUCCESS, the leaf's error code, or enclu_faulted.
uint64_t make_zeroed(uintptr_t page) {
    if (!image_info().static_pages) return sgxdl_eaccept(&rw_pending, page);
    memset(pointer(page), 0, page_size);
    return SGX_SUCCESS;
}

uint64_t make_copy(const sgx_secinfo& wanted, uintptr_t page, const void* source) {
    if (!image_info().static_pages) return sgxdl_eacceptcopy(&wanted, page, source);
    memcpy(pointer(page), source, page_size);
    return SGX_SUCCESS;
}

// Commits the pages of the record that describe [first, first + n).
bool have_record(size_t first, size_t n) {
    for (size_t page = first / page_size; page <= (first + n - 1) / page_size; ++page) {
        if (page >= image_info().records_size / page_size) return false;
        if (record_present[page]) continue;
        const uintptr_t address = reinterpret_cast<uintptr_t>(record()) + page * page_size;
        if (make_zeroed(address) != SGX_SUCCESS) return false;
        record_present[page] = true;
        count(accept_count);
        count(record_count);
    }
    return true;
}

void set_aside(size_t index) {
    record()[index] = State::set_aside;
    count(set_aside_count);
}

template <class Accept>
Status commit_with(uintptr_t address, size_t n, Accept accept) {
    if (!in_window(address, n)) return Status::misused;
    const size_t first = index_of(address);
    size_t done = 0;
    {
        LockGuard guard(lock);
        if (!have_record(first, n)) return Status::refused;
        for (size_t i = 0; i < n; ++i) {
            if (record()[first + i] != State::absent) return Status::misused;
        }
        for (; done < n; ++done) {
            if (accept(address + done * page_size, done) != SGX_SUCCESS) break;
            record()[first + done] = State::present;
        }
        count(accept_count, done);
        count(committed_count, done);
    }
    if (done == n) return Status::ok;
    if (done != 0) release(address, done);
    return Status::refused;
}

// What was in static pages is gone when they are absent, and does not run.
void wipe(uintptr_t address, size_t n) {
    memset(pointer(address), trap_byte, n * page_size);
    LockGuard guard(lock);
    for (size_t i = index_of(address); n-- != 0; ++i) {
        record()[i] = State::absent;
        count(trim_count);
        committed_count.fetch_sub(1, std::memory_order_relaxed);
    }
}

// One run: MODIFY_TYPES, EACCEPT each, REMOVE_PAGES. The record says `trimming` for all of it, so
// nobody else touches it while the lock is not held.
bool trim(uintptr_t address, size_t n) {
    const uint64_t offset = address - enclave_base();
    const size_t first = index_of(address);
    const OcallAnswer modified = ocall<ModifyToTrim>(offset, uint64_t{n * page_size});
    bool accepted[trim_run] = {};
    // What the host answered does not matter: EACCEPT says which pages were really trimmed. When
    // it answered an error some may have been, and EACCEPT of the others returns a code.
    for (size_t i = 0; i < n; ++i) {
        accepted[i] = sgxdl_eaccept(&trim_modified, address + i * page_size) == SGX_SUCCESS;
    }
    (void)modified;
    bool clean = true;
    for (size_t i = 0; i < n;) {
        if (!accepted[i]) {
            LockGuard guard(lock);
            set_aside(first + i++);
            clean = false;
            continue;
        }
        size_t end = i;
        while (end < n && accepted[end])
            ++end;
        const OcallAnswer removed =
            ocall<RemovePages>(offset + i * page_size, uint64_t{(end - i) * page_size});
        LockGuard guard(lock);
        for (; i < end; ++i) {
            if (removed.ok && removed.value == 0) {
                record()[first + i] = State::absent;
                count(trim_count);
            } else {
                set_aside(first + i);
                clean = false;
            }
        }
    }
    committed_count.fetch_sub(n, std::memory_order_relaxed);
    return clean;
}

}  // namespace

void start() {
    const sgxdl_image_info& info = image_info();
    if (!info.static_pages) return;
    memset(pointer(enclave_base() + info.arena_offset), trap_byte, info.arena_size);
}

Status commit(uintptr_t address, size_t n) {
    return commit_with(address, n, [](uintptr_t page, size_t) { return make_zeroed(page); });
}

Status commit_copy(uintptr_t address, const void* source, size_t n, PageUse use) {
    if (use == PageUse::data) return Status::misused;
    const sgx_secinfo& wanted = use == PageUse::code ? code_copy : read_only_copy;
    const char* const from = static_cast<const char*>(source);
    return commit_with(address, n, [&](uintptr_t page, size_t i) {
        return make_copy(wanted, page, from + i * page_size);
    });
}

bool release(uintptr_t address, size_t n) {
    SGXDL_ASSERT(in_window(address, n));
    const size_t first = index_of(address);
    {
        LockGuard guard(lock);
        for (size_t i = 0; i < n; ++i) {
            SGXDL_ASSERT(record_present[(first + i) / page_size]);
            SGXDL_ASSERT(record()[first + i] == State::present);
            record()[first + i] = State::trimming;
        }
    }
    if (image_info().static_pages) return wipe(address, n), true;
    bool clean = true;
    for (size_t done = 0; done < n; done += trim_run) {
        const size_t run = n - done < trim_run ? n - done : trim_run;
        if (!trim(address + done * page_size, run)) clean = false;
    }
    return clean;
}

bool usable(uintptr_t address, size_t n) {
    SGXDL_ASSERT(in_window(address, n));
    const size_t first = index_of(address);
    LockGuard guard(lock);
    for (size_t i = first; i < first + n; ++i) {
        if (record_present[i / page_size] && record()[i] == State::set_aside) return false;
    }
    return true;
}

Counters counters() {
    return {committed_count.load(std::memory_order_relaxed),
            set_aside_count.load(std::memory_order_relaxed),
            accept_count.load(std::memory_order_relaxed),
            trim_count.load(std::memory_order_relaxed),
            record_count.load(std::memory_order_relaxed)};
}

}  // namespace sgxdl::pages
