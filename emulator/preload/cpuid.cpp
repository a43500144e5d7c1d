// CPUID faulting is not to be had on most machines, so the instruction is rewritten in the
// program's own (private) copy of its text: 0F A2 becomes F4 90, HLT and NOP.
//
// A byte search alone would hit immediates and displacements: each hit is confirmed by
// disassembling from the start of the function around it, which the unwind table gives
// (.eh_frame_hdr, Linux Standard Base, "Exception Frames"). Code without unwind information is left
// alone.
#include "emulator/preload/cpuid.hpp"

#include <Zydis/Zydis.h>
#include <link.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <vector>

#include "emulator/cpuid.hpp"
#include "emulator/host.hpp"
#include "emulator/sgxemu.hpp"

namespace sgxemu::preload {

namespace {

constexpr uint8_t cpuid_bytes[] = {0x0f, 0xa2};
constexpr uint8_t trap_bytes[] = {0xf4, 0x90};

// Start addresses of functions, sorted: the binary search table of .eh_frame_hdr, whose common form
// (DW_EH_PE_datarel | DW_EH_PE_sdata4 pairs, sdata4 count) is the only one that linkers write.
std::vector<uint64_t> function_starts(uint64_t header) {
    struct Head {
        uint8_t version, frame_encoding, count_encoding, table_encoding;
        int32_t frame;
        uint32_t count;
    } head;
    struct Row {
        int32_t begin, description;
    };
    constexpr uint8_t udata4 = 0x03, datarel_sdata4 = 0x3b;
    std::memcpy(&head, reinterpret_cast<const void*>(header), sizeof(head));
    std::vector<uint64_t> starts;
    if (head.version != 1 || head.count_encoding != udata4 ||
        head.table_encoding != datarel_sdata4) {
        return starts;
    }
    starts.reserve(head.count);
    const auto* rows = reinterpret_cast<const uint8_t*>(header + sizeof(head));
    for (uint32_t i = 0; i < head.count; ++i) {
        Row row;
        std::memcpy(&row, rows + i * sizeof(row), sizeof(row));
        starts.push_back(header + static_cast<uint64_t>(int64_t{row.begin}));
    }
    return starts;
}

bool is_cpuid_instruction(uint64_t function, uint64_t site) {
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    uint64_t at = function;
    while (at < site) {
        ZydisDecodedInstruction instruction;
        const auto* bytes = reinterpret_cast<const void*>(at);
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(
                &decoder, nullptr, bytes, site + sizeof(cpuid_bytes) - at, &instruction))) {
            return false;
        }
        at += instruction.length;
    }
    return at == site;
}

std::vector<uint64_t> find_sites(uint64_t begin, uint64_t end,
                                 const std::vector<uint64_t>& starts) {
    std::vector<uint64_t> sites;
    const auto* text = reinterpret_cast<const uint8_t*>(begin);
    const uint8_t* limit = text + (end - begin);
    for (const uint8_t* hit = text;; ++hit) {
        hit = std::search(hit, limit, std::begin(cpuid_bytes), std::end(cpuid_bytes));
        if (hit == limit) return sites;
        const auto site = reinterpret_cast<uint64_t>(hit);
        const auto after = std::upper_bound(starts.begin(), starts.end(), site);
        if (after != starts.begin() && is_cpuid_instruction(*(after - 1), site)) {
            sites.push_back(site);
        }
    }
}

// The site is known before it can trap.
void rewrite(const std::vector<uint64_t>& sites, int protection) {
    for (const uint64_t site : sites) {
        if (!sgxemu::add_cpuid_site(site)) return;
        const uint64_t page = site & ~uint64_t{4095};
        const size_t size = (site + sizeof(trap_bytes) - page + 4095) & ~size_t{4095};
        auto* at = reinterpret_cast<void*>(page);
        // Executable all the while: other threads may run here.
        if (host::mprotect(at, size, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) return;
        std::memcpy(reinterpret_cast<void*>(site), trap_bytes, sizeof(trap_bytes));
        host::mprotect(at, size, protection);
    }
}

bool is_left_alone(const dl_phdr_info& object) {
    const char* slash = std::strrchr(object.dlpi_name, '/');
    const char* name = slash != nullptr ? slash + 1 : object.dlpi_name;
    constexpr const char* prefixes[] = {"libc.so", "ld-linux", "linux-vdso", "libsgxemu-preload"};
    return std::any_of(std::begin(prefixes), std::end(prefixes), [&](const char* prefix) {
        return std::strncmp(name, prefix, std::strlen(prefix)) == 0;
    });
}

int protection_of(uint32_t flags) {
    return ((flags & PF_R) ? PROT_READ : 0) | ((flags & PF_W) ? PROT_WRITE : 0) |
           ((flags & PF_X) ? PROT_EXEC : 0);
}

void scan(const dl_phdr_info& object) {
    if (is_left_alone(object)) return;
    std::vector<uint64_t> starts;
    for (size_t i = 0; i < object.dlpi_phnum; ++i) {
        const ElfW(Phdr)& segment = object.dlpi_phdr[i];
        if (segment.p_type == PT_GNU_EH_FRAME) {
            starts = function_starts(object.dlpi_addr + segment.p_vaddr);
        }
    }
    if (starts.empty()) return;
    for (size_t i = 0; i < object.dlpi_phnum; ++i) {
        const ElfW(Phdr)& segment = object.dlpi_phdr[i];
        const bool readable_text =
            segment.p_type == PT_LOAD && (segment.p_flags & PF_X) && (segment.p_flags & PF_R);
        if (!readable_text) continue;
        const uint64_t begin = object.dlpi_addr + segment.p_vaddr;
        rewrite(find_sites(begin, begin + segment.p_memsz, starts), protection_of(segment.p_flags));
    }
}

// The dynamic linker's counts of libraries that came and went.
struct Counts {
    unsigned long long adds = 0, subs = 0;
    bool operator==(const Counts&) const = default;
};

// What was looked at. Only used inside dl_iterate_phdr, which holds the dynamic linker's lock.
struct Progress {
    Counts complete;              // when the last look came to its end
    unsigned long long subs = 0;  // when `seen` was begun
    std::vector<uint64_t> seen;   // load addresses of scanned objects
    bool busy = false;            // this thread allocates, and its allocator calls dlsym
};

Progress& progress() {
    static Progress the_progress;
    return the_progress;
}

std::atomic<bool> can_trap{false};

int look_at(dl_phdr_info* object, size_t, void* counts) {
    Progress& p = progress();
    const Counts now{object->dlpi_adds, object->dlpi_subs};
    if (p.busy || now == p.complete) return 1;
    *static_cast<Counts*>(counts) = now;
    p.busy = true;
    // Where a library went, another one may have come.
    if (now.subs != p.subs) p.seen.clear();
    p.subs = now.subs;
    if (std::find(p.seen.begin(), p.seen.end(), object->dlpi_addr) == p.seen.end()) {
        p.seen.push_back(object->dlpi_addr);
        scan(*object);
    }
    p.busy = false;
    return 0;
}

int note_complete(dl_phdr_info*, size_t, void* counts) {
    progress().complete = *static_cast<const Counts*>(counts);
    return 1;
}

}  // namespace

void rewrite_cpuid_sites() {
    if (!can_trap) return;
    Counts counts;
    if (::dl_iterate_phdr(look_at, &counts) == 0) ::dl_iterate_phdr(note_complete, &counts);
}

void start_cpuid_emulation() {
    can_trap = true;
    rewrite_cpuid_sites();
}

}  // namespace sgxemu::preload
