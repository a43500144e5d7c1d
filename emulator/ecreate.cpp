// The conditions under which ECREATE and EADD raise #GP.
#include "emulator/ecreate.hpp"

#include <algorithm>
#include <bit>

#include "emulator/machine.hpp"

namespace sgxemu {

namespace {

constexpr uint64_t max_enclave_size = uint64_t{1} << max_enclave_bits;
constexpr uint64_t canonical_limit = uint64_t{1} << 47;

template <size_t n>
bool all_zero(const uint8_t (&bytes)[n]) {
    return std::all_of(std::begin(bytes), std::end(bytes), [](uint8_t b) { return b == 0; });
}

bool ssa_frame_is_large_enough(const sgx_secs& secs) {
    const size_t misc = (secs.miscselect & SGX_MISC_EXINFO) ? SGX_EXINFO_SIZE : 0;
    const size_t needed = machine().xsave_size(secs.attributes.xfrm) + misc + SGX_GPRSGX_SIZE;
    return uint64_t{secs.ssa_frame_size} * SGX_ARCH_PAGE_SIZE >= needed;
}

}  // namespace

bool is_valid_secs(const sgx_secs& secs) {
    // 32-bit enclaves are not emulated.
    if (!(secs.attributes.flags & SGX_ATTR_MODE64BIT)) return false;
    if (secs.attributes.flags & ~known_attributes) return false;
    if ((secs.attributes.xfrm & SGX_XFRM_LEGACY) != SGX_XFRM_LEGACY) return false;
    if (secs.attributes.xfrm & ~machine().xfrm_supported) return false;
    if (secs.miscselect & ~machine().miscselect_supported()) return false;
    if (!std::has_single_bit(secs.size)) return false;
    if (secs.size < 2 * SGX_ARCH_PAGE_SIZE || secs.size > max_enclave_size) return false;
    if (secs.base % secs.size != 0 || secs.base + secs.size > canonical_limit) return false;
    if (secs.ssa_frame_size == 0 || !ssa_frame_is_large_enough(secs)) return false;
    if (!(secs.attributes.flags & SGX_ATTR_KSS)) {
        if (!all_zero(secs.config_id) || secs.config_svn != 0) return false;
    }
    return all_zero(secs.reserved1) && all_zero(secs.reserved2) && all_zero(secs.reserved3) &&
           all_zero(secs.reserved4);
}

bool prepare_tcs(sgx_tcs& tcs) {
    if (tcs.flags & ~uint64_t{SGX_TCS_DBGOPTIN}) return false;
    if (!all_zero(tcs.reserved)) return false;
    // EADD forces these, and EEXTEND measures them so.
    tcs.flags = 0;
    tcs.cssa = 0;
    tcs.aep = 0;
    tcs.state = 0;
    return true;
}

}  // namespace sgxemu
