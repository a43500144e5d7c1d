// write_elf(): an Image to a payload.
#include <elf.h>

#include <cstring>
#include <numeric>
#include <unordered_map>

#include "tool/front/elf_file.hpp"
#include "tool/front/error.hpp"

namespace sgxdl::front {
namespace {

// A string table that stores equal strings once.
class Strings {
 public:
    uint32_t add(const std::string& text) {
        if (text.empty()) return 0;
        auto [at, fresh] = known_.emplace(text, static_cast<uint32_t>(bytes_.size()));
        if (fresh) {
            bytes_.insert(bytes_.end(), text.begin(), text.end());
            bytes_.push_back(0);
        }
        return at->second;
    }
    const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
    std::vector<uint8_t> bytes_{0};
    std::unordered_map<std::string, uint32_t> known_;
};

template <class T>
void append(std::vector<uint8_t>& out, const T& value) {
    auto* from = reinterpret_cast<const uint8_t*>(&value);
    out.insert(out.end(), from, from + sizeof value);
}

class Writer {
 public:
    explicit Writer(const Image& image) : image_(image) { headers_.push_back({}); }

    std::vector<uint8_t> write() {
        out_.resize(sizeof(Elf64_Ehdr));
        number_sections();
        write_groups();
        write_sections();
        write_relocations();
        write_text(".sgxdl.note", join(image_.notes));
        write_text(".sgxdl.removed", join(image_.removed));
        std::vector<std::string> pairs;
        for (const auto& [built, loaded] : image_.renamed) {
            pairs.push_back(built);
            pairs.push_back(loaded);
        }
        write_text(".sgxdl.renamed", join(pairs));
        write_omitted();
        // Tells linkers that this code needs no executable stack.
        header(".note.GNU-stack", SHT_PROGBITS, 0, out_.size(), 0, 0, 0, 1, 0);
        write_symbols();
        return finish();
    }

 private:
    static std::vector<uint8_t> join(const std::vector<std::string>& lines) {
        std::vector<uint8_t> bytes;
        for (const std::string& line : lines) {
            bytes.insert(bytes.end(), line.begin(), line.end());
            bytes.push_back(0);
        }
        return bytes;
    }

    // Groups come first (gABI: before their members), then the sections in image order.
    void number_sections() {
        uint32_t next = 1;
        for (const Unit& unit : image_.units) {
            if (unit.sections.size() > 1) next++;
        }
        first_section_ = next;
        uint32_t relocated = 0;
        for (const Section& section : image_.sections) {
            if (!section.relocations.empty()) relocated++;
        }
        auto count = static_cast<uint32_t>(image_.sections.size());
        uint32_t special = 1 + (image_.notes.empty() ? 0u : 1u) +
                           (image_.removed.empty() ? 0u : 1u) + (image_.renamed.empty() ? 0u : 1u) +
                           (image_.omitted.empty() ? 0u : 1u);
        symbol_table_ = first_section_ + count + relocated + special;
        extended_ = symbol_table_ + 3 >= SHN_LORESERVE;
    }

    uint32_t index_of(uint32_t section) const { return first_section_ + section; }

    uint32_t place(const std::vector<uint8_t>& bytes, uint64_t align) {
        while (out_.size() % align != 0)
            out_.push_back(0);
        auto at = static_cast<uint32_t>(out_.size());
        out_.insert(out_.end(), bytes.begin(), bytes.end());
        return at;
    }

    void header(const std::string& name, uint32_t type, uint64_t flags, uint64_t offset,
                uint64_t size, uint32_t link, uint32_t info, uint64_t align, uint64_t entsize) {
        headers_.push_back(
            {section_names_.add(name), type, flags, 0, offset, size, link, info, align, entsize});
    }

    uint32_t symbol_index(uint32_t symbol) const { return symbol + 1; }

    void write_groups() {
        std::unordered_map<std::string_view, uint32_t> names = defined_names(image_);
        for (const Unit& unit : image_.units) {
            if (unit.sections.size() == 1) continue;
            std::vector<uint8_t> bytes;
            append(bytes, uint32_t{0});
            for (uint32_t section : unit.sections)
                append(bytes, index_of(section));
            uint64_t at = place(bytes, 4);
            header(".group", SHT_GROUP, 0, at, bytes.size(), symbol_table_,
                   symbol_index(names.at(unit.name)), 4, 4);
        }
    }

    void write_sections() {
        for (const Section& section : image_.sections) {
            uint64_t flags = SHF_ALLOC;
            if (section.kind == SectionKind::text) flags |= SHF_EXECINSTR;
            if (section.kind == SectionKind::writable || section.kind == SectionKind::zeroed) {
                flags |= SHF_WRITE;
            }
            if (section.kind == SectionKind::literal) flags |= SHF_MERGE;
            if (section.strings) flags |= SHF_STRINGS;
            if (image_.units[section.unit].sections.size() > 1) flags |= SHF_GROUP;
            bool zeroed = section.kind == SectionKind::zeroed;
            uint64_t at = zeroed ? out_.size() : place(section.bytes, section.align);
            header(section.name, zeroed ? SHT_NOBITS : SHT_PROGBITS, flags, at, section.size, 0, 0,
                   section.align, section.entsize);
        }
    }

    void write_relocations() {
        for (uint32_t i = 0; i < image_.sections.size(); i++) {
            const Section& section = image_.sections[i];
            if (section.relocations.empty()) continue;
            std::vector<uint8_t> bytes;
            bytes.reserve(section.relocations.size() * sizeof(Elf64_Rela));
            for (const Relocation& relocation : section.relocations) {
                append(bytes, Elf64_Rela{relocation.offset,
                                         ELF64_R_INFO(uint64_t{symbol_index(relocation.symbol)},
                                                      uint64_t{relocation.type}),
                                         relocation.addend});
            }
            uint64_t at = place(bytes, 8);
            header(".rela" + section.name, SHT_RELA, SHF_INFO_LINK, at, bytes.size(), symbol_table_,
                   index_of(i), 8, sizeof(Elf64_Rela));
        }
    }

    void write_text(const char* name, const std::vector<uint8_t>& bytes) {
        if (bytes.empty()) return;
        uint64_t at = place(bytes, 1);
        header(name, SHT_PROGBITS, 0, at, bytes.size(), 0, 0, 1, 0);
    }

    // One line per immediate: unit, section of the unit, offset, width, loaded, built.
    void write_omitted() {
        std::vector<std::string> lines;
        for (const OmittedLine& line : image_.omitted) {
            lines.push_back(fmt::format("{} {} {} {} {} {}", line.symbol, line.section, line.offset,
                                        line.width, line.loaded, line.built));
        }
        write_text(".sgxdl.omitted", join(lines));
    }

    void write_symbols() {
        Strings names;
        std::vector<uint8_t> symbols;
        std::vector<uint8_t> indices;
        append(symbols, Elf64_Sym{});
        append(indices, uint32_t{0});
        uint32_t first_global = 1;
        for (const Symbol& symbol : image_.symbols) {
            unsigned char type = symbol.type == SymbolType::function  ? STT_FUNC
                                 : symbol.type == SymbolType::object  ? STT_OBJECT
                                 : symbol.type == SymbolType::section ? STT_SECTION
                                                                      : STT_NOTYPE;
            unsigned char binding = symbol.binding == Binding::local    ? STB_LOCAL
                                    : symbol.binding == Binding::global ? STB_GLOBAL
                                                                        : STB_WEAK;
            if (symbol.binding == Binding::local) first_global++;
            uint32_t section = symbol.defined() ? index_of(symbol.section) : 0;
            bool wide = section >= SHN_LORESERVE;
            append(symbols, Elf64_Sym{names.add(symbol.name),
                                      static_cast<unsigned char>(ELF64_ST_INFO(binding, type)), 0,
                                      static_cast<uint16_t>(wide ? uint32_t{SHN_XINDEX} : section),
                                      symbol.value, symbol.size});
            append(indices, wide ? section : 0u);
        }
        uint64_t at = place(symbols, 8);
        if (headers_.size() != symbol_table_) fail("internal: the symbol table was misnumbered");
        header(".symtab", SHT_SYMTAB, 0, at, symbols.size(), symbol_table_ + 1, first_global, 8,
               sizeof(Elf64_Sym));
        at = place(names.bytes(), 1);
        header(".strtab", SHT_STRTAB, 0, at, names.bytes().size(), 0, 0, 1, 0);
        if (extended_) {
            at = place(indices, 4);
            header(".symtab_shndx", SHT_SYMTAB_SHNDX, 0, at, indices.size(), symbol_table_, 0, 4,
                   4);
        }
    }

    std::vector<uint8_t> finish() {
        auto names_index = static_cast<uint32_t>(headers_.size());
        uint32_t name = section_names_.add(".shstrtab");
        uint64_t at = place(section_names_.bytes(), 1);
        headers_.push_back({name, SHT_STRTAB, 0, 0, at, section_names_.bytes().size(), 0, 0, 1, 0});
        while (out_.size() % 8 != 0)
            out_.push_back(0);

        Elf64_Ehdr elf{};
        memcpy(elf.e_ident, ELFMAG, SELFMAG);
        elf.e_ident[EI_CLASS] = ELFCLASS64;
        elf.e_ident[EI_DATA] = ELFDATA2LSB;
        elf.e_ident[EI_VERSION] = EV_CURRENT;
        elf.e_type = ET_REL;
        elf.e_machine = EM_X86_64;
        elf.e_version = EV_CURRENT;
        elf.e_shoff = out_.size();
        elf.e_ehsize = sizeof(Elf64_Ehdr);
        elf.e_shentsize = sizeof(Elf64_Shdr);
        // gABI, "ELF Header": numbers that do not fit stand in section header 0.
        bool wide_count = headers_.size() >= SHN_LORESERVE;
        bool wide_names = names_index >= SHN_LORESERVE;
        elf.e_shnum = static_cast<uint16_t>(wide_count ? 0 : headers_.size());
        elf.e_shstrndx = static_cast<uint16_t>(wide_names ? uint32_t{SHN_XINDEX} : names_index);
        if (wide_count) headers_[0].sh_size = headers_.size();
        if (wide_names) headers_[0].sh_link = names_index;
        for (const Elf64_Shdr& section : headers_)
            append(out_, section);
        memcpy(out_.data(), &elf, sizeof elf);
        return std::move(out_);
    }

    const Image& image_;
    std::vector<uint8_t> out_;
    std::vector<Elf64_Shdr> headers_;
    Strings section_names_;
    uint32_t first_section_ = 0;
    uint32_t symbol_table_ = 0;
    bool extended_ = false;
};

}  // namespace

std::vector<uint8_t> write_elf(const Image& image) {
    return Writer(image).write();
}

}  // namespace sgxdl::front
