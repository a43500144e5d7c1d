// The exception handler: the host saw the enclave fault (AEX) and entered again with CSSA = 1.
//
// Runs on the thread's exception stack. It may change the interrupted state in SSA[0] and let the
// host ERESUME, or mark the enclave dead. It takes no lock and touches no pin: the interrupted code
// may be anywhere. EXITINFO in the SSA is written by the processor, so the host cannot invent an
// exception; #PF and #GP are recorded there because MISCSELECT.EXINFO is set (SDM 37.9).

#include "enclave/runtime/crash.hpp"
#include "enclave/runtime/image.hpp"
#include "enclave/runtime/pages.hpp"
#include "enclave/runtime/thread.hpp"
#include "enclave/runtime/untrusted.hpp"
#include "sgxdl/arch/sgx.h"

// The ENCLU instructions that may fault, from entry.S: each entry's distance to one.
extern "C" const int32_t sgxdl_fixup_begin[], sgxdl_fixup_end[];

namespace sgxdl {

namespace {

constexpr uint32_t page_fault = 14;
constexpr uint64_t enclu_size = 3;  // 0F 01 D7

bool is_fixup_site(uint64_t rip) {
    for (const int32_t* site = sgxdl_fixup_begin; site != sgxdl_fixup_end; ++site) {
        if (reinterpret_cast<uint64_t>(site) + static_cast<uint64_t>(int64_t{*site}) == rip)
            return true;
    }
    return false;
}

const char* vector_text(uint32_t vector) {
    switch (vector) {
        case 0:
            return "divide error";
        case 1:
            return "debug exception";
        case 3:
            return "breakpoint";
        case 5:
            return "bound range exceeded";
        case 6:
            return "invalid opcode";
        case 13:
            return "general protection";
        case 14:
            return "page fault";
        case 16:
            return "x87 floating-point error";
        case 17:
            return "alignment check";
        case 19:
            return "SIMD floating-point error";
        default:
            return "exception";
    }
}

uint64_t offset_if_inside(uint64_t address) {
    const uint64_t offset = address - enclave_base();
    return offset < image_info().elrange_size ? offset : address;
}

}  // namespace

}  // namespace sgxdl

extern "C" __attribute__((visibility("hidden"))) void sgxdl_handle_exception(
    uint64_t area_address) {
    using namespace sgxdl;
    HostWords area;
    if (!HostWords::check(area_address, sizeof(HostArea) / 8, area)) return;
    constexpr size_t reason = offsetof(HostArea, exit_reason) / 8;

    char* const frame_end = reinterpret_cast<char*>(&this_thread()) + SGXDL_SSA0 +
                            SGXDL_SSA_FRAME_PAGES * SGXDL_PAGE_SIZE;
    sgx_gprsgx& interrupted = *reinterpret_cast<sgx_gprsgx*>(frame_end - SGX_GPRSGX_SIZE);
    const sgx_exinfo& info =
        *reinterpret_cast<sgx_exinfo*>(frame_end - SGX_GPRSGX_SIZE - SGX_EXINFO_SIZE);

    if ((interrupted.exitinfo & SGX_EXITINFO_VALID) == 0) {
        area.store(offsetof(HostArea, refusal) / 8, static_cast<uint64_t>(Status::nothing_pending));
        area.store(reason, static_cast<uint64_t>(Exit::refused));
        return;
    }
    const uint32_t vector = interrupted.exitinfo & SGX_EXITINFO_VECTOR_MASK;
    interrupted.exitinfo = 0;  // handled once: a second entry finds nothing pending
    if (vector == page_fault && is_fixup_site(interrupted.rip)) {
        interrupted.rax = enclu_faulted;
        interrupted.rip += enclu_size;
        area.store(reason, static_cast<uint64_t>(Exit::resume));
        return;
    }

    CrashReport report = {};
    report.kind = static_cast<uint64_t>(CrashKind::exception);
    report.vector = vector;
    if (vector == 13 || vector == page_fault) report.error_code = info.errcd;
    if (vector == page_fault) report.address = offset_if_inside(info.maddr);
    report.rip = offset_if_inside(interrupted.rip);
    report.thread = this_thread().index;
    // A stub jumped through the table of a thread that is pinned to no generation.
    const bool unpinned = vector == page_fault && report.address >= image_info().void_offset &&
                          report.address - image_info().void_offset < SGXDL_VOID_SIZE;
    set_crash_text(report, unpinned ? "call into loaded code without a pin" : vector_text(vector));
    record_crash(report);
    report_crash(reinterpret_cast<HostArea*>(area_address));
}
