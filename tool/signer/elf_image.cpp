#include "tool/signer/elf_image.hpp"

#include <fmt/format.h>

#include <cstring>
#include <fstream>
#include <iterator>

namespace sgxdl::signer {

namespace {

constexpr uint64_t page = 4096;

template <class... A>
[[noreturn]] void fail(fmt::format_string<A...> format, A&&... arguments) {
    throw Error(fmt::format(format, std::forward<A>(arguments)...));
}

struct File {
    std::string path;
    std::vector<uint8_t> bytes;

    // `count` structures at `offset`; never past the end.
    template <class T>
    std::vector<T> read(uint64_t offset, uint64_t count, const char* what) const {
        if (offset > bytes.size() || count > (bytes.size() - offset) / sizeof(T)) {
            fail("{}: {} at {:#x} is past the end of the file", path, what, offset);
        }
        std::vector<T> result(count);
        if (count != 0) memcpy(result.data(), bytes.data() + offset, count * sizeof(T));
        return result;
    }
};

std::string string_at(const std::vector<char>& table, uint64_t offset) {
    if (offset >= table.size()) return {};
    return {table.data() + offset, strnlen(table.data() + offset, table.size() - offset)};
}

}  // namespace

uint64_t ElfImage::address_of(const std::string& name) const {
    for (const Symbol& symbol : symbols) {
        if (symbol.defined && symbol.name == name) return symbol.address;
    }
    fail("the image does not define {}: is it linked with the enclave runtime?", name);
}

ElfImage read_elf_image(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    if (!stream) fail("{}: cannot be opened", path);
    const File file{path, {std::istreambuf_iterator<char>(stream), {}}};
    const Elf64_Ehdr header = file.read<Elf64_Ehdr>(0, 1, "ELF header")[0];
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_machine != EM_X86_64 || header.e_type != ET_DYN) {
        fail("{}: not an x86-64 static PIE", path);
    }
    ElfImage image;
    image.entry = header.e_entry;
    uint64_t end = 0;
    for (const Elf64_Phdr& p :
         file.read<Elf64_Phdr>(header.e_phoff, header.e_phnum, "program headers")) {
        if (p.p_type == PT_TLS) fail("{}: has thread-local variables (PT_TLS)", path);
        if (p.p_type == PT_INTERP) fail("{}: wants a dynamic loader (PT_INTERP)", path);
        if (p.p_type != PT_LOAD || p.p_memsz == 0) continue;
        if (p.p_vaddr % page != 0 || p.p_vaddr < end) {
            fail("{}: segment at {:#x} is not page aligned or overlaps", path, p.p_vaddr);
        }
        if (p.p_filesz > p.p_memsz || p.p_memsz > (uint64_t{1} << 32)) {
            fail("{}: segment at {:#x} has a size of {:#x}", path, p.p_vaddr, p.p_memsz);
        }
        Segment segment{p.p_vaddr, p.p_flags, file.read<uint8_t>(p.p_offset, p.p_filesz, "segment"),
                        p.p_filesz};
        segment.bytes.resize((p.p_memsz + page - 1) / page * page);
        end = p.p_vaddr + segment.bytes.size();
        image.segments.push_back(std::move(segment));
    }
    for (const Elf64_Shdr& s :
         file.read<Elf64_Shdr>(header.e_shoff, header.e_shnum, "section headers")) {
        if ((s.sh_flags & SHF_EXECINSTR) != 0 && s.sh_size != 0) {
            image.text.push_back({s.sh_addr, s.sh_addr + s.sh_size});
        }
        if (s.sh_type == SHT_RELA && (s.sh_flags & SHF_ALLOC) != 0) {
            const auto rows =
                file.read<Elf64_Rela>(s.sh_offset, s.sh_size / sizeof(Elf64_Rela), "relocations");
            image.relocations.insert(image.relocations.end(), rows.begin(), rows.end());
        }
        if (s.sh_type == SHT_REL && (s.sh_flags & SHF_ALLOC) != 0 && s.sh_size != 0) {
            fail("{}: has SHT_REL relocations", path);
        }
        if (s.sh_type != SHT_SYMTAB) continue;
        const auto strings_header = file.read<Elf64_Shdr>(
            header.e_shoff + uint64_t{s.sh_link} * sizeof(Elf64_Shdr), 1, "string section")[0];
        const auto strings =
            file.read<char>(strings_header.sh_offset, strings_header.sh_size, "symbol names");
        for (const Elf64_Sym& symbol :
             file.read<Elf64_Sym>(s.sh_offset, s.sh_size / sizeof(Elf64_Sym), "symbols")) {
            image.symbols.push_back({string_at(strings, symbol.st_name), symbol.st_value,
                                     symbol.st_size,
                                     static_cast<uint8_t>(ELF64_ST_TYPE(symbol.st_info)),
                                     static_cast<uint8_t>(ELF64_ST_BIND(symbol.st_info)),
                                     symbol.st_shndx != SHN_UNDEF});
        }
    }
    if (image.segments.empty()) fail("{}: has no segment", path);
    if (image.symbols.empty()) fail("{}: has no symbol table; do not strip it", path);
    return image;
}

}  // namespace sgxdl::signer
