// A bundle that can be broken on purpose: header and payload as ELF structures, sealed again with
// the test's key. Trusts its own input; it only ever edits what the front end wrote.
#pragma once

#include <elf.h>

#include <cstdint>
#include <string>
#include <vector>

#include "sgxdl/bundle.h"
#include "tool/front/bundle.hpp"

namespace sgxdl::test {

class Draft {
 public:
    explicit Draft(const std::vector<uint8_t>& bundle);

    sgxdl_bundle_header header;
    std::vector<uint8_t> payload;

    Elf64_Ehdr& elf() { return at<Elf64_Ehdr>(0); }
    Elf64_Shdr& section(uint32_t index);
    Elf64_Shdr& section(const std::string& name) { return section(find(name)); }
    uint32_t find(const std::string& name);  // section's index
    uint32_t sections();
    Elf64_Sym& symbol(uint32_t index);
    Elf64_Sym& symbol(const std::string& name) { return symbol(find_symbol(name)); }
    uint32_t find_symbol(const std::string& name);
    uint32_t symbols();
    // Relocation `index` of the section `name` (".text.run").
    Elf64_Rela& rela(const std::string& name, uint32_t index = 0);
    void set_rela(Elf64_Rela& rela, uint32_t symbol, uint32_t type) {
        rela.r_info = ELF64_R_INFO(static_cast<uint64_t>(symbol), static_cast<uint64_t>(type));
    }
    // The first relocation of the section `name` against the symbol.
    Elf64_Rela& rela_to(const std::string& name, const std::string& symbol);
    uint32_t& group_word(uint32_t index);  // of the first section group

    // The string's offset in the symbols' string table, which is moved to the payload's end.
    uint32_t add_name(const std::string& name);
    // Moves a table to the payload's end with room for one more entry; the entry's index.
    uint32_t add_section(const Elf64_Shdr& section);
    uint32_t add_symbol(const Elf64_Sym& symbol);
    void rename(const std::string& symbol, const std::string& to);
    uint64_t append(const std::vector<uint8_t>& bytes);  // offset in the payload

    // Digest and signature made anew; or only the signature; or neither.
    enum class Seal { all, signature, none };
    std::vector<uint8_t> sealed(const front::SecretKey& key, Seal how = Seal::all);

 private:
    template <class T>
    T& at(uint64_t offset) {
        return *reinterpret_cast<T*>(&payload.at(offset));
    }
    std::string text(uint32_t string_table, uint32_t offset);
    void grow(Elf64_Shdr& section, const void* entry, size_t size);
};

}  // namespace sgxdl::test
