// Dynamic pages of the enclave (EDMM, SGX2), or static ones in their place (SGX1).
//
// Invariants:
//  - Our own record says what each dynamic page is; the OS's word is never taken for it. A page is
//    accepted only while the record says `absent`, so it is never accepted twice: accepting again
//    would let the OS swap a page for a fresh one.
//  - Pages are committed under one lock: a race of two first touches in the driver gives the loser
//    SIGBUS (Linux 6.1).
//  - A code or constant page is born by EACCEPTCOPY with its final permissions; it was never
//    writable at its address.
//  - `absent` again only after our own EACCEPT of the trimmed page. A page that the OS then fails
//    to remove, or that was not trimmed as asked, is set aside for ever.
// SDM volume 3D, 38.4 (EACCEPT, EACCEPTCOPY); Documentation/x86/sgx.rst (SGX2 ioctls).
//
// The measured image says which kind this enclave has (static_pages). Static pages are all there
// from EINIT to the end, the arena's writable and executable; the record alone says which of them
// are in use, and nothing is asked of the OS. Their content before the first commit is the host's:
// commit() and commit_copy() write all of it, and absent pages of the arena hold traps.
// docs/decisions/static-pages.md.
#pragma once

#include <cstddef>
#include <cstdint>

#include "enclave/loader/platform.hpp"

namespace sgxdl {

// What EACCEPT and EACCEPTCOPY "return" when the page could not be had and they faulted.
inline constexpr uint64_t enclu_faulted = 0x1'0000;

namespace pages {

enum class Status : uint8_t {
    ok,
    refused,  // the OS did not provide a page, or not the one that was asked for
    misused,  // outside the dynamic windows, or the record says that the page is not absent
};

struct Counters {
    uint64_t committed, set_aside, accepts, trims, records;
};

// Fills the arena with traps if its pages are static. Once, before anything is committed.
void start();

// Makes `count` zeroed RW pages present. On error none of them is.
[[nodiscard]] Status commit(uintptr_t address, size_t count);

// Makes `count` pages present that have the content of `source` and are R-X or R--.
[[nodiscard]] Status commit_copy(uintptr_t address, const void* source, size_t count, PageUse use);

// Gives pages back, in runs of at most 16 (the driver interrupts every processor for each page).
// False when at least one had to be set aside: its address is unusable for ever.
bool release(uintptr_t address, size_t count);

// False when a page of the range was set aside, by release() or by a commit that failed half-way.
bool usable(uintptr_t address, size_t count);

Counters counters();

}  // namespace pages

}  // namespace sgxdl
