#include "enclave/runtime/crash.hpp"

#include <atomic>
#include <cstring>

#include "enclave/loader/platform.hpp"
#include "enclave/runtime/image.hpp"
#include "enclave/runtime/thread.hpp"
#include "enclave/runtime/untrusted.hpp"

extern "C" [[noreturn]] void sgxdl_leave();

namespace sgxdl {

namespace {

// 0: alive, 1: a crash is being recorded, 2: dead and `first` is complete.
std::atomic<uint32_t> dead{0};
CrashReport first;

}  // namespace

// acquire: pairs with the release in record_crash, so that `first` is complete when dead is seen.
bool enclave_is_dead() {
    return dead.load(std::memory_order_acquire) != 0;
}

void record_crash(const CrashReport& report) {
    uint32_t alive = 0;
    if (!dead.compare_exchange_strong(alive, 1, std::memory_order_acq_rel)) return;
    first = report;
    dead.store(2, std::memory_order_release);
}

void report_crash(HostArea* area) {
    HostWords words;
    if (!HostWords::check(reinterpret_cast<uint64_t>(area), sizeof(HostArea) / 8, words)) return;
    CrashReport report = {};
    report.kind = static_cast<uint64_t>(CrashKind::abort);
    if (dead.load(std::memory_order_acquire) == 2) report = first;
    words.copy_out(offsetof(HostArea, crash) / 8, &report, sizeof(report));
    words.store(offsetof(HostArea, exit_reason) / 8, static_cast<uint64_t>(Exit::crashed));
}

void set_crash_text(CrashReport& report, const char* text) {
    char* to = reinterpret_cast<char*>(report.text);
    size_t i = 0;
    for (; text[i] != '\0' && i + 1 < sizeof(report.text); ++i)
        to[i] = text[i];
    to[i] = '\0';
}

void crash(CrashKind kind, const char* text, uint64_t rip) {
    ThreadArea& thread = this_thread();
    CrashReport report = {};
    report.kind = static_cast<uint64_t>(kind);
    report.rip = rip - enclave_base();
    report.thread = thread.index;
    set_crash_text(report, text);
    record_crash(report);
    report_crash(thread.host_area);
    sgxdl_leave();
}

void platform_abort(const char* what, const char* file, int line) {
    char text[sizeof(CrashReport::text)];
    size_t n = 0;
    const auto put = [&](const char* part) {
        while (*part != '\0' && n + 1 < sizeof(text))
            text[n++] = *part++;
    };
    char digits[12];
    size_t d = sizeof(digits) - 1;
    digits[d] = '\0';
    for (unsigned rest = static_cast<unsigned>(line); d > 0; rest /= 10) {
        digits[--d] = static_cast<char>('0' + rest % 10);
        if (rest < 10) break;
    }
    put("assertion failed: ");
    put(what);
    put(" at ");
    put(file);
    put(":");
    put(digits + d);
    text[n] = '\0';
    crash(CrashKind::abort, text, reinterpret_cast<uint64_t>(__builtin_return_address(0)));
}

}  // namespace sgxdl

// From entry.S: a jump through an unset slot of the generation table.
extern "C" [[noreturn]] __attribute__((visibility("hidden"))) void sgxdl_trapped(uint64_t rip) {
    sgxdl::crash(sgxdl::CrashKind::trap,
                 "call through a canonical address outside of its generation", rip);
}
