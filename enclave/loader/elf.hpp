// The parts of ELF64 that a bundle's payload uses, as offsets into bytes: nothing is cast onto
// input. Sources: System V gABI chapter 4 (header, sections, symbols, groups), x86-64 psABI 4.4
// (relocation types).
#pragma once

#include <cstdint>

#include "enclave/loader/bytes.hpp"

namespace sgxdl::elf {

inline constexpr uint64_t header_size = 64, section_size = 64, symbol_size = 24, rela_size = 24;

inline constexpr uint16_t et_rel = 1, em_x86_64 = 62;
inline constexpr uint32_t sht_progbits = 1, sht_symtab = 2, sht_strtab = 3, sht_rela = 4,
                          sht_nobits = 8, sht_rel = 9, sht_group = 17, sht_symtab_shndx = 18;
inline constexpr uint64_t shf_write = 1, shf_alloc = 2, shf_execinstr = 4, shf_merge = 0x10,
                          shf_tls = 0x400;
inline constexpr uint32_t shn_undef = 0, shn_loreserve = 0xff00, shn_abs = 0xfff1,
                          shn_xindex = 0xffff;
inline constexpr uint8_t stt_notype = 0, stt_object = 1, stt_func = 2, stt_section = 3,
                         stt_file = 4;
inline constexpr uint8_t stb_local = 0, stb_global = 1, stb_weak = 2;

struct Section {
    uint32_t name, type;
    uint64_t flags, offset, size;
    uint32_t link, info;
    uint64_t alignment, entry_size;

    static Section read(const uint8_t* b) {
        return {load_le<uint32_t>(b),      load_le<uint32_t>(b + 4),  load_le<uint64_t>(b + 8),
                load_le<uint64_t>(b + 24), load_le<uint64_t>(b + 32), load_le<uint32_t>(b + 40),
                load_le<uint32_t>(b + 44), load_le<uint64_t>(b + 48), load_le<uint64_t>(b + 56)};
    }
};

struct Symbol {
    uint32_t name;
    uint8_t type, binding;
    uint16_t section;
    uint64_t value, size;

    static Symbol read(const uint8_t* b) {
        return {load_le<uint32_t>(b),
                static_cast<uint8_t>(b[4] & 0xf),
                static_cast<uint8_t>(b[4] >> 4),
                load_le<uint16_t>(b + 6),
                load_le<uint64_t>(b + 8),
                load_le<uint64_t>(b + 16)};
    }
};

struct Rela {
    uint64_t offset;
    uint32_t type, symbol;
    int64_t addend;

    static Rela read(const uint8_t* b) {
        const uint64_t info = load_le<uint64_t>(b + 8);
        return {load_le<uint64_t>(b), static_cast<uint32_t>(info),
                static_cast<uint32_t>(info >> 32), load_le<int64_t>(b + 16)};
    }
};

}  // namespace sgxdl::elf
