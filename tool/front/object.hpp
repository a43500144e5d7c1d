// Compiler output as it stands in the files: relocatable objects, alone or in ar archives.
//
// Reads with libelf; refuses what is not a 64-bit little-endian x86-64 ET_REL file, and objects
// that hold only a compiler's intermediate code (LTO). Says nothing yet about normal form.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sgxdl::front {

struct InputRelocation {
    uint64_t offset = 0;
    uint32_t type = 0;
    uint32_t symbol = 0;
    int64_t addend = 0;
};

struct InputSection {
    std::string name;
    uint32_t type = 0;   // SHT_*
    uint64_t flags = 0;  // SHF_*
    uint64_t align = 1;
    uint64_t entsize = 0;
    uint64_t size = 0;
    std::vector<uint8_t> bytes;  // of allocated sections and .comment; empty for SHT_NOBITS
    std::vector<InputRelocation> relocations;  // of allocated sections
    uint32_t group = UINT32_MAX;               // index into InputObject::groups
};

// InputSymbol::section of absolute and common symbols, above every real index.
inline constexpr uint32_t section_absolute = 0xFFFFFFF1;
inline constexpr uint32_t section_common = 0xFFFFFFF2;

struct InputSymbol {
    std::string name;
    uint8_t type = 0;        // STT_*
    uint8_t binding = 0;     // STB_*
    uint8_t visibility = 0;  // STV_*
    uint32_t section = 0;    // ELF section index (SHN_XINDEX resolved), SHN_UNDEF, or below
    uint64_t value = 0;
    uint64_t size = 0;
};

struct InputGroup {
    uint32_t signature = 0;  // symbol
    bool comdat = false;
    std::vector<uint32_t> members;
};

struct InputObject {
    std::string path;
    std::string member;                  // name in the archive, or empty
    uint32_t twin = 1;                   // counts members of the same name in one archive
    std::string file;                    // what its STT_FILE symbol says, else the file's own name
    std::vector<InputSection> sections;  // by ELF section index
    std::vector<InputSymbol> symbols;    // by ELF symbol index
    std::vector<InputGroup> groups;
    bool has_debug_info = false;
    // "a/b.o", "lib.a(b.o)", or "lib.a(b.o)#2" for a second member of that name.
    std::string display() const;
};

// Reads the files in the order given; every member of an archive is taken (as ld's
// --whole-archive does), in archive order. Throws Error naming the file.
std::vector<InputObject> read_objects(const std::vector<std::string>& paths);

// The same for bytes in memory; `name` is for messages.
InputObject read_object(const std::vector<uint8_t>& bytes, const std::string& name);

// Reads a whole file; throws Error.
std::vector<uint8_t> read_file(const std::string& path);
// Writes a whole file by renaming a complete one into place; throws Error.
void write_file(const std::string& path, const std::vector<uint8_t>& bytes, bool secret = false);

}  // namespace sgxdl::front
