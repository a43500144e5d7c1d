// Cross-modifying code (SDM volume 3A, 8.1.3; membarrier(2)): every byte but the first changes only
// while the first is HLT and every processor has serialised since it became so; one byte changes at
// once.
#include "emulator/fast/patch.hpp"

#include <linux/membarrier.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "emulator/enclu.hpp"
#include "emulator/host.hpp"

namespace sgxemu {

namespace {

constexpr size_t jump_length = 5;

bool serialise_all() {
    return ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0;
}

void put_first(Enclave& enclave, uint64_t site, uint8_t byte) {
    std::atomic_ref<uint8_t>(*enclave.bytes(site)).store(byte, std::memory_order_release);
}

void put_tail(Enclave& enclave, uint64_t site, uint16_t tail) {
    std::memcpy(enclave.bytes(site + 1), &tail, sizeof(tail));
}

uint16_t half_at(Enclave& enclave, uint64_t address) {
    uint16_t value = 0;
    std::memcpy(&value, enclave.bytes(address), sizeof(value));
    return value;
}

// An ENCLU, rewritten or not, or what may be one if the next page continues it.
bool may_be_enclu(Enclave& enclave, uint64_t address) {
    if (enclave.sites.contains(address)) return true;
    constexpr uint8_t enclu[] = {enclu_first_byte, enclu_tail & 0xff, enclu_tail >> 8};
    const uint64_t in_page = page_size - (address & (page_size - 1));
    return std::memcmp(enclave.bytes(address), enclu, std::min<uint64_t>(in_page, 3)) == 0;
}

}  // namespace

void make_jump(Enclave& enclave, uint64_t site) {
    // What follows is half of the displacement: it must not go when another page does.
    if ((site & (page_size - 1)) > page_size - jump_length) return enclave.sites.keep_hlt(site);
    // Nor when it is an instruction that changes itself.
    for (const uint64_t next : {site + enclu_length, site + enclu_length + 1}) {
        if (may_be_enclu(enclave, next)) return enclave.sites.keep_hlt(site);
    }
    const uint64_t stub = enclave.stubs.make(enclave, site, half_at(enclave, site + enclu_length));
    if (stub == 0 || !serialise_all()) return enclave.sites.keep_hlt(site);
    const auto displacement = static_cast<uint32_t>(stub - (site + jump_length));
    put_tail(enclave, site, static_cast<uint16_t>(displacement));
    enclave.sites.has_jump(site);
    if (serialise_all()) put_first(enclave, site, jump_byte);
}

// A site that is HLT needs but its first byte.
void restore_sites(Enclave& enclave, uint64_t page) {
    bool any_jump = false;
    const auto for_each = [&](auto f) { enclave.sites.for_each_in(page, page + page_size, f); };
    for_each([&](uintptr_t site) {
        if (!enclave.sites.is_jump(site)) return;
        put_first(enclave, site, hlt_byte);
        any_jump = true;
    });
    // If it fails they stay HLT, and known.
    if (any_jump && !serialise_all()) return;
    for_each([&](uintptr_t site) {
        if (enclave.sites.is_jump(site)) put_tail(enclave, site, enclu_tail);
    });
    if (any_jump && !serialise_all()) return;
    for_each([&](uintptr_t site) { put_first(enclave, site, enclu_first_byte); });
    enclave.sites.forget(page, page + page_size);
}

}  // namespace sgxemu
