// The payload: an Image written as an ELF relocatable file in normal form, and read back.
//
// docs/bundle-format.md is the format; gABI chapters 4 ("Sections", "Symbol Table", "Relocation")
// and "Section Groups" are the reference. Output depends on the Image only.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tool/front/image.hpp"

namespace sgxdl::front {

// Writes a finished Image. More than 65,279 sections use gABI extended numbering
// (SHT_SYMTAB_SHNDX).
std::vector<uint8_t> write_elf(const Image& image);

// Reads a payload; `name` is for messages. Throws Error unless it is in normal form.
Image read_elf(std::span<const uint8_t> payload, const std::string& name);

}  // namespace sgxdl::front
