#include "enclave/loader/relocate.hpp"

#include "enclave/loader/bytes.hpp"
#include "enclave/loader/platform.hpp"

namespace sgxdl {

const char* relocation_name(uint32_t type) {
    switch (static_cast<RelocationType>(type)) {
        case RelocationType::abs64:
            return "R_X86_64_64";
        case RelocationType::pc32:
            return "R_X86_64_PC32";
        case RelocationType::plt32:
            return "R_X86_64_PLT32";
        case RelocationType::gotpcrel:
            return "R_X86_64_GOTPCREL";
        case RelocationType::abs32:
            return "R_X86_64_32";
        case RelocationType::abs32s:
            return "R_X86_64_32S";
        case RelocationType::pc64:
            return "R_X86_64_PC64";
        case RelocationType::gotpcrelx:
            return "R_X86_64_GOTPCRELX";
        case RelocationType::rex_gotpcrelx:
            return "R_X86_64_REX_GOTPCRELX";
    }
    return nullptr;
}

uint32_t relocation_width(RelocationType type) {
    return type == RelocationType::abs64 || type == RelocationType::pc64 ? 8 : 4;
}

bool relocation_uses_got(RelocationType type) {
    return type == RelocationType::gotpcrel || type == RelocationType::gotpcrelx ||
           type == RelocationType::rex_gotpcrelx;
}

Result<void> apply_relocation(RelocationType type, uint8_t* bytes, uint64_t place, uint64_t target,
                              int64_t addend) {
    // Unsigned arithmetic is modulo 2^64, as the psABI's; the range checks look at the result.
    const uint64_t absolute = target + static_cast<uint64_t>(addend);
    const uint64_t relative = absolute - place;
    const char* hint = "";
    switch (type) {
        case RelocationType::abs64:
            store_le<uint64_t>(bytes, absolute);
            return {};
        case RelocationType::pc64:
            store_le<uint64_t>(bytes, relative);
            return {};
        case RelocationType::abs32:
            if (absolute <= UINT32_MAX) {
                store_le<uint32_t>(bytes, static_cast<uint32_t>(absolute));
                return {};
            }
            hint = "; compile with -fPIE";
            break;
        case RelocationType::abs32s:
            if (static_cast<int64_t>(absolute) == static_cast<int32_t>(absolute)) {
                store_le<uint32_t>(bytes, static_cast<uint32_t>(absolute));
                return {};
            }
            hint = "; compile with -fPIE";
            break;
        case RelocationType::pc32:
        case RelocationType::plt32:
        case RelocationType::gotpcrel:
        case RelocationType::gotpcrelx:
        case RelocationType::rex_gotpcrelx:
            if (static_cast<int64_t>(relative) == static_cast<int32_t>(relative)) {
                store_le<uint32_t>(bytes, static_cast<uint32_t>(relative));
                return {};
            }
            break;
    }
    const char* name = relocation_name(static_cast<uint32_t>(type));
    SGXDL_ASSERT(name);
    return make_error(Code::relocation_overflow,
                      "%s: target %x addend %d at %x needs more than 32 bits%s", name, target,
                      addend, place, hint);
}

}  // namespace sgxdl
