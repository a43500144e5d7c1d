// The program's handler gets the stack frame that the kernel would have made: on its own stack or
// its own alternate one, never on the emulator's, so that it may enter enclaves, be interrupted, or
// leave by siglongjmp (struct rt_sigframe of arch/x86/include/asm/sigframe.h; get_sigframe and
// x64_setup_rt_frame of arch/x86/kernel/signal*.c).
#include "emulator/deliver.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

#include "emulator/context.hpp"
#include "emulator/dispositions.hpp"
#include "emulator/entry.hpp"
#include "emulator/registry.hpp"
#include "emulator/vma.hpp"

namespace sgxemu {

namespace {

constexpr uint64_t red_zone = 128, fpu_alignment = 64;
constexpr size_t fxsave_size = 512, sw_bytes_offset = 464;
constexpr uint64_t rflags_tf = 0x100, rflags_df = 0x400, rflags_rf = 0x10000;
// The kernel's struct ucontext is the first part of glibc's, with a mask of 8 bytes at its end.
constexpr size_t kernel_ucontext_size = offsetof(ucontext_t, uc_sigmask) + sizeof(SignalMask);
constexpr size_t kernel_siginfo_size = 128;
static_assert(kernel_ucontext_size == 304 && sizeof(siginfo_t) == kernel_siginfo_size);

struct Frame {
    void (*return_to)() = nullptr;  // sigreturn finds the frame just below the stack pointer
    uint8_t context[kernel_ucontext_size] = {};
    siginfo_t info = {};
};
static_assert(sizeof(Frame) == 8 + kernel_ucontext_size + kernel_siginfo_size);

// A fault restarts and comes again, now with the default action; anything else is sent again.
bool restarts(int signal, const siginfo_t& info) {
    return info.si_code > 0 && is_fault_signal(signal) && signal != SIGTRAP;
}

void let_default_happen(int signal, bool comes_again) {
    const KernelSigaction by_default{};
    kernel_sigaction(signal, &by_default, nullptr);
    if (!comes_again) ::syscall(SYS_tgkill, ::getpid(), ::syscall(SYS_gettid), signal);
}

SignalMask mask_in_handler(int signal, const KernelSigaction& action, SignalMask interrupted) {
    SignalMask mask = interrupted | action.mask;
    if (!(action.flags & SA_NODEFER)) mask |= bit_of(signal);
    return mask;
}

// Here and now, on whatever stack this handler has.
void call_handler(int signal, siginfo_t& info, ucontext_t& context, const KernelSigaction& action) {
    const SignalMask all =
        set_signal_mask(mask_in_handler(signal, action, signal_mask_of(context)));
    if (action.flags & SA_SIGINFO) {
        using Handler = void (*)(int, siginfo_t*, void*);
        reinterpret_cast<Handler>(action.handler)(signal, &info, &context);
    } else {
        reinterpret_cast<__sighandler_t>(action.handler)(signal);
    }
    set_signal_mask(all);
}

size_t fpu_image_size(const void* image) {
    _fpx_sw_bytes software;
    std::memcpy(&software, static_cast<const uint8_t*>(image) + sw_bytes_offset, sizeof(software));
    return software.magic1 == FP_XSTATE_MAGIC1 ? software.extended_size : fxsave_size;
}

uint64_t stack_for(const KernelSigaction& action, const Thread& thread, uint64_t rsp) {
    const stack_t& stack = thread.program_stack;
    const auto begin = reinterpret_cast<uint64_t>(stack.ss_sp);
    const bool usable = !(stack.ss_flags & SS_DISABLE) && stack.ss_size != 0;
    const bool wanted = (action.flags & SA_ONSTACK) && usable;
    if (wanted && rsp - begin >= stack.ss_size) return begin + stack.ss_size;
    return rsp - red_zone;
}

void push_frame(int signal, const siginfo_t& info, ucontext_t& context, const Thread& thread,
                const KernelSigaction& action) {
    auto& gregs = context.uc_mcontext.gregs;
    uint64_t sp = stack_for(action, thread, static_cast<uint64_t>(gregs[REG_RSP]));
    const void* image = context.uc_mcontext.fpregs;
    const size_t image_size = image != nullptr ? fpu_image_size(image) : 0;
    sp = (sp - image_size) & ~(fpu_alignment - 1);
    auto* image_copy = reinterpret_cast<fpregset_t>(sp);
    if (image_size != 0) std::memcpy(image_copy, image, image_size);
    // As after a call: 16-byte aligned below the return address.
    sp = ((sp - sizeof(Frame)) & ~uint64_t{15}) - 8;
    auto* frame = reinterpret_cast<Frame*>(sp);
    frame->return_to = sgxemu_signal_return;
    // uc_stack stays the emulator's: sigreturn sets the thread's alternate stack to it.
    std::memcpy(frame->context, &context, kernel_ucontext_size);
    if (image_size != 0) {
        constexpr size_t at = offsetof(ucontext_t, uc_mcontext.fpregs);
        std::memcpy(frame->context + at, &image_copy, sizeof(image_copy));
    }
    std::memcpy(&frame->info, &info, sizeof(info));

    gregs[REG_RIP] = reinterpret_cast<greg_t>(action.handler);
    gregs[REG_RSP] = reinterpret_cast<greg_t>(frame);
    gregs[REG_RDI] = signal;
    gregs[REG_RSI] = reinterpret_cast<greg_t>(&frame->info);
    gregs[REG_RDX] = reinterpret_cast<greg_t>(frame->context);
    gregs[REG_RAX] = 0;
    const auto flags = static_cast<uint64_t>(gregs[REG_EFL]);
    gregs[REG_EFL] = static_cast<greg_t>(flags & ~(rflags_tf | rflags_df | rflags_rf));
    const SignalMask mask = mask_in_handler(signal, action, signal_mask_of(context));
    set_signal_mask_of(context, mask & ~unblockable());
}

void deliver(int signal, siginfo_t& info, ucontext_t& context, const Thread* thread,
             bool comes_again) {
    const KernelSigaction action = take_action_for_delivery(signal);
    const auto handler = reinterpret_cast<__sighandler_t>(action.handler);
    const bool is_fault = is_fault_signal(signal) && info.si_code > 0;
    if (handler == SIG_IGN && !is_fault) return;
    // The kernel does not let a fault be ignored.
    if (handler == SIG_DFL || handler == SIG_IGN) return let_default_happen(signal, comes_again);
    // A thread that is new here may be on the program's stack: no frame is built over this one.
    const bool on_our_stack =
        thread != nullptr && is_on_signal_stack(*thread, reinterpret_cast<uint64_t>(&context));
    if (!has_all_signals() || !on_our_stack) return call_handler(signal, info, context, action);
    push_frame(signal, info, context, *thread, action);
}

void make_info(siginfo_t& info, int signal, int code, uint64_t address) {
    info = {};
    info.si_signo = signal;
    info.si_code = code;
    info.si_addr = reinterpret_cast<void*>(address);
}

// access_error and do_sigbus of arch/x86/mm/fault.c: what the EPCM denies is denied access; what
// the mapping allows and the driver does not provide is its SIGBUS.
void make_page_fault_info(siginfo_t& info, const Exception& e) {
    if (e.error_code & SGX_PFEC_SGX) return make_info(info, SIGSEGV, SEGV_ACCERR, e.address);
    const EnclaveRef enclave = find_by_address(e.address);
    if (!enclave) {
        // The host's own fault, unless it was an ENCLU that trapped (#UD, or #GP by HLT).
        if (info.si_signo != SIGILL && info.si_code != SI_KERNEL) {
            info.si_addr = reinterpret_cast<void*>(e.address);
            return;
        }
        const int code = (e.error_code & SGX_PFEC_P) ? SEGV_ACCERR : SEGV_MAPERR;
        return make_info(info, SIGSEGV, code, e.address);
    }
    const Guard guard(enclave->lock);
    const Vma* vma = find_vma(*enclave, e.address);
    if (vma == nullptr) return make_info(info, SIGSEGV, SEGV_MAPERR, e.address);
    const int wanted = (e.error_code & SGX_PFEC_I)   ? PROT_EXEC
                       : (e.error_code & SGX_PFEC_W) ? PROT_WRITE
                                                     : PROT_READ;
    if (!(vma->protection & wanted)) return make_info(info, SIGSEGV, SEGV_ACCERR, e.address);
    make_info(info, SIGBUS, BUS_ADRERR, e.address);
}

}  // namespace

void deliver_signal(int signal, siginfo_t& info, ucontext_t& context, const Thread* thread) {
    deliver(signal, info, context, thread, restarts(signal, info));
}

// exc_invalid_op, exc_general_protection and their like in arch/x86/kernel/traps.c.
void deliver_exception(const Exception& exception, int signal, siginfo_t& info, ucontext_t& context,
                       const Thread* thread) {
    auto& gregs = context.uc_mcontext.gregs;
    gregs[REG_TRAPNO] = exception.vector;
    gregs[REG_ERR] = static_cast<greg_t>(exception.error_code);
    gregs[REG_CR2] = static_cast<greg_t>(exception.address);
    const auto rip = static_cast<uint64_t>(gregs[REG_RIP]);
    if (exception.vector == vector_ud) {
        make_info(info, SIGILL, ILL_ILLOPN, rip);
    } else if (exception.vector == vector_gp) {
        make_info(info, SIGSEGV, SI_KERNEL, 0);
    } else if (exception.vector == vector_pf) {
        make_page_fault_info(info, exception);
    } else if (signal == SIGFPE || (signal == SIGTRAP && info.si_code != SI_KERNEL)) {
        // The host saw the place in the enclave.
        info.si_addr = reinterpret_cast<void*>(rip);
    }
    // The trap that comes again is the host's.
    const bool comes_again = info.si_signo == signal && restarts(signal, info);
    deliver(info.si_signo, info, context, thread, comes_again);
}

}  // namespace sgxemu
