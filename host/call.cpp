// Ecalls: entering the enclave, serving its ocalls, and exceptions in between.

#include <cstring>

#include "host/enclave_impl.hpp"
#include "sgxdl/arch/sgx.h"

extern "C" int sgxdl_host_enter(uint64_t rdi, uint64_t rsi, uint64_t rdx, unsigned function,
                                sgx_enclave_run* run, vdso_sgx_enter_enclave_t enter);

namespace sgxdl::host {

namespace {

// The slots that the calling thread holds, innermost last: it is in an ecall, or serves an ocall,
// of these enclaves.
struct Held {
    const Enclave::Impl* enclave;
    Slot* slot;
};
thread_local std::vector<Held> held;
thread_local size_t last_slot = 0;  // where this thread looks first

}  // namespace

Slot* Enclave::Impl::take_slot() {
    const auto try_all = [&]() -> Slot* {
        for (size_t i = 0; i < slots.size(); ++i) {
            const size_t index = (last_slot + i) % slots.size();
            // acquire: pairs with the release in free_slot(), for the area's contents
            if (!slots[index]->taken.load(std::memory_order_relaxed) &&
                !slots[index]->taken.exchange(true, std::memory_order_acquire)) {
                last_slot = index;
                return slots[index].get();
            }
        }
        return nullptr;
    };
    if (Slot* const slot = try_all()) return slot;
    std::unique_lock guard(waiting);
    // seq_cst: the waiter announces itself before it looks again; free_slot() frees before it looks
    // for waiters. One of the two sees the other.
    waiters.fetch_add(1);
    Slot* slot = nullptr;
    slot_freed.wait(guard, [&] { return (slot = try_all()) != nullptr; });
    waiters.fetch_sub(1);
    return slot;
}

void Enclave::Impl::free_slot(Slot& slot) {
    slot.taken.store(false);  // seq_cst: see take_slot()
    if (waiters.load() != 0) {
        { std::lock_guard guard(waiting); }
        slot_freed.notify_one();
    }
}

Status Enclave::Impl::enter(CallFrame& frame) {
    if (dead.load(std::memory_order_relaxed)) return Status::crashed;
    for (size_t i = held.size(); i-- > 0;) {
        // A nested ecall: from the server of an ocall, on the ocall's own thread slot.
        if (held[i].enclave == this) return run(*held[i].slot, frame);
    }
    started.store(true, std::memory_order_relaxed);
    Slot* const slot = take_slot();
    held.push_back({this, slot});
    const Status status = run(*slot, frame);
    held.pop_back();
    // A slot whose thread crashed stays taken: it cannot be entered any more.
    if (status != Status::crashed) free_slot(*slot);
    return status;
}

namespace {

void note_exception(CrashReport& report, const sgx_enclave_run& state) {
    report = {};
    report.kind = static_cast<uint64_t>(CrashKind::exception);
    report.vector = state.exception_vector;
    report.error_code = state.exception_error_code;
    report.address = state.exception_addr;
    // #PF and #GP are what an enclave without EXINFO is not told about.
    const char* const text = state.exception_vector == 14   ? "page fault"
                             : state.exception_vector == 13 ? "general protection"
                                                            : "exception";
    strcpy(reinterpret_cast<char*>(report.text), text);
}

}  // namespace

// Leaves the loop only with the enclave's answer or its death. The exit reason is set to none
// before each entry, so that an old one is never taken for an answer.
Status Enclave::Impl::run(Slot& slot, CallFrame& frame) {
    HostArea& area = slot.area;
    Entry entry = Entry::ecall;
    unsigned function = SGX_ENCLU_EENTER;
    CrashReport exception = {};  // the last one, as the host saw it
    const vdso_sgx_enter_enclave_t vdso = device->enter();
    for (;;) {
        sgx_enclave_run state = {};
        state.tcs = slot.tcs;
        area.exit_reason = static_cast<uint64_t>(Exit::none);
        if (sgxdl_host_enter(static_cast<uint64_t>(entry), reinterpret_cast<uint64_t>(&area),
                             reinterpret_cast<uint64_t>(&frame), function, &state, vdso) != 0) {
            return Status::enter_failed;
        }
        if (state.function != SGX_ENCLU_EEXIT) {
            note_exception(exception, state);
            // At EENTER itself: there is no such enclave any more, or never was.
            if (state.function == SGX_ENCLU_EENTER && entry != Entry::exception) {
                return Status::enter_failed;
            }
            if (entry == Entry::exception) {
                // In the handler, or the handler cannot be entered: nobody is left to ask.
                note_crash(exception);
                return Status::crashed;
            }
            entry = Entry::exception;
            function = SGX_ENCLU_EENTER;
            continue;
        }
        function = SGX_ENCLU_EENTER;
        switch (static_cast<Exit>(area.exit_reason)) {
            case Exit::done:
                return static_cast<Status>(frame.status);
            case Exit::ocall:
                area.ocall.result = serve_one(slot);
                entry = Entry::ocall_return;
                break;
            case Exit::resume:
                // Back to what was interrupted; what it then leaves with is its own.
                function = SGX_ENCLU_ERESUME;
                entry = Entry::ecall;
                break;
            case Exit::crashed:
                note_crash(area.crash);
                return Status::crashed;
            case Exit::refused:
                if (entry != Entry::exception) return static_cast<Status>(area.refusal);
                // A fault that the processor did not record for the enclave: it cannot go on.
                note_crash(exception);
                return Status::crashed;
            default:
                return Status::enter_failed;
        }
    }
}

int64_t Enclave::Impl::serve_one(Slot& slot) {
    // Copied: a nested ecall makes its own ocalls in the same place.
    const OcallFrame frame = slot.area.ocall;
    const uint32_t number = static_cast<uint32_t>(frame.id);
    if (number >= max_call || servers[number].id != frame.id || !servers[number].server) {
        return INT64_MIN;  // outside of every declared range: the enclave's caller gets an error
    }
    return servers[number].server(frame.arguments, slot.area.scratch);
}

}  // namespace sgxdl::host
