// Trusted side of enclave/interface/runtime_calls.hpp.

#include "enclave/interface/runtime_calls.hpp"

#include "enclave/runtime/heap.hpp"
#include "enclave/runtime/pages.hpp"
#include "enclave/runtime/runtime.hpp"

namespace sgxdl {

namespace {

RuntimeCounters get_counters() {
    const pages::Counters p = pages::counters();
    const heap::Counters h = heap::counters();
    return {.pages_committed = p.committed,
            .pages_set_aside = p.set_aside,
            .accepts = p.accepts,
            .trims = p.trims,
            .heap_pages = h.pages,
            .heap_live_bytes = h.live_bytes,
            .heap_live_blocks = h.live_blocks,
            .ecalls = ecalls_completed(),
            .record_pages = p.records};
}

uint64_t trim_heap(uint64_t max_pages, HeapTrim what) {
    if (what == HeapTrim::new_interval) {
        heap::begin_interval();
        return 0;
    }
    return heap::trim(max_pages, what == HeapTrim::everything);
}

constexpr EcallRow rows[] = {
    bind<GetCounters, get_counters>(),
    bind<TrimHeap, trim_heap>(),
};

}  // namespace

std::span<const EcallRow> runtime_rows() {
    return rows;
}

}  // namespace sgxdl
