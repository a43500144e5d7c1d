// What a trap means: an ENCLU, a page fault to be cured, an exception that leaves the enclave, an
// interrupt, or something of the program's own.
//
// entry.S calls sgxemu_on_signal with every signal blocked, on the program's FS and GS. `bases` are
// those of the interrupted code; the handler returns to what stands there at the end.
#include "emulator/signals.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>

#include "emulator/chain.hpp"
#include "emulator/context.hpp"
#include "emulator/cpuid.hpp"
#include "emulator/enclu.hpp"
#include "emulator/entry.hpp"
#include "emulator/registry.hpp"
#include "emulator/sgxemu.hpp"
#include "emulator/transitions.hpp"
#include "emulator/usercopy.hpp"

namespace sgxemu {

namespace {

constexpr int fault_signals[] = {SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGTRAP};

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
    auto& gregs = context.uc_mcontext.gregs;
    gregs[REG_TRAPNO] = exception.vector;
    gregs[REG_ERR] = static_cast<greg_t>(exception.error_code);
    gregs[REG_CR2] = static_cast<greg_t>(exception.address);
    chain_signal(signal, info, context);
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

void on_fault_inside(int signal, siginfo_t& info, Thread& thread, ucontext_t& context,
                     Bases& bases) {
    const Exception exception = exception_of(context);
    if (trapped_on_enclu(thread, context, exception.vector)) {
        if (const auto fault = execute_enclu_inside(thread, context, bases)) {
            raise_inside(signal, info, thread, context, bases, *fault);
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
    const EnclaveRef enclave = find_by_address(exception.address);
    if (!enclave) return false;
    const Guard guard(enclave->lock);
    if (!enclave->entry(exception.address).written_out) return false;
    const Access access = access_of(exception.error_code);
    return resolve_access(*enclave, exception.address, access).outcome == Outcome::allowed;
}

void on_fault_outside(int signal, siginfo_t& info, Thread* thread, ucontext_t& context,
                      Bases& bases) {
    const Exception exception = exception_of(context);
    if (exception.vector == vector_gp && execute_cpuid(context)) return;
    if (exception.vector == vector_pf && is_cured_outside(exception)) return;
    const bool at_aep = reg(context, REG_RIP) == address_of(sgxemu_aep);
    if (!at_aep && !is_enclu_of_program(context, exception.vector)) {
        return chain_signal(signal, info, context);
    }
    if (thread == nullptr) thread = current_thread();
    if (thread == nullptr) return chain_signal(signal, info, context);
    const auto fault = execute_enclu_outside(*thread, context, bases);
    if (!fault || fix_up_in_vdso(context, *fault)) return;
    chain_signal(signal, info, context);
}

}  // namespace

extern "C" void sgxemu_on_signal(int signal, siginfo_t* info, ucontext_t* context, Thread* thread,
                                 Bases* bases) {
    const int saved_errno = errno;
    const bool inside = thread != nullptr && thread->inside != 0;
    if (signal == interrupt_signal) {
        // Between EENTER's decision and its jump the thread counts as inside but has no state
        // there yet: the interrupt came just before.
        if (inside && thread->enclave->contains(reg(*context, REG_RIP))) {
            aex(*thread, *context, *bases, std::nullopt);
        }
    } else if (info->si_code <= 0) {
        // Sent by someone, not a fault. The program's handler must not see the enclave.
        if (inside) aex(*thread, *context, *bases, std::nullopt);
        chain_signal(signal, *info, *context);
    } else if (inside) {
        on_fault_inside(signal, *info, *thread, *context, *bases);
    } else {
        on_fault_outside(signal, *info, thread, *context, *bases);
    }
    errno = saved_errno;
}

int install_signal_handlers() {
    static std::mutex installing;
    const std::lock_guard lock(installing);
    KernelSigaction action;
    action.handler = reinterpret_cast<void*>(sgxemu_signal_entry);
    constexpr unsigned long sa_restorer = 0x04000000;
    action.flags = SA_SIGINFO | SA_ONSTACK | sa_restorer;
    action.restorer = sgxemu_signal_return;
    action.mask = ~SignalMask{0};
    for (const int signal : fault_signals) {
        if (const int error = replace_handler(signal, action)) return error;
    }
    return replace_handler(interrupt_signal, action);
}

int interrupt(pid_t tid) {
    return ::syscall(SYS_tgkill, ::getpid(), tid, interrupt_signal) == 0 ? 0 : -errno;
}

}  // namespace sgxemu
