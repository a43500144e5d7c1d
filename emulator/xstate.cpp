// The signal frame's floating-point image is an XSAVE area in standard format, whose software
// bytes (464 to 511) say which components it has (struct _fpx_sw_bytes of <asm/sigcontext.h>).
#include "emulator/xstate.hpp"

#include <asm/sigcontext.h>

#include <cstring>

#include "emulator/machine.hpp"
#include "sgxdl/arch/sgx.h"

namespace sgxemu {

namespace {

constexpr size_t mxcsr_offset = 24;
constexpr size_t legacy_used = 416;  // up to XMM15
constexpr size_t legacy_size = 512;
constexpr size_t header_size = 64;
constexpr uint32_t mxcsr_initial = 0x1f80;
constexpr uint16_t fcw_initial = 0x037f;

struct Header {
    uint64_t xstate_bv;
    uint64_t xcomp_bv;
    uint64_t reserved[6];
};
static_assert(sizeof(Header) == header_size);

uint8_t* image_of(const ucontext_t& context) {
    return reinterpret_cast<uint8_t*>(context.uc_mcontext.fpregs);
}

// Components that the frame has room for beyond the legacy region; 0: an old FXSAVE frame.
uint64_t frame_features(const uint8_t* image) {
    _fpx_sw_bytes software;
    std::memcpy(&software, image + 464, sizeof(software));
    return software.magic1 == FP_XSTATE_MAGIC1 ? software.xfeatures : 0;
}

Header read_header(const uint8_t* area) {
    Header header;
    std::memcpy(&header, area + legacy_size, sizeof(header));
    return header;
}

void write_header(uint8_t* area, const Header& header) {
    std::memcpy(area + legacy_size, &header, sizeof(header));
}

void copy_components(uint8_t* to, const uint8_t* from, uint64_t components) {
    const Machine& m = machine();
    for (unsigned int i = 2; i < 63; ++i) {
        if (!((components >> i) & 1)) continue;
        std::memcpy(to + m.component[i].offset, from + m.component[i].offset, m.component[i].size);
    }
}

}  // namespace

void save_and_init_xstate(const ucontext_t& context, uint64_t xfrm, uint8_t* ssa) {
    uint8_t* image = image_of(context);
    const uint64_t features = frame_features(image);
    Header header = features != 0 ? read_header(image) : Header{SGX_XFRM_LEGACY, 0, {}};
    const uint64_t live = header.xstate_bv & xfrm;

    std::memcpy(ssa, image, legacy_used);
    std::memset(ssa + legacy_used, 0, legacy_size - legacy_used);
    write_header(ssa, Header{live, 0, {}});
    copy_components(ssa, image, live);

    std::memcpy(image + mxcsr_offset, &mxcsr_initial, sizeof(mxcsr_initial));
    if (features != 0) {
        header.xstate_bv &= ~xfrm;
        write_header(image, header);
    } else {
        std::memset(image, 0, mxcsr_offset);
        std::memset(image + 32, 0, legacy_used - 32);
        std::memcpy(image, &fcw_initial, sizeof(fcw_initial));
    }
}

bool load_xstate(const ucontext_t& context, uint64_t xfrm, const uint8_t* ssa) {
    const Header saved = read_header(ssa);
    uint32_t mxcsr = 0;
    std::memcpy(&mxcsr, ssa + mxcsr_offset, sizeof(mxcsr));
    const bool reserved_used =
        saved.xcomp_bv != 0 || saved.reserved[0] != 0 || (saved.xstate_bv & ~xfrm) != 0;
    if (reserved_used || (mxcsr & ~machine().mxcsr_mask) != 0) return false;

    uint8_t* image = image_of(context);
    const uint64_t features = frame_features(image);
    uint8_t software[legacy_size - legacy_used];
    std::memcpy(software, image + legacy_used, sizeof(software));
    std::memcpy(image, ssa, legacy_used);
    std::memcpy(image + legacy_used, software, sizeof(software));
    if (features != 0) {
        Header header = read_header(image);
        header.xstate_bv = (header.xstate_bv & ~xfrm) | (saved.xstate_bv & xfrm);
        write_header(image, header);
        copy_components(image, ssa, saved.xstate_bv & xfrm);
    }
    return true;
}

}  // namespace sgxemu
