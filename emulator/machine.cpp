// Power-on: CPU features from CPUID, keys from the kernel's random source.
#include "emulator/machine.hpp"

#include <cpuid.h>
#include <immintrin.h>
#include <sys/auxv.h>
#include <sys/random.h>

#include <algorithm>
#include <bit>
#include <mutex>

#include "emulator/settings.hpp"
#include "sgxdl/arch/sgx.h"

namespace sgxemu {

namespace {

constexpr uint64_t xfeature_pkru = uint64_t{1} << 9;
// AMX: Linux enables it per process, so signal frames may lack it.
constexpr uint64_t xfeature_amx = uint64_t{3} << 17;
constexpr unsigned long hwcap2_fsgsbase = 1ul << 1;
constexpr size_t xsave_legacy_size = 576;  // legacy region and header

std::once_flag power_on_once;

__attribute__((target("xsave"))) uint64_t read_xcr0() {
    return _xgetbv(0);
}

__attribute__((target("fxsr"))) uint32_t read_mxcsr_mask() {
    alignas(16) std::array<uint8_t, 512> area{};
    _fxsave64(area.data());
    uint32_t mask = 0;
    std::copy_n(area.data() + 28, sizeof(mask), reinterpret_cast<uint8_t*>(&mask));
    return mask != 0 ? mask : 0xffbf;
}

void find_state_components(Machine& m) {
    unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;
    m.xfrm_supported = read_xcr0() & ~(xfeature_pkru | xfeature_amx);
    for (unsigned int i = 2; i < 64; ++i) {
        if (!((m.xfrm_supported >> i) & 1)) continue;
        __cpuid_count(0xd, i, eax, ebx, ecx, edx);
        m.component[i] = {ebx, eax};
    }
}

template <size_t n>
bool draw(std::array<uint8_t, n>& bytes) {
    return getrandom(bytes.data(), n, 0) == static_cast<ssize_t>(n);
}

void power_on(Machine& m) {
    (void)read_settings(m.config);  // whoever can report an error asks again
    m.epc_free.store(m.config.epc_pages, std::memory_order_relaxed);
    unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;
    const bool has_xsave = __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_OSXSAVE);
    const bool has_fsgsbase = (getauxval(AT_HWCAP2) & hwcap2_fsgsbase) != 0;
    if (!has_xsave || !has_fsgsbase) return;
    find_state_components(m);
    m.mxcsr_mask = read_mxcsr_mask();
    m.usable = draw(m.root_key) && draw(m.report_key_id) && draw(m.paging_key);
}

}  // namespace

bool Machine::take_free_epc_page() {
    size_t free_pages = epc_free.load(std::memory_order_relaxed);
    while (free_pages != 0) {
        if (epc_free.compare_exchange_weak(free_pages, free_pages - 1, std::memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

size_t Machine::xsave_size(uint64_t xfrm) const {
    size_t size = xsave_legacy_size;
    for (uint64_t rest = xfrm & ~uint64_t{3}; rest != 0; rest &= rest - 1) {
        const auto& c = component[static_cast<size_t>(std::countr_zero(rest))];
        size = std::max<size_t>(size, c.offset + c.size);
    }
    return size;
}

Machine& machine() {
    static Machine the_machine;
    std::call_once(power_on_once, [] { power_on(the_machine); });
    return the_machine;
}

}  // namespace sgxemu
