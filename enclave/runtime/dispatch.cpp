// Entry into C++: decides what an EENTER with CSSA = 0 may do, and runs ecalls.
//
// Called by entry.S on the thread's own stack with clean processor state. Every argument is the
// host's. Until start() has run nothing here may use the stack protector or a relocated pointer.

#include "enclave/runtime/dispatch.hpp"

#include <atomic>

#include "enclave/runtime/application.hpp"
#include "enclave/runtime/crash.hpp"
#include "enclave/runtime/runtime.hpp"
#include "enclave/runtime/thread.hpp"

namespace sgxdl {

namespace {

constexpr uint32_t max_depth = 8;  // ecalls on one thread's stack

const EcallRow* rows[max_call];  // by number; filled before the first ecall runs
std::atomic<uint64_t> completed{0};

constexpr size_t frame_words = sizeof(CallFrame) / 8;

void leave_with(const HostWords& area, Exit reason, Status refusal = Status::ok) {
    area.store(offsetof(HostArea, refusal) / 8, static_cast<uint64_t>(refusal));
    area.store(offsetof(HostArea, exit_reason) / 8, static_cast<uint64_t>(reason));
}

// Runs the ecall in `frame`. Everything of the frame is read once.
void run_ecall(const HostWords& frame) {
    CallResult result;
    const uint64_t id = frame.load(offsetof(CallFrame, id) / 8);
    const EcallRow* row =
        static_cast<uint32_t>(id) < max_call ? rows[static_cast<uint32_t>(id)] : nullptr;
    if (row == nullptr || row->id != id) {
        result.status = Status::unknown_call;
    } else {
        uint64_t slots[max_slots];
        for (size_t slot = 0; slot < row->slots; ++slot) {
            slots[slot] = frame.load(offsetof(CallFrame, arguments) / 8 + slot);
        }
        Result<void> pinned = row->pin == Pin::yes ? pin_thread() : Result<void>();
        if (!pinned) {
            detail::fail(result, pinned.error());
        } else {
            row->run(slots, result);
            if (row->pin == Pin::yes) unpin_thread();
        }
    }
    if (result.status == Status::ok) {
        frame.copy_out(offsetof(CallFrame, result) / 8, result.words, result.word_count * 8);
        for (size_t slot = 0; slot < max_slots; ++slot) {
            if ((result.count_slots >> slot & 1) != 0) {
                frame.store(offsetof(CallFrame, arguments) / 8 + slot, result.counts[slot]);
            }
        }
    } else {
        frame.copy_out(offsetof(CallFrame, context) / 8, result.context, sizeof(result.context));
    }
    completed.fetch_add(1, std::memory_order_relaxed);  // a statistic: orders nothing
    frame.store(offsetof(CallFrame, status) / 8, static_cast<uint64_t>(result.status));
}

// Decides about an entry and does it. The area is checked.
__attribute__((noinline)) void enter(uint64_t entry, const HostWords& area, HostArea* area_address,
                                     uint64_t frame_address) {
    ThreadArea& thread = this_thread();
    if (entry == static_cast<uint64_t>(Entry::ocall_return)) {
        return leave_with(area, Exit::refused, Status::no_ocall);
    }
    if (entry != static_cast<uint64_t>(Entry::ecall)) {
        return leave_with(area, Exit::refused, Status::bad_entry);
    }
    if (thread.ocall_frame != 0 && thread.nested_allowed == 0) {
        return leave_with(area, Exit::refused, Status::nested_refused);
    }
    if (thread.depth >= max_depth) return leave_with(area, Exit::refused, Status::nested_too_deep);
    HostWords frame;
    if (!HostWords::check(frame_address, frame_words, frame)) {
        return leave_with(area, Exit::refused, Status::bad_frame);
    }
    HostArea* const outer_area = thread.host_area;
    const uint64_t outer_scratch = thread.scratch_used;
    if (thread.depth == 0) thread.scratch_used = 0;
    thread.host_area = area_address;
    ++thread.depth;
    run_ecall(frame);
    --thread.depth;
    thread.host_area = outer_area;
    thread.scratch_used = outer_scratch;
    leave_with(area, Exit::done);
}

}  // namespace

namespace detail {

Status HeldBytes::take_input(const uint64_t* slots, size_t element, size_t max) {
    if (slots[1] > max) return Status::buffer_too_large;
    const size_t count = slots[1];
    if (count == 0) return Status::ok;
    data_ = malloc(count * element);
    if (data_ == nullptr) return Status::no_memory;
    if (!copy_from_host(data_, slots[0], count * element)) return Status::bad_buffer;
    count_ = count;
    return Status::ok;
}

Status HeldBytes::take_output(const uint64_t* slots, size_t element, size_t max) {
    const size_t count = slots[1] < max ? slots[1] : max;
    if (count == 0) return Status::ok;
    // The host's buffer is written in whole words: it must hold them.
    if (!HostWords::check(slots[0], (count * element + 7) / 8, host_)) return Status::bad_buffer;
    data_ = calloc(count, element);
    if (data_ == nullptr) return Status::no_memory;
    count_ = count;
    return Status::ok;
}

void HeldBytes::give_output(CallResult& result, size_t slot, size_t element, size_t count) {
    if (count > count_) count = count_;
    if (count != 0) host_.copy_out(0, data_, count * element);
    result.counts[slot + 1] = count;
    result.count_slots |= uint64_t{1} << (slot + 1);
}

void fail(CallResult& result, const Error& error) {
    result.status = static_cast<Status>(error.code);
    size_t i = 0;
    for (; error.context[i] != '\0' && i + 1 < sizeof(result.context); ++i) {
        result.context[i] = error.context[i];
    }
    result.context[i] = '\0';
}

}  // namespace detail

bool register_ecalls(std::span<const EcallRow> table, uint32_t first, uint32_t last) {
    for (const EcallRow& row : table) {
        const uint32_t number = static_cast<uint32_t>(row.id);
        if (number < first || number > last || rows[number] != nullptr) return false;
        rows[number] = &row;
    }
    return true;
}

uint64_t ecalls_completed() {
    return completed.load(std::memory_order_relaxed);
}

}  // namespace sgxdl

extern "C" __attribute__((visibility("hidden"), no_stack_protector)) void sgxdl_dispatch(
    uint64_t entry, uint64_t area_address, uint64_t frame_address) {
    using namespace sgxdl;
    HostWords area;
    // Without an area there is nowhere to say so: the host finds its own Exit::none.
    if (!HostWords::check(area_address, sizeof(HostArea) / 8, area)) return;
    HostArea* const host = reinterpret_cast<HostArea*>(area_address);
    if (enclave_is_dead()) return report_crash(host);
    ThreadArea& thread = this_thread();
    if (thread.started == 0) {
        // The start is under way on this thread, out in an ocall of its own.
        if (thread.ocall_frame != 0) {
            return leave_with(area, Exit::refused, Status::nested_refused);
        }
        thread.host_area = host;  // for ocalls of the start
        if (!start_thread()) return report_crash(host);
        thread.host_area = nullptr;
    }
    enter(entry, area, host, frame_address);
    if (enclave_is_dead()) report_crash(host);
}
