// The linked enclave (a static PIE at address 0) as the signer sees it.
#pragma once

#include <elf.h>

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace sgxdl::signer {

// Bad input, with what and where in the text.
struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Segment {
    uint64_t address;            // offset in ELRANGE, page aligned
    uint32_t flags;              // PF_R, PF_W, PF_X
    std::vector<uint8_t> bytes;  // whole pages, zero-filled
    uint64_t file_size;          // of it in the ELF file; the rest is zero
};

struct Symbol {
    std::string name;
    uint64_t address;
    uint64_t size;
    uint8_t type;     // STT_*
    uint8_t binding;  // STB_*
    bool defined;
};

struct TextRange {
    uint64_t begin, end;
};

struct ElfImage {
    std::vector<Segment> segments;  // ascending
    std::vector<Symbol> symbols;
    std::vector<TextRange> text;  // executable sections
    std::vector<Elf64_Rela> relocations;
    uint64_t entry;

    // The address of a defined symbol; throws Error when there is none.
    uint64_t address_of(const std::string& name) const;
};

// Reads and checks the file: ET_DYN, x86-64, page-aligned segments in order.
ElfImage read_elf_image(const std::string& path);

}  // namespace sgxdl::signer
