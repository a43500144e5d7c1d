// Asynchronous enclave exit.
//
// SDM volume 3D, 36.3 (synthetic state), 36.4 (order), 37.9.1.1 (EXITINFO), 37.9.2 (EXINFO).
#include "emulator/context.hpp"
#include "emulator/costs.hpp"
#include "emulator/hostile.hpp"
#include "emulator/ssa.hpp"
#include "emulator/transitions.hpp"
#include "emulator/xstate.hpp"

namespace sgxemu {

namespace {

// Vectors that EXITINFO reports: always, and when MISCSELECT has EXINFO.
constexpr uint32_t reported_always = 1u << 0 | 1u << vector_db | 1u << vector_bp | 1u << 5 |
                                     1u << vector_ud | 1u << 16 | 1u << 17 | 1u << 19;
constexpr uint32_t reported_with_exinfo = 1u << vector_gp | 1u << vector_pf;

uint32_t exit_info(const std::optional<Exception>& exception, bool has_exinfo) {
    if (!exception) return 0;
    const uint32_t reported = reported_always | (has_exinfo ? reported_with_exinfo : 0);
    if (!(reported >> exception->vector & 1)) return 0;
    const uint32_t type =
        exception->vector == vector_bp ? SGX_EXITINFO_TYPE_SOFTWARE : SGX_EXITINFO_TYPE_HARDWARE;
    return exception->vector | type << SGX_EXITINFO_TYPE_SHIFT | SGX_EXITINFO_VALID;
}

void load_synthetic_registers(ucontext_t& context, const sgx_gprsgx& gpr, uint64_t tcs,
                              uint64_t aep) {
    auto& gregs = context.uc_mcontext.gregs;
    const auto rflags = static_cast<uint64_t>(gregs[REG_EFL]);
    sgx_gprsgx synthetic{};
    synthetic.rax = SGX_ENCLU_ERESUME;
    synthetic.rbx = tcs;
    synthetic.rcx = aep;
    synthetic.rip = aep;
    synthetic.rsp = gpr.ursp;
    synthetic.rbp = gpr.urbp;
    synthetic.rflags = rflags & ~(rflags_arithmetic | rflags_tf);
    load_general_registers(context, synthetic);
}

}  // namespace

void aex(Thread& thread, ucontext_t& context, Bases& bases,
         const std::optional<Exception>& exception) {
    charge(Charged::aex);
    Enclave& enclave = *thread.enclave;
    // The TCS is ours while it is busy: no other thread touches it or its frames.
    sgx_tcs& tcs = *enclave.at<sgx_tcs>(thread.tcs);
    const SsaFrame frame = ssa_frame(enclave, tcs, tcs.cssa);
    sgx_gprsgx& gpr = *enclave.at<sgx_gprsgx>(frame.gprsgx);
    save_general_registers(context, gpr);
    if (thread.stepped) gpr.rflags &= ~rflags_tf;
    gpr.fsbase = bases.fs;
    gpr.gsbase = bases.gs;
    const bool has_exinfo = (enclave.secs.miscselect & SGX_MISC_EXINFO) != 0;
    gpr.exitinfo = exit_info(exception, has_exinfo);
    if (has_exinfo && exception &&
        (exception->vector == vector_pf || exception->vector == vector_gp)) {
        sgx_exinfo& info = *enclave.at<sgx_exinfo>(frame.exinfo);
        info.maddr = exception->vector == vector_pf ? exception->address : 0;
        info.errcd = exception->error_code;
        info.reserved = 0;
    }
    save_and_init_xstate(context, enclave.secs.attributes.xfrm, enclave.bytes(frame.begin));
    tcs.cssa += 1;
    load_synthetic_registers(context, gpr, thread.tcs, tcs.aep);
    leave_enclave(thread, context, bases);
}

}  // namespace sgxemu
