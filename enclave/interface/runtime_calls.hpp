// The calls that the runtime itself makes and answers.
#pragma once

#include "enclave/interface/call.hpp"

namespace sgxdl {

// What the enclave knows of its memory and calls; for tests and status output. Static pages count
// as accepted when they are taken into use, and as given back when they are not any more.
struct RuntimeCounters {
    uint64_t pages_committed;  // dynamic pages present now, by the enclave's own record
    uint64_t pages_set_aside;  // pages that the OS failed to give or remove properly
    uint64_t accepts;          // EACCEPT and EACCEPTCOPY done so far
    uint64_t trims;            // pages given back so far
    uint64_t heap_pages;       // committed for the heap
    uint64_t heap_live_bytes;  // handed out by malloc now, rounded to size classes
    uint64_t heap_live_blocks;
    uint64_t ecalls;        // completed
    uint64_t record_pages;  // of the page manager's own records; they stay for life
};

// --- ecalls ------------------------------------------------------------------------------------
using GetCounters = Ecall<1, RuntimeCounters(), Pin::no>;
// Gives unused heap pages back to the OS, at most `max_pages`; returns the count given back.
enum class HeapTrim : uint32_t {
    idle,          // only what was not needed at any time since the interval began
    everything,    // all that is unused now
    new_interval,  // nothing: begins a new interval
};
using TrimHeap = Ecall<2, uint64_t(uint64_t max_pages, HeapTrim what), Pin::no>;

// --- ocalls ------------------------------------------------------------------------------------
using Yield = Ocall<1, Answer<0, 0>()>;
// Nanoseconds since the clock's epoch; clock ids as Linux has them. Time is the host's word.
using Clock = Ocall<2, Answer<0, INT64_MAX>(uint32_t clock)>;
// write(2) to descriptor 1 or 2; answers bytes written or -1.
using Write = Ocall<3, Answer<-1, 32768>(uint32_t descriptor, In<char, 32768> bytes)>;
// One line of the loader's transition log.
using Log = Ocall<4, Answer<0, 0>(In<char, 1024> line)>;
// SGX_IOC_ENCLAVE_MODIFY_TYPES to PT_TRIM, and SGX_IOC_ENCLAVE_REMOVE_PAGES, for a run of pages
// (byte offset and length in ELRANGE). 0, or an errno.
using ModifyToTrim = Ocall<5, Answer<0, 4095>(uint64_t offset, uint64_t length)>;
using RemovePages = Ocall<6, Answer<0, 4095>(uint64_t offset, uint64_t length)>;
// Sleeps until `wake` is called for this thread, or some time has passed.
using ThreadWait = Ocall<7, Answer<0, 0>(uint32_t thread, uint32_t microseconds)>;
using ThreadWake = Ocall<8, Answer<0, 0>(uint32_t thread)>;

}  // namespace sgxdl
