// What a signal means: an ENCLU, a page fault to be cured, an exception that leaves the enclave, an
// interrupt, or something of the program's own.
//
// entry.S calls sgxemu_on_signal with every signal blocked, on the program's FS and GS. `bases` are
// those of the interrupted code; the handler returns to what stands there at the end.

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "emulator/context.hpp"
#include "emulator/costs.hpp"
#include "emulator/cpuid.hpp"
#include "emulator/deliver.hpp"
#include "emulator/dispositions.hpp"
#include "emulator/enclu.hpp"
#include "emulator/entry.hpp"
#include "emulator/fast/fast.hpp"
#include "emulator/hostile.hpp"
#include "emulator/machine.hpp"
#include "emulator/registry.hpp"
#include "emulator/sgxemu.hpp"
#include "emulator/transitions.hpp"
#include "emulator/user_dispatch.hpp"
#include "emulator/usercopy.hpp"

namespace sgxemu {

namespace {

uint64_t reg(const ucontext_t& context, int index) {
    return static_cast<uint64_t>(context.uc_mcontext.gregs[index]);
}

// The processor's exception behind a signal.
Exception exception_of(const ucontext_t& context) {
    Exception e;
    e.vector = static_cast<uint8_t>(reg(context, REG_TRAPNO));
    e.error_code = static_cast<uint32_t>(reg(context, REG_ERR));
    if (e.vector == vector_pf) e.address = reg(context, REG_CR2);
    return e;
}

Access access_of(uint32_t error_code) {
    if (error_code & SGX_PFEC_I) return PROT_EXEC;
    return (error_code & SGX_PFEC_W) ? PROT_WRITE : PROT_READ;
}

// The kernel hands exceptions at the vDSO's ENCLU to the vDSO's fix-up, all but #DB and #BP, which
// are for debuggers. RAX, which holds the leaf, stays. (arch/x86/entry/vdso/extable.c)
bool fix_up_in_vdso(ucontext_t& context, const Exception& exception) {
    auto& gregs = context.uc_mcontext.gregs;
    if (reg(context, REG_RIP) != address_of(sgxemu_aep)) return false;
    if (exception.vector == vector_db || exception.vector == vector_bp) return false;
    gregs[REG_RIP] = static_cast<greg_t>(address_of(sgxemu_handle_exception));
    gregs[REG_RDI] = exception.vector;
    gregs[REG_RSI] = static_cast<greg_t>(exception.error_code);
    gregs[REG_RDX] = static_cast<greg_t>(exception.address);
    return true;
}

// An exception in enclave mode: AEX, then what the kernel does at the AEP. The operating system
// does not see where in the page a fault was.
void raise_inside(int signal, siginfo_t& info, Thread& thread, ucontext_t& context, Bases& bases,
                  Exception exception) {
    aex(thread, context, bases, exception);
    exception.address &= ~(page_size - 1);
    if (fix_up_in_vdso(context, exception)) return;
    deliver_exception(exception, signal, info, context, &thread);
}

void on_page_fault_inside(int signal, siginfo_t& info, Thread& thread, ucontext_t& context,
                          Bases& bases, const Exception& exception) {
    Enclave& enclave = *thread.enclave;
    if (enclave.contains(exception.address)) {
        Translation translation;
        {
            const Guard guard(enclave.lock);
            translation =
                resolve_access(enclave, exception.address, access_of(exception.error_code));
        }
        if (translation.outcome == Outcome::allowed) return;  // the instruction restarts
        return raise_inside(signal, info, thread, context, bases, translation.exception);
    }
    raise_inside(signal, info, thread, context, bases, exception);
}

// SYSCALL in enclave mode is #UD at the instruction; the kernel stopped it after it.
void raise_syscall_inside(siginfo_t& info, Thread& thread, ucontext_t& context, Bases& bases) {
    constexpr greg_t syscall_length = 2;
    context.uc_mcontext.gregs[REG_RIP] -= syscall_length;
    raise_inside(SIGILL, info, thread, context, bases, Exception{vector_ud, 0, 0});
}

// The trap flag is the system's, not the enclave's debugger's.
bool is_step(int signal, const siginfo_t& info, const Thread& thread) {
    return signal == SIGTRAP && info.si_code == TRAP_TRACE && thread.stepped != 0;
}

void on_step(Thread& thread, ucontext_t& context, Bases& bases) {
    const bool stop = step_done();
    aex(thread, context, bases, std::nullopt);
    if (stop) fix_up_in_vdso(context, Exception{step_vector, 0, 0});
}

// The #DB after an ENCLU, wherever that led.
void raise_step(int signal, siginfo_t& info, Thread& thread, ucontext_t& context, Bases& bases,
                const Exception& exception) {
    const bool of_system = is_step(signal, info, thread);
    if (thread.inside != 0) {
        if (of_system) return on_step(thread, context, bases);
        return raise_inside(signal, info, thread, context, bases, exception);
    }
    if (!of_system) deliver_signal(signal, info, context, &thread);
}

void on_fault_inside(int signal, siginfo_t& info, Thread& thread, ucontext_t& context,
                     Bases& bases) {
    if (signal == SIGSYS) {
        raise_syscall_inside(info, thread, context, bases);
        return;
    }
    const Exception exception = exception_of(context);
    bool in_stub = false;
    settle(thread, context, bases, in_stub);
    if (is_step(signal, info, thread) && !in_stub) return on_step(thread, context, bases);
    // Stepping through a stub would never end if it began anew each time.
    const bool stepped = in_stub && exception.vector == vector_db;
    if (stepped || trapped_on_enclu(thread, context, exception.vector)) {
        if (const auto fault = execute_enclu_inside(thread, context, bases)) {
            raise_inside(signal, info, thread, context, bases, *fault);
        } else if (stepped) {
            raise_step(signal, info, thread, context, bases, exception);
        }
        return;
    }
    if (exception.vector == vector_pf) {
        return on_page_fault_inside(signal, info, thread, context, bases, exception);
    }
    raise_inside(signal, info, thread, context, bases, exception);
}

bool is_enclu_of_program(const ucontext_t& context, uint8_t vector) {
    if (vector != vector_ud) return false;
    uint8_t at[enclu_length] = {};
    return copy_from_program(at, reg(context, REG_RIP), sizeof(at)) && at[0] == enclu_first_byte &&
           at[1] == 0x01 && at[2] == 0xd7;
}

// The program touched a page of an enclave that the reclaimer has written out. What the EPCM denies
// stays a fault (on hardware it reads as ones).
bool is_cured_outside(const Exception& exception) {
    if (machine().config.strict) return false;
    const EnclaveRef enclave = find_by_address(exception.address);
    if (!enclave) return false;
    const Guard guard(enclave->lock);
    if (!enclave->entry(exception.address).written_out) return false;
    const Access access = access_of(exception.error_code);
    return resolve_access(*enclave, exception.address, access).outcome == Outcome::allowed;
}

void on_fault_outside(int signal, siginfo_t& info, Thread* thread, ucontext_t& context,
                      Bases& bases) {
    if (signal == SIGSYS) return deliver_signal(signal, info, context, thread);
    const Exception exception = exception_of(context);
    if (exception.vector == vector_gp && execute_cpuid(context)) return;
    if (exception.vector == vector_pf && is_cured_outside(exception)) return;
    const bool at_aep = reg(context, REG_RIP) == address_of(sgxemu_aep);
    if (!at_aep && !is_enclu_of_program(context, exception.vector)) {
        return deliver_signal(signal, info, context, thread);
    }
    if (thread == nullptr) thread = current_thread();
    if (thread == nullptr) return deliver_signal(signal, info, context, thread);
    const auto fault = execute_enclu_outside(*thread, context, bases);
    if (!fault || fix_up_in_vdso(context, *fault)) return;
    deliver_exception(*fault, signal, info, context, thread);
}

// The program's state at a signal that is none of the enclave's: an exit first, when it was inside.
void leave_for_signal(int signal, Thread& thread, ucontext_t& context, Bases& bases) {
    bool in_stub = false;
    const bool settled = settle(thread, context, bases, in_stub);
    if (!settled && !thread.enclave->contains(reg(context, REG_RIP))) {
        // EENTER is decided, and what it loads is not loaded yet. An interrupt came just before.
        if (signal == interrupt_signal) return;
        complete_entry(thread, context, bases);
    }
    aex(thread, context, bases, std::nullopt);
}

// The emulator's own code was interrupted where it cannot be: the signal waits until it is through.
void defer(int signal, siginfo_t& info, ucontext_t& context, Thread& thread) {
    thread.deferred_mask = signal_mask_of(context);
    thread.has_deferred = 1;
    set_signal_mask_of(context, ~SignalMask{0});
    ::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), ::syscall(SYS_gettid), signal, &info);
}

}  // namespace

extern "C" void sgxemu_on_signal(int signal, siginfo_t* info, ucontext_t* context, Thread* thread,
                                 Bases* bases) {
    const CostScope cost;
    const int saved_errno = errno;
    const bool waits = thread != nullptr && (thread->critical != 0 || is_busy(*thread));
    if (thread != nullptr && thread->inside == Thread::leaving && !waits) {
        settle_exit(*thread, *context, *bases);
        charge(Charged::eexit);
        release_enclave(*thread);
    }
    const bool inside = thread != nullptr && thread->inside != 0;
    if (is_fault_signal(signal) && info->si_code > 0) {
        if (inside) {
            on_fault_inside(signal, *info, *thread, *context, *bases);
        } else {
            on_fault_outside(signal, *info, thread, *context, *bases);
        }
    } else if (waits) {
        if (signal != interrupt_signal) defer(signal, *info, *context, *thread);
    } else {
        if (inside) leave_for_signal(signal, *thread, *context, *bases);
        if (signal != interrupt_signal) deliver_signal(signal, *info, *context, thread);
    }
    errno = saved_errno;
    if (thread != nullptr && thread->inside != 0 &&
        thread->enclave->contains(reg(*context, REG_RIP))) {
        thread->syscalls = syscalls_blocked;
    }
}

int interrupt(pid_t tid) {
    return ::syscall(SYS_tgkill, ::getpid(), tid, interrupt_signal) == 0 ? 0 : -errno;
}

}  // namespace sgxemu
