#include "enclave/loader/decode.hpp"

namespace sgxdl {

using std::string_view;

namespace {
uint64_t u(uint64_t value) {
    return value;
}  // for make_error's %u and %x
}  // namespace

Result<bool> Decoder::read_header(Budget& budget) {
    if (size() < elf::header_size)
        return make_error(Code::truncated, "ELF header needs %u bytes, payload has %u",
                          elf::header_size, size());
    const uint8_t* h = at(0);
    if (memcmp(h, "\177ELF\2\1\1", 7) != 0)
        return make_error(Code::bad_elf, "not a 64-bit little-endian ELF file");
    if (load_le<uint16_t>(h + 16) != elf::et_rel)
        return make_error(Code::bad_elf, "e_type %u is not ET_REL", u(load_le<uint16_t>(h + 16)));
    if (load_le<uint16_t>(h + 18) != elf::em_x86_64)
        return make_error(Code::bad_elf, "e_machine %u is not x86-64",
                          u(load_le<uint16_t>(h + 18)));
    if (load_le<uint16_t>(h + 58) != elf::section_size)
        return make_error(Code::bad_elf, "e_shentsize %u", u(load_le<uint16_t>(h + 58)));
    table_ = load_le<uint64_t>(h + 40);
    uint64_t count = load_le<uint16_t>(h + 60);
    uint32_t names = load_le<uint16_t>(h + 62);
    if (!in_range(table_, elf::section_size, size()))
        return make_error(Code::truncated, "section header table at %x ends past the payload",
                          table_);
    // More sections than 16 bits hold: the numbers are in section 0 (gABI, "e_shnum").
    if (count == 0) count = section(0).size;
    if (names == elf::shn_xindex) names = section(0).link;
    if (count == 0 || count > size() / elf::section_size ||
        !in_range(table_, count * elf::section_size, size())) {
        return make_error(Code::truncated, "%u section headers at %x end past the payload", count,
                          table_);
    }
    section_count_ = static_cast<uint32_t>(count);
    if (names == 0 || names >= section_count_)
        return make_error(Code::bad_elf, "e_shstrndx %u", u(names));
    SGXDL_TRY(read_string_table(names, b_.section_names));
    // Growing by doubling would touch twice the pages; in an enclave each costs a fault.
    size_t allocated = 0, relocated = 0;
    for (uint32_t i = 1; i < section_count_; ++i) {
        const elf::Section s = section(i);
        allocated += (s.flags & elf::shf_alloc) != 0;
        relocated += s.type == elf::sht_rela;
    }
    budget.spend(static_cast<int64_t>(section_count_) * Budget::record / 4);
    if (!b_.section_piece.resize(section_count_, none) || !b_.pieces.reserve(allocated) ||
        !relas_.reserve(relocated))
        return make_error(Code::no_memory, "section records");
    cursor_ = 1;
    return true;
}

Result<void> Decoder::read_string_table(uint32_t index, string_view& strings) const {
    const elf::Section s = section(index);
    if (s.type != elf::sht_strtab)
        return make_error(Code::bad_elf, "section %u is not a string table", u(index));
    if (!in_range(s.offset, s.size, size()))
        return make_error(Code::truncated, "string table %u ends past the payload", u(index));
    if (s.size == 0 || at(s.offset)[s.size - 1] != 0)
        return make_error(Code::bad_elf, "string table %u does not end in NUL", u(index));
    strings = {reinterpret_cast<const char*>(at(s.offset)), s.size};
    return {};
}

Result<string_view> Decoder::name(string_view strings, uint32_t offset, const char* what,
                                  uint32_t index) const {
    if (offset >= strings.size())
        return make_error(Code::bad_elf, "name of %s %u is outside the string table", what,
                          u(index));
    return string_view(strings.data() + offset);  // NUL-terminated: the table is
}

Result<bool> Decoder::read_sections(Budget& budget) {
    for (; cursor_ < section_count_; ++cursor_) {
        if (budget.spent()) return false;
        budget.spend(Budget::record);
        const elf::Section s = section(cursor_);
        const Span span{s.offset, s.size, cursor_, s.info};
        if (s.type != elf::sht_nobits && !in_range(s.offset, s.size, size())) {
            return make_error(Code::truncated, "section %u [%x, +%x) ends past the payload",
                              u(cursor_), s.offset, s.size);
        }
        if (s.flags & elf::shf_alloc) {
            SGXDL_TRY(add_piece(cursor_, s));
            continue;
        }
        switch (s.type) {
            case elf::sht_symtab:
                if (symtab_.section)
                    return make_error(Code::bad_elf, "two symbol tables, %u and %u",
                                      u(symtab_.section), u(cursor_));
                if (s.size % elf::symbol_size || s.size / elf::symbol_size >= none)
                    return make_error(Code::bad_elf, "symbol table of %u bytes", s.size);
                if (s.link == 0 || s.link >= section_count_)
                    return make_error(Code::bad_elf, "symbol table's sh_link %u", u(s.link));
                symtab_ = span;
                strtab_ = s.link;
                break;
            case elf::sht_symtab_shndx:
                extended_index_ = span;
                break;
            case elf::sht_rela:
                if (!relas_.push(span)) return make_error(Code::no_memory, "relocation sections");
                break;
            case elf::sht_rel:
                return make_error(Code::not_normal_form, "section %u: SHT_REL relocations",
                                  u(cursor_));
            case elf::sht_group:
                if (!groups_.push(span)) return make_error(Code::no_memory, "section groups");
                break;
            default: {
                auto section_name = name(b_.section_names, s.name, "section", cursor_);
                if (!section_name) return section_name.error();
                if (s.type != elf::sht_progbits || *section_name != ".sgxdl.removed" || s.size == 0)
                    break;
                if (at(s.offset)[s.size - 1] != 0)
                    return make_error(Code::bad_elf, ".sgxdl.removed does not end in NUL");
                b_.removed = {reinterpret_cast<const char*>(at(s.offset)), s.size};
            }
        }
    }
    if (!symtab_.section) return make_error(Code::bad_elf, "no symbol table");
    SGXDL_TRY(read_string_table(strtab_, b_.strings));
    cursor_ = 0;
    symbol_count_ = static_cast<uint32_t>(symtab_.size / elf::symbol_size);
    if (extended_index_.section && extended_index_.size / 4 < symbol_count_)
        return make_error(Code::truncated, "SHT_SYMTAB_SHNDX section");
    return true;
}

Result<void> Decoder::add_piece(uint32_t index, const elf::Section& s) {
    const bool zeroed = s.type == elf::sht_nobits;
    const bool write = s.flags & elf::shf_write, execute = s.flags & elf::shf_execinstr;
    const bool merge = s.flags & elf::shf_merge;
    if (!zeroed && s.type != elf::sht_progbits)
        return make_error(Code::not_normal_form, "section %u: allocated, of type %x", u(index),
                          u(s.type));
    if (s.flags & elf::shf_tls)
        return make_error(Code::not_normal_form, "section %u: thread-local storage", u(index));
    if (write && execute)
        return make_error(Code::not_normal_form, "section %u: writable and executable", u(index));
    if (zeroed && (!write || execute))
        return make_error(Code::not_normal_form, "section %u: zeroed but not writable data",
                          u(index));
    if (merge && (write || execute))
        return make_error(Code::not_normal_form, "section %u: a literal that is not read-only",
                          u(index));
    const uint64_t alignment = s.alignment ? s.alignment : 1;
    if (!is_power_of_two(alignment) || alignment > page_size)
        return make_error(Code::not_normal_form, "section %u: alignment %u", u(index), alignment);
    if (s.size > (1u << 30))
        return make_error(Code::too_large, "section %u: %u bytes", u(index), s.size);

    Piece piece;
    piece.bytes = zeroed ? nullptr : at(s.offset);
    piece.size = s.size;
    piece.alignment = static_cast<uint32_t>(alignment);
    piece.section = index;
    piece.part = execute ? Part::code : Part::rest;
    piece.kind = execute ? UnitKind::text
                 : write ? UnitKind::data
                 : merge ? UnitKind::literal
                         : UnitKind::constant;
    b_.section_piece[index] = static_cast<uint32_t>(b_.pieces.size());
    if (!b_.pieces.push(piece)) return make_error(Code::no_memory, "section records");
    return {};
}

Result<void> Decoder::attach_relocations(const Span& rela) {
    const elf::Section s = section(rela.section);
    if (s.link != symtab_.section)
        return make_error(Code::bad_elf,
                          "relocation section %u: sh_link %u is not the symbol table",
                          u(rela.section), u(s.link));
    if (rela.info >= section_count_)
        return make_error(Code::bad_elf, "relocation section %u: sh_info %u", u(rela.section),
                          u(rela.info));
    if (rela.size % elf::rela_size || rela.size / elf::rela_size >= none)
        return make_error(Code::bad_elf, "relocation section %u: %u bytes", u(rela.section),
                          rela.size);
    const uint32_t target = b_.section_piece[rela.info];
    if (target == none) return {};  // of a section that is not loaded
    Piece& piece = b_.pieces[target];
    if (piece.relas)
        return make_error(Code::not_normal_form, "section %u has two relocation sections",
                          u(rela.info));
    if (!piece.bytes && rela.size)
        return make_error(Code::bad_elf, "section %u: relocations in zeroed data", u(rela.info));
    if (piece.kind == UnitKind::literal && rela.size)
        return make_error(Code::not_normal_form, "section %u: relocations in a literal",
                          u(rela.info));
    piece.relas = at(rela.offset);
    piece.rela_count = static_cast<uint32_t>(rela.size / elf::rela_size);
    return {};
}

Result<void> Decoder::add_definition(uint32_t first, uint32_t count, UnitKind kind) {
    Definition d;
    d.bundle = &b_;
    d.first_piece = first;
    d.piece_count = count;
    d.kind = kind;
    for (uint32_t i = first; i < first + count; ++i) {
        Piece& piece = b_.pieces[b_.piece_order[i]];
        const auto part = static_cast<size_t>(piece.part);
        piece.definition = static_cast<uint32_t>(b_.definitions.size());
        piece.offset = align_up(d.size[part], piece.alignment);
        // Compilers make sections of no size; each needs an address of its own all the same.
        d.size[part] = piece.offset + (piece.size ? piece.size : 1);
        if (piece.alignment > d.alignment[part]) d.alignment[part] = piece.alignment;
    }
    if (d.size[0] > (1u << 30) || d.size[1] > (1u << 30))
        return make_error(Code::too_large, "unit of section %u",
                          u(b_.pieces[b_.piece_order[first]].section));
    if (!b_.definitions.push(d)) return make_error(Code::no_memory, "unit records");
    return {};
}

Result<void> Decoder::make_group(const Span& group) {
    if (group.size % 4 || group.size < 8)
        return make_error(Code::bad_elf, "section group %u: %u bytes", u(group.section),
                          group.size);
    if (load_le<uint32_t>(at(group.offset)) != 0)
        return make_error(Code::not_normal_form, "section group %u: flags", u(group.section));
    const auto first = static_cast<uint32_t>(b_.piece_order.size());
    for (uint64_t at_byte = 4; at_byte < group.size; at_byte += 4) {
        const uint32_t member = load_le<uint32_t>(at(group.offset + at_byte));
        if (member >= section_count_)
            return make_error(Code::bad_elf, "section group %u: member %u", u(group.section),
                              u(member));
        const uint32_t index = b_.section_piece[member];
        if (index == none) continue;  // the relocation sections of its members
        Piece& piece = b_.pieces[index];
        if (piece.definition != none)
            return make_error(Code::not_normal_form, "section %u is in two groups", u(member));
        if (piece.kind != UnitKind::text && piece.kind != UnitKind::constant)
            return make_error(Code::not_normal_form,
                              "section group %u: member %u is neither code nor a table",
                              u(group.section), u(member));
        piece.definition = 0;  // taken; add_definition sets the number
        if (!b_.piece_order.push(index)) return make_error(Code::no_memory, "section groups");
    }
    const auto count = static_cast<uint32_t>(b_.piece_order.size()) - first;
    if (count == 0 || b_.pieces[b_.piece_order[first]].kind != UnitKind::text)
        return make_error(Code::not_normal_form, "section group %u: first member is not code",
                          u(group.section));
    return add_definition(first, count, UnitKind::text);
}

Result<bool> Decoder::make_definitions(Budget& budget) {
    if (cursor_ == 0 &&
        (!b_.piece_order.reserve(b_.pieces.size()) || !b_.definitions.reserve(b_.pieces.size())))
        return make_error(Code::no_memory, "unit records");
    // Over relocation sections, groups, and sections that are in no group.
    const size_t groups = relas_.size(), alone = groups + groups_.size();
    for (; cursor_ < alone + b_.pieces.size(); ++cursor_) {
        if (budget.spent()) return false;
        budget.spend(Budget::record);
        if (cursor_ < groups) {
            SGXDL_TRY(attach_relocations(relas_[cursor_]));
        } else if (cursor_ < alone) {
            SGXDL_TRY(make_group(groups_[cursor_ - groups]));
        } else {
            const auto i = static_cast<uint32_t>(cursor_ - alone);
            if (b_.pieces[i].definition != none) continue;
            if (!b_.piece_order.push(i)) return make_error(Code::no_memory, "unit records");
            SGXDL_TRY(add_definition(static_cast<uint32_t>(b_.piece_order.size()) - 1, 1,
                                     b_.pieces[i].kind));
        }
    }
    if (!b_.targets.resize(symbol_count_) || !b_.symbols.reserve(symbol_count_) ||
        !b_.names.reserve(symbol_count_))
        return make_error(Code::no_memory, "symbol records");
    cursor_ = 1;
    return true;
}

Result<bool> Decoder::read_symbols(Budget& budget) {
    for (; cursor_ < symbol_count_; ++cursor_) {
        if (budget.spent()) return false;
        budget.spend(Budget::record);
        const elf::Symbol symbol =
            elf::Symbol::read(at(symtab_.offset + cursor_ * elf::symbol_size));
        uint32_t section_index = symbol.section;
        if (section_index == elf::shn_xindex && extended_index_.section) {
            section_index = load_le<uint32_t>(at(extended_index_.offset + cursor_ * 4ull));
        } else if (section_index >= elf::shn_loreserve) {
            if (symbol.type == elf::stt_file) continue;
            return make_error(Code::not_normal_form, "symbol %u: section index %x", u(cursor_),
                              u(section_index));
        }
        SGXDL_TRY(add_symbol(cursor_, symbol, section_index));
    }
    for (uint32_t i = 0; i < b_.definitions.size(); ++i) {
        if (b_.definitions[i].name_symbol != none) continue;
        return make_error(Code::not_normal_form, "section %u has no named symbol",
                          u(b_.pieces[b_.piece_order[b_.definitions[i].first_piece]].section));
    }
    return true;
}

Result<void> Decoder::add_symbol(uint32_t index, const elf::Symbol& s, uint32_t section_index) {
    Target& target = b_.targets[index];
    const bool named = s.type == elf::stt_func || s.type == elf::stt_object;
    if (!named && s.type != elf::stt_section && s.type != elf::stt_notype) {
        if (s.type == elf::stt_file) return {};
        return make_error(Code::not_normal_form, "symbol %u: type %u", u(index), u(s.type));
    }
    auto text = name(b_.strings, s.name, "symbol", index);
    if (!text) return text.error();
    if (section_index == elf::shn_undef) {
        if (text->empty())
            return make_error(Code::bad_elf, "symbol %u: undefined, without a name", u(index));
        target = Target{Target::Kind::undefined, s.type == elf::stt_func,
                        s.binding == elf::stb_weak, index, s.name};
        return {};
    }
    if (section_index >= section_count_)
        return make_error(Code::bad_elf, "symbol %u: section %u", u(index), u(section_index));
    const uint32_t piece_index = b_.section_piece[section_index];
    if (piece_index == none)
        return {};  // of a section that is not loaded; a relocation against it is refused
    const Piece& piece = b_.pieces[piece_index];
    if (s.value > piece.size ||
        (s.type == elf::stt_object && !in_range(s.value, s.size, piece.size))) {
        return make_error(Code::bad_elf, "symbol '%s' at %x is outside its section %u",
                          text->data(), s.value, u(section_index));
    }
    if (!named) {
        target = Target{Target::Kind::section, false, false, piece_index, s.value};
        return {};
    }
    const bool function = s.type == elf::stt_func;
    if (function != (piece.kind == UnitKind::text))
        return make_error(Code::not_normal_form,
                          "symbol '%s': a function outside code, or an object in it", text->data());
    if (text->empty())
        return make_error(Code::bad_elf, "symbol %u: defined, without a name", u(index));
    if (b_.names.find(*text) != NameMap::absent)
        return make_error(Code::duplicate_symbol, "'%s'", text->data());

    const auto number = static_cast<uint32_t>(b_.symbols.size());
    Definition& definition = b_.definitions[piece.definition];
    DefinedSymbol symbol{*text, piece.definition, piece_index, definition.first_symbol,
                         none,  s.value,          function,    s.binding != elf::stb_local};
    definition.first_symbol = number;
    if (definition.name_symbol == none && b_.piece_order[definition.first_piece] == piece_index)
        definition.name_symbol = number;
    if (!b_.symbols.push(symbol)) return make_error(Code::no_memory, "symbol records");
    b_.names.insert(*text, number);
    target = Target{Target::Kind::symbol, function, false, number, 0};
    return {};
}

}  // namespace sgxdl
