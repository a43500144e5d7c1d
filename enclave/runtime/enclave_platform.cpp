#include "enclave/runtime/enclave_platform.hpp"

#include <cstring>

#include "enclave/interface/runtime_calls.hpp"
#include "enclave/runtime/heap.hpp"
#include "enclave/runtime/image.hpp"
#include "enclave/runtime/ocall.hpp"
#include "enclave/runtime/pages.hpp"
#include "enclave/runtime/thread.hpp"

extern "C" void sgxdl_trap();

namespace sgxdl {

static_assert(LoaderPlatform<Platform>);

namespace {

Result<void> to_result(pages::Status status, const char* what, uintptr_t address, size_t count) {
    switch (status) {
        case pages::Status::ok:
            return {};
        case pages::Status::refused:
            return make_error(Code::page_refused, "%s: %u pages at offset %x", what,
                              uint64_t{count}, uint64_t{address - enclave_base()});
        case pages::Status::misused:
            break;
    }
    // The core asked for pages that it does not own: a bug of ours, not of the host.
    SGXDL_ASSERT(status != pages::Status::misused);
    return {};
}

}  // namespace

AddressRange Platform::arena() {
    return {enclave_base() + image_info().arena_offset, image_info().arena_size};
}

Result<void> Platform::commit_data(uintptr_t address, size_t count) {
    return to_result(pages::commit(address, count), "EACCEPT", address, count);
}

Result<void> Platform::commit_copy(uintptr_t address, const void* source, size_t count,
                                   PageUse use) {
    return to_result(pages::commit_copy(address, source, count, use), "EACCEPTCOPY", address,
                     count);
}

bool Platform::release(uintptr_t address, size_t count) {
    return pages::release(address, count);
}

bool Platform::usable(uintptr_t address, size_t count) {
    return pages::usable(address, count);
}

// Staging is heap: units are page aligned, and it is reused instead of trimmed each time.
void* Platform::staging_alloc(size_t count) {
    return heap::allocate_aligned(page_size, count * page_size);
}

void Platform::staging_free(void* pages, size_t) {
    heap::release(pages);
}

void* Platform::allocate(size_t bytes) {
    return heap::allocate(bytes);
}

void Platform::deallocate(void* block) {
    heap::release(block);
}

void* Platform::reserve(size_t bytes) {
    return heap::reserve(bytes);
}

bool Platform::extend(void* block, size_t bytes) {
    return heap::extend(block, bytes);
}

uint64_t Platform::heap_growth() {
    return heap::taken();
}

uint32_t Platform::thread_index() {
    return this_thread().index;
}

void Platform::emit_stub(void* bytes, uint32_t index) {
    // FF /4 with SIB and no base or index: absolute disp32, sign extended; GS prefix (SDM vol. 2).
    const uint32_t displacement = index * 8;
    uint8_t code[stub_size];
    memset(code, 0xcc, sizeof(code));
    code[0] = 0x65;
    code[1] = 0xff;
    code[2] = 0x24;
    code[3] = 0x25;
    memcpy(code + 4, &displacement, sizeof(displacement));
    memcpy(bytes, code, sizeof(code));
}

void Platform::set_table(const void* table) {
    const uintptr_t base = table != nullptr ? reinterpret_cast<uintptr_t>(table)
                                            : enclave_base() + image_info().void_offset;
    SGXDL_ASSERT(base - enclave_base() < image_info().elrange_size);
    asm volatile("wrgsbase %0" : : "r"(base) : "memory");
}

uintptr_t Platform::trap_address() {
    return reinterpret_cast<uintptr_t>(&sgxdl_trap);
}

bool Platform::w_xor_x() {
    return !image_info().static_pages;
}

void Platform::log(const char* line) {
    const size_t length = strnlen(line, 1023);
    (void)ocall<Log>(std::span<const char>(line, length + 1));
}

}  // namespace sgxdl
