#include "enclave/runtime/ocall.hpp"

#include "enclave/interface/runtime_calls.hpp"
#include "enclave/runtime/crash.hpp"
#include "enclave/runtime/lock.hpp"
#include "enclave/runtime/thread.hpp"
#include "enclave/runtime/untrusted.hpp"

extern "C" void sgxdl_leave_for_ocall();
extern "C" [[noreturn]] void sgxdl_leave();

namespace sgxdl {

namespace detail {

bool do_ocall(uint64_t id, bool nested_allowed, uint64_t* slots, size_t slot_count,
              std::span<OcallBuffer> buffers, int64_t lowest, int64_t highest, int64_t& answer) {
    ThreadArea& thread = this_thread();
    HostWords area;
    if (!HostWords::check(reinterpret_cast<uint64_t>(thread.host_area), sizeof(HostArea) / 8,
                          area)) {
        return false;
    }
    constexpr size_t scratch = offsetof(HostArea, scratch) / 8;
    const uint64_t scratch_before = thread.scratch_used;
    uint64_t used = scratch_before;
    for (OcallBuffer& buffer : buffers) {
        const uint64_t words = (buffer.bytes + 7) / 8;
        if (words > host_scratch_words - used) return false;
        if (buffer.to_host != nullptr) area.copy_out(scratch + used, buffer.to_host, buffer.bytes);
        slots[buffer.slot] = used * 8;
        used += words;
    }
    constexpr size_t frame = offsetof(HostArea, ocall) / 8;
    area.store(frame + offsetof(OcallFrame, id) / 8, id);
    for (size_t slot = 0; slot < slot_count; ++slot) {
        area.store(frame + offsetof(OcallFrame, arguments) / 8 + slot, slots[slot]);
    }
    area.store(offsetof(HostArea, exit_reason) / 8, static_cast<uint64_t>(Exit::ocall));

    const uint32_t nested_before = thread.nested_allowed;
    thread.nested_allowed = nested_allowed ? 1 : 0;
    thread.scratch_used = used;
    sgxdl_leave_for_ocall();
    thread.nested_allowed = nested_before;
    thread.scratch_used = scratch_before;
    if (enclave_is_dead()) {
        report_crash(thread.host_area);
        sgxdl_leave();
    }

    answer = static_cast<int64_t>(area.load(frame + offsetof(OcallFrame, result) / 8));
    if (answer < lowest || answer > highest) return false;
    for (const OcallBuffer& buffer : buffers) {
        if (buffer.from_host != nullptr) {
            area.copy_in(buffer.from_host, scratch * 8 + slots[buffer.slot], buffer.bytes);
        }
    }
    return true;
}

}  // namespace detail

void yield_to_host(uint32_t attempt) {
    // Nothing can be asked of the host before an ecall has lent its area.
    if (this_thread().host_area == nullptr) return;
    if (attempt < 16) {
        (void)ocall<Yield>();
    } else {
        (void)ocall<ThreadWait>(this_thread().index, uint32_t{50});
    }
}

void SpinLock::lock_slow() {
    for (uint32_t attempt = 0;; ++attempt) {
        for (int spin = 0; spin < 200; ++spin) {
            if (held_.load(std::memory_order_relaxed) == 0 && try_lock()) return;
            __builtin_ia32_pause();
        }
        yield_to_host(attempt);
    }
}

}  // namespace sgxdl
