// The start of the enclave with its first ecall, and of each thread with its own first one.
//
// The image is position independent: only its writable pages contain addresses, all of them
// R_X86_64_RELATIVE, and they are applied here. Code and constants are measured as they run and
// were never writable.

#include <elf.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "enclave/runtime/application.hpp"
#include "enclave/runtime/crash.hpp"
#include "enclave/runtime/heap.hpp"
#include "enclave/runtime/image.hpp"
#include "enclave/runtime/lock.hpp"
#include "enclave/runtime/pages.hpp"
#include "enclave/runtime/runtime.hpp"
#include "enclave/runtime/thread.hpp"

extern "C" {
extern const Elf64_Rela sgxdl_rela_begin[], sgxdl_rela_end[];
extern void (*const sgxdl_init_array_begin[])();
extern void (*const sgxdl_init_array_end[])();
extern const char __c_locale[];  // musl: the C locale
extern char __stdout_FILE[], __stderr_FILE[];
}

namespace sgxdl {

namespace {

enum : uint32_t { fresh = 0, starting = 1, started = 2, failed = 3 };
std::atomic<uint32_t> state{fresh};
uint64_t canary;

constexpr size_t musl_file_lock = 0x8c;  // offset of FILE's lock, negative: never locked

__attribute__((no_stack_protector)) void relocate() {
    const uintptr_t base = enclave_base();
    for (const Elf64_Rela* r = sgxdl_rela_begin; r != sgxdl_rela_end; ++r) {
        // The signer refuses an image with any other type.
        if (ELF64_R_TYPE(r->r_info) != R_X86_64_RELATIVE) continue;
        *reinterpret_cast<uint64_t*>(base + r->r_offset) =
            base + static_cast<uint64_t>(r->r_addend);
    }
}

__attribute__((no_stack_protector)) void set_up_thread() {
    ThreadArea& thread = this_thread();
    thread.self = &thread;
    thread.canary = canary;
    thread.tid = static_cast<int32_t>(thread.index) + 1;
    thread.locale = __c_locale;
    thread.started = 1;
}

void fail(const char* text) {
    CrashReport report = {};
    report.kind = static_cast<uint64_t>(CrashKind::startup);
    report.thread = this_thread().index;
    set_crash_text(report, text);
    record_crash(report);
}

// What may use everything: runs once, with the first thread set up.
__attribute__((noinline)) bool start_enclave() {
    const sgxdl_image_info& info = image_info();
    if (info.magic != SGXDL_IMAGE_INFO_MAGIC) return fail("image was not signed"), false;
    pages::start();
    if (!heap::start(enclave_base() + info.heap_offset, info.heap_size)) {
        return fail("no memory for the heap"), false;
    }
    *reinterpret_cast<int*>(__stdout_FILE + musl_file_lock) = 0;
    *reinterpret_cast<int*>(__stderr_FILE + musl_file_lock) = 0;
    if (!register_ecalls(runtime_rows(), 1, first_application_call - 1) ||
        !register_ecalls(loader_rows(), 1, first_application_call - 1) ||
        !register_ecalls(application.ecalls, first_application_call, max_call - 1)) {
        return fail("two ecalls have the same number, or one is out of range"), false;
    }
    if (const Result<void> loader = start_loader(); !loader) {
        return fail(loader.error().context[0] != '\0' ? loader.error().context
                                                      : code_text(loader.error().code)),
               false;
    }
    for (auto constructor = sgxdl_init_array_begin; constructor != sgxdl_init_array_end;
         ++constructor) {
        (*constructor)();
    }
    if (application.start != nullptr && !application.start()) {
        return fail("the application refused to start"), false;
    }
    return true;
}

}  // namespace

__attribute__((no_stack_protector)) bool start_thread() {
    // acquire: pairs with the release below; what the starting thread set up is seen
    uint32_t seen = state.load(std::memory_order_acquire);
    if (seen == fresh && state.compare_exchange_strong(seen, starting, std::memory_order_acquire)) {
        relocate();
        if (!random_bytes(&canary, sizeof(canary))) {
            fail("the processor gives no random bytes");
            state.store(failed, std::memory_order_release);
            return false;
        }
        canary &= ~uint64_t{0xff};  // a string that overflows cannot write its terminator
        set_up_thread();
        const bool good = start_enclave();
        state.store(good ? started : failed, std::memory_order_release);
        return good;
    }
    // Another thread is at it; whether it is scheduled is up to the host.
    for (uint32_t attempt = 0; (seen = state.load(std::memory_order_acquire)) == starting;
         ++attempt) {
        if (enclave_is_dead()) return false;
        yield_to_host(attempt);
    }
    if (seen != started) return false;
    set_up_thread();
    return true;
}

}  // namespace sgxdl
