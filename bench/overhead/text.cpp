#include "bench/overhead/text.hpp"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>

#include "tool/front/bundle.hpp"

namespace sgxdl::bench {

namespace {

std::vector<uint8_t> read_file(const std::string& name) {
    std::ifstream in(name, std::ios::binary);
    if (!in) throw std::runtime_error("cannot read " + name);
    return {std::istreambuf_iterator<char>(in), {}};
}

template <class T>
T read_at(const std::vector<uint8_t>& file, uint64_t offset) {
    if (offset > file.size() || file.size() - offset < sizeof(T)) {
        throw std::runtime_error("ELF file: truncated");
    }
    T value;
    std::memcpy(&value, file.data() + offset, sizeof value);
    return value;
}

// Functions of a linked ELF file: where their bytes stand in the file, by name. Local names may
// stand for several.
class StaticImage {
 public:
    explicit StaticImage(const std::string& name) : file_(read_file(name)) {
        const auto header = read_at<Elf64_Ehdr>(file_, 0);
        std::vector<Elf64_Shdr> sections;
        for (unsigned i = 0; i < header.e_shnum; ++i) {
            sections.push_back(read_at<Elf64_Shdr>(file_, header.e_shoff + i * sizeof(Elf64_Shdr)));
        }
        for (const Elf64_Shdr& table : sections) {
            if (table.sh_type != SHT_SYMTAB) continue;
            for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= table.sh_size;
                 at += sizeof(Elf64_Sym)) {
                const auto symbol = read_at<Elf64_Sym>(file_, table.sh_offset + at);
                if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC ||
                    symbol.st_shndx >= sections.size()) {
                    continue;
                }
                const Elf64_Shdr& home = sections[symbol.st_shndx];
                const auto* text = reinterpret_cast<const char*>(
                    &file_.at(sections.at(table.sh_link).sh_offset + symbol.st_name));
                functions_.emplace(text, Place{home.sh_offset + (symbol.st_value - home.sh_addr),
                                               symbol.st_value});
            }
        }
    }
    // Calls `use` with `size` bytes and the address for every function of that name.
    template <class Use>
    bool each(const std::string& name, uint64_t size, Use use) const {
        const auto [begin, end] = functions_.equal_range(name);
        for (auto at = begin; at != end; ++at) {
            const uint64_t offset = at->second.offset;
            if (offset <= file_.size() && file_.size() - offset >= size) {
                use(file_.data() + offset, at->second.address);
            }
        }
        return begin != end;
    }

 private:
    std::vector<uint8_t> file_;
    struct Place {
        uint64_t offset, address;  // in the file, in the enclave
    };
    std::multimap<std::string, Place> functions_;
};

uint64_t width_of(uint32_t type) {
    return type == R_X86_64_64 || type == R_X86_64_PC64 ? 8 : 4;
}

// The bytes of a section with zeroes under every relocation.
std::vector<uint8_t> mask(const front::Section& section, const uint8_t* bytes) {
    std::vector<uint8_t> out(bytes, bytes + section.size);
    for (const front::Relocation& relocation : section.relocations) {
        std::fill_n(out.begin() + static_cast<ptrdiff_t>(relocation.offset),
                    width_of(relocation.type), uint8_t{0});
    }
    return out;
}

// One text section of the module with its name and place in the loaded code.
struct Text {
    const front::Section* section;
    std::string name;
    uint64_t offset;
};

// Sections in the order and with the alignment by which the loader places them: unit by unit, each
// aligned as its most demanding section.
std::vector<Text> lay_out(const front::Image& image) {
    std::vector<std::string> names(image.sections.size());
    for (const front::Symbol& symbol : image.symbols) {
        if (symbol.defined() && symbol.type == front::SymbolType::function && symbol.value == 0 &&
            names[symbol.section].empty()) {
            names[symbol.section] = symbol.name;
        }
    }
    std::vector<Text> out;
    uint64_t at = 0;
    for (const front::Unit& unit : image.units) {
        uint64_t align = 1;
        for (const uint32_t index : unit.sections) {
            const front::Section& section = image.sections[index];
            if (section.kind == front::SectionKind::text) align = std::max(align, section.align);
        }
        bool first = true;
        for (const uint32_t index : unit.sections) {
            const front::Section& section = image.sections[index];
            if (section.kind != front::SectionKind::text) continue;
            const uint64_t to = first ? align : section.align;
            at = (at + to - 1) / to * to;
            out.push_back({&section, names[index], at});
            at += section.size;
            first = false;
        }
    }
    return out;
}

}  // namespace

TextComparison compare_text(
    const std::string& bundle_file, const std::string& anchor,
    const std::function<std::vector<uint8_t>(int64_t offset, uint64_t size)>& read_loaded,
    const std::string& static_file) {
    const front::Bundle bundle = front::open_bundle(read_file(bundle_file), bundle_file);
    const StaticImage linked(static_file);
    const std::vector<Text> texts = lay_out(bundle.image);
    const auto at = std::ranges::find(texts, anchor, &Text::name);
    if (at == texts.end()) throw std::runtime_error(bundle_file + ": no function " + anchor);
    const uint64_t anchor_offset = at->offset;
    const uint64_t end = texts.back().offset + texts.back().section->size;
    const std::vector<uint8_t> loaded = read_loaded(-static_cast<int64_t>(anchor_offset), end);

    TextComparison out;
    const auto differs = [&](const Text& text, const char* how) {
        if (out.first_difference.empty()) out.first_difference = text.name + how;
    };
    for (const Text& text : texts) {
        // As packed, which is zero under relocations already, and as it stands in the enclave.
        const std::vector<uint8_t> wanted = mask(*text.section, text.section->bytes.data());
        if (mask(*text.section, loaded.data() + text.offset) != wanted) {
            ++out.different;
            differs(text, ": loaded code is not what was packed");
            continue;
        }
        bool same = false, same_place = false;
        // `pack` tells functions of one name apart by an "@FILE" that the linker does not know.
        const std::string name = text.name.substr(0, text.name.find('@'));
        if (!linked.each(name, text.section->size, [&](const uint8_t* bytes, uint64_t address) {
                same = same || mask(*text.section, bytes) == wanted;
                same_place = same_place || (address - text.offset) % 4096 == 0;
            })) {
            ++out.missing;
            differs(text, ": not in the static image");
            continue;
        }
        if (!same) {
            ++out.different;
            differs(text, ": loaded and static code differ");
            continue;
        }
        ++out.functions;
        out.same_place += same_place;
        out.bytes += text.section->size;
        for (const front::Relocation& relocation : text.section->relocations) {
            out.masked += width_of(relocation.type);
        }
    }
    return out;
}

}  // namespace sgxdl::bench
