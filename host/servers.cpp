// The host's answers to the runtime's own ocalls (enclave/interface/runtime_calls.hpp).

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "host/enclave_impl.hpp"
#include "sgxdl/arch/sgx.h"

namespace sgxdl::host {

namespace {

constexpr int max_attempts = 1000;  // of an ioctl that the driver asks to repeat

// Sleeps at most `microseconds`, or until `word` differs from `seen`.
void sleep_on(std::atomic<uint32_t>& word, uint32_t seen, uint32_t microseconds) {
    const timespec limit = {microseconds / 1'000'000,
                            static_cast<long>(microseconds % 1'000'000) * 1000};
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, seen, &limit, nullptr, 0);
}

}  // namespace

// Both requests report in `count` how far they got, and may have to be repeated (EAGAIN: the page
// is busy; EBUSY, EINTR). What was not done is reported to the enclave, which sets it aside.
int64_t Enclave::Impl::trim(unsigned long request, uint64_t offset, uint64_t length) {
    std::lock_guard guard(driver);
    uint64_t done = 0;
    for (int attempt = 0; done < length && attempt < max_attempts; ++attempt) {
        int error;
        if (request == SGX_IOC_ENCLAVE_MODIFY_TYPES) {
            sgx_enclave_modify_types modify = {};
            modify.offset = offset + done;
            modify.length = length - done;
            modify.page_type = SGX_PT_TRIM;
            error = device->ioctl(mapping->descriptor(), request, &modify);
            done += modify.count;
        } else {
            sgx_enclave_remove_pages remove = {};
            remove.offset = offset + done;
            remove.length = length - done;
            error = device->ioctl(mapping->descriptor(), request, &remove);
            done += remove.count;
        }
        if (error == 0) return 0;
        if (error != -EAGAIN && error != -EBUSY && error != -EINTR) return -error;
        sched_yield();
    }
    return done == length ? 0 : EAGAIN;
}

void Enclave::Impl::serve_built_in() {
    const auto serve = [&]<class Call>(Call, auto function) {
        servers[Call::number] = {Call::id, detail::Server<Call>::wrap(std::move(function))};
    };
    serve(Yield{}, [] {
        sched_yield();
        return int64_t{0};
    });
    serve(Clock{}, [](uint32_t clock) {
        timespec now;
        if (clock_gettime(static_cast<clockid_t>(clock), &now) != 0) return int64_t{-1};
        return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
    });
    serve(Write{}, [this](uint32_t descriptor, std::span<const char> bytes) {
        if (options.on_output) {
            options.on_output(static_cast<int>(descriptor), {bytes.data(), bytes.size()});
            return static_cast<int64_t>(bytes.size());
        }
        if (descriptor != 1 && descriptor != 2) return int64_t{-1};
        return int64_t{::write(static_cast<int>(descriptor), bytes.data(), bytes.size())};
    });
    serve(Log{}, [this](std::span<const char> line) {
        if (options.on_log) options.on_log({line.data(), strnlen(line.data(), line.size())});
        return int64_t{0};
    });
    serve(ModifyToTrim{}, [this](uint64_t offset, uint64_t length) {
        return trim(SGX_IOC_ENCLAVE_MODIFY_TYPES, offset, length);
    });
    serve(RemovePages{}, [this](uint64_t offset, uint64_t length) {
        return trim(SGX_IOC_ENCLAVE_REMOVE_PAGES, offset, length);
    });
    serve(ThreadWait{}, [this](uint32_t thread, uint32_t microseconds) {
        std::atomic<uint32_t> nobody{0};
        std::atomic<uint32_t>& word = thread < slots.size() ? slots[thread]->wake : nobody;
        sleep_on(word, word.load(), microseconds);
        return int64_t{0};
    });
    serve(ThreadWake{}, [this](uint32_t thread) {
        if (thread < slots.size()) {
            slots[thread]->wake.fetch_add(1);
            syscall(SYS_futex, &slots[thread]->wake, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
        }
        return int64_t{0};
    });
}

}  // namespace sgxdl::host
