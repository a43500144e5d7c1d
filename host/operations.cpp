// Loading and patching, driven from outside in slices: between two slices the thread has left the
// enclave and lets others run. Giving memory back is the housekeeping thread's work.

#include <sched.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>

#include "enclave/loader/loader.hpp"
#include "host/enclave_impl.hpp"

namespace sgxdl::host {

namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point begin) {
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

std::string packed(std::span<const std::string> names) {
    std::string text;
    for (const std::string& name : names)
        text.append(name).push_back('\0');
    return text;
}

std::string_view with_nul(const std::string& name) {
    return {name.c_str(), name.size() + 1};
}

// Takes what a call came to into the report; true when it went well.
bool keep(OperationReport& report, const CallOutcome& outcome) {
    report.status = outcome.status;
    report.context = outcome.context;
    return static_cast<bool>(outcome);
}

// The loader answers busy while another thread is inside it for the length of a call,
// housekeeping's or a query's: asks again. Operations themselves are one at a time
// (Impl::operation).
template <class Call, class... Arguments>
auto call_when_free(Enclave& enclave, const Arguments&... arguments) {
    const Clock::time_point begin = Clock::now();
    for (;;) {
        auto reply = enclave.call<Call>(arguments...);
        if (reply.status != static_cast<Status>(Code::busy) || since(begin) > 2000) return reply;
        sched_yield();
    }
}

// Steps the operation in flight to its end.
void finish(Enclave& enclave, OperationReport& report, const ProgressCallback& callback,
            Clock::time_point begin) {
    uint32_t stage = static_cast<uint32_t>(Stage::receiving);
    for (;;) {
        const Clock::time_point slice = Clock::now();
        const Reply<WireProgress> reply = call_when_free<StepOperation>(enclave);
        const double took = since(slice);
        if (stage < report.stage_ms.size()) report.stage_ms[stage] += took;
        if (!keep(report, reply)) break;
        const uint32_t current = static_cast<uint32_t>(Stage::current);
        if (stage < current && reply.value.stage >= current) report.activation_us = took * 1000;
        stage = reply.value.stage;
        report.progress = reply.value;
        if (callback) callback(reply.value);
        if (reply.value.done != 0) break;
        sched_yield();
    }
    report.total_ms = since(begin);
}

}  // namespace

OperationReport Enclave::load_bundle(std::span<const uint8_t> bundle,
                                     std::span<const std::string> functions,
                                     const ProgressCallback& progress) {
    std::lock_guard guard(impl_->operation);
    const Clock::time_point begin = Clock::now();
    OperationReport report;
    const size_t header = std::min(bundle.size(), sizeof(sgxdl_bundle_header));
    const std::string names = packed(functions);
    if (!keep(report, call_when_free<BeginBundle>(*this, bundle.first(header), names)))
        return report;
    for (size_t at = header; at < bundle.size(); at += max_chunk_size) {
        const size_t part = std::min(bundle.size() - at, max_chunk_size);
        if (!keep(report, call_when_free<FeedBundle>(*this, bundle.subspan(at, part)))) {
            (void)call_when_free<AbandonOperation>(*this);
            return report;
        }
        sched_yield();
    }
    report.transfer_ms = since(begin);
    finish(*this, report, progress, begin);
    if (!report) (void)call_when_free<AbandonOperation>(*this);
    impl_->poke();
    return report;
}

namespace {

std::vector<uint8_t> read_bundle(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    if (!stream) throw Error(path + ": cannot be opened");
    return {std::istreambuf_iterator<char>(stream), {}};
}

// Courtesy: the enclave judges bundles by itself, and would do with either kind what it says.
void expect_kind(const std::string& path, std::span<const uint8_t> bundle, uint32_t kind,
                 const char* other) {
    uint32_t found = 0;
    constexpr size_t at = offsetof(sgxdl_bundle_header, kind);
    if (bundle.size() >= at + sizeof(found)) memcpy(&found, bundle.data() + at, sizeof(found));
    if (found == kind) throw Error(path + ": " + other);
}

}  // namespace

OperationReport Enclave::load_module(const std::string& path,
                                     std::span<const std::string> functions,
                                     const ProgressCallback& progress) {
    const std::vector<uint8_t> bytes = read_bundle(path);
    expect_kind(path, bytes, SGXDL_BUNDLE_PATCH, "is a patch; it is applied, not loaded");
    return load_bundle(bytes, functions, progress);
}

OperationReport Enclave::apply_patch(const std::string& path, const ProgressCallback& progress) {
    const std::vector<uint8_t> bytes = read_bundle(path);
    expect_kind(path, bytes, SGXDL_BUNDLE_MODULE, "is a module; it is loaded, not applied");
    return load_bundle(bytes, {}, progress);
}

OperationReport Enclave::extend(const std::string& module, std::span<const std::string> functions) {
    std::lock_guard guard(impl_->operation);
    const Clock::time_point begin = Clock::now();
    OperationReport report;
    if (!keep(report, call_when_free<BeginExtend>(*this, with_nul(module), packed(functions))))
        return report;
    finish(*this, report, {}, begin);
    impl_->poke();
    return report;
}

OperationReport Enclave::rollback(const std::string& module, const ProgressCallback& progress) {
    std::lock_guard guard(impl_->operation);
    const Clock::time_point begin = Clock::now();
    OperationReport report;
    if (!keep(report, call_when_free<BeginRollback>(*this, with_nul(module)))) return report;
    finish(*this, report, progress, begin);
    impl_->poke();
    return report;
}

OperationReport Enclave::unload(const std::string& module, std::span<const std::string> functions,
                                bool force) {
    std::lock_guard guard(impl_->operation);
    const Clock::time_point begin = Clock::now();
    OperationReport report;
    if (!keep(report,
              call_when_free<BeginUnload>(*this, with_nul(module), packed(functions), force)))
        return report;
    finish(*this, report, {}, begin);
    impl_->poke();
    return report;
}

Reply<WireLoaderInfo> Enclave::info() {
    return call_when_free<GetLoaderInfo>(*this);
}

std::vector<WireModuleInfo> Enclave::modules() {
    std::vector<WireModuleInfo> list;
    for (uint32_t index = 0;; ++index) {
        const Reply<WireModuleInfo> reply = call_when_free<GetModuleInfo>(*this, index);
        if (!reply) return list;
        list.push_back(reply.value);
    }
}

namespace {

// In short runs: while the driver removes pages every processor that is in the enclave is
// interrupted for each of them.
void give_heap_back(Enclave& enclave, HeapTrim what) {
    for (;;) {
        const Reply<uint64_t> given = enclave.call<TrimHeap>(16u, what);
        if (!given || given.value == 0) return;
        sched_yield();
    }
}

}  // namespace

uint64_t tidy_up(Enclave& enclave, bool everything) {
    // Freed code first: what it leaves in the heap is then given back too.
    for (;;) {
        const Reply<bool> more = enclave.call<ReclaimSome>();
        if (!more) return more.status == Status::crashed ? 0 : 1000;  // busy: an operation runs
        if (!more.value) break;
        sched_yield();
    }
    give_heap_back(enclave, everything ? HeapTrim::everything : HeapTrim::idle);
    const Reply<WireLoaderInfo> info = enclave.info();
    // Generations that a running call still needs: look again later.
    return info && info.value.generations_live > 1 ? 2000 : 0;
}

void Enclave::reclaim_now() {
    (void)tidy_up(*this, true);
}

void Enclave::Impl::poke() {
    {
        std::lock_guard guard(housekeeping_lock);
        work = true;
    }
    housekeeping_wake.notify_one();
}

void Enclave::Impl::stop_housekeeping() {
    {
        std::lock_guard guard(housekeeping_lock);
        stop = true;
    }
    housekeeping_wake.notify_all();
    if (housekeeper.joinable()) housekeeper.join();
}

void Enclave::Impl::start_housekeeping(Enclave& enclave) {
    housekeeper = std::thread([this, &enclave] {
        constexpr auto idle = std::chrono::milliseconds(500);
        std::unique_lock guard(housekeeping_lock);
        auto next = std::chrono::microseconds(idle);
        while (!stop) {
            housekeeping_wake.wait_for(guard, next, [&] { return stop || work; });
            if (stop) break;
            const bool asked = work;
            work = false;
            guard.unlock();
            uint64_t again = 0;
            if (!dead.load(std::memory_order_relaxed)) {
                // Unasked: only heap that has not been needed since the last look.
                if (asked || next < idle) {
                    again = tidy_up(enclave, false);
                } else if (started.load(std::memory_order_relaxed)) {
                    give_heap_back(enclave, HeapTrim::idle);
                    (void)enclave.call<TrimHeap>(0u, HeapTrim::new_interval);
                }
            }
            next = again != 0 ? std::chrono::microseconds(again) : std::chrono::microseconds(idle);
            guard.lock();
        }
    });
}

}  // namespace sgxdl::host
