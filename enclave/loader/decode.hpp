// Decoding: from a verified payload to pieces, definitions, symbols and targets.
//
// Looks at nothing but the payload, changes nothing but the Bundle. Afterwards every offset, size,
// index and name of the bundle is known to be good, so what follows cannot fail on them. Rules:
// docs/bundle-format.md, "Normal form".
#pragma once

#include "enclave/loader/budget.hpp"
#include "enclave/loader/model.hpp"

namespace sgxdl {

class Decoder {
 public:
    explicit Decoder(Bundle& bundle) : b_(bundle) {}

    // The passes, in order. Each returns true when it is finished, false when the budget is spent.
    Result<bool> read_header(Budget& budget);
    Result<bool> read_sections(Budget& budget);
    Result<bool> make_definitions(Budget& budget);
    Result<bool> read_symbols(Budget& budget);

 private:
    struct Span {
        uint64_t offset = 0, size = 0;
        uint32_t section = 0, info = 0;
    };
    const uint8_t* at(uint64_t offset) const { return b_.payload + offset; }
    uint64_t size() const { return b_.header.payload_size; }
    elf::Section section(uint32_t index) const {
        return elf::Section::read(at(table_ + index * elf::section_size));
    }
    Result<void> read_string_table(uint32_t index, std::string_view& strings) const;
    Result<std::string_view> name(std::string_view strings, uint32_t offset, const char* what,
                                  uint32_t index) const;
    Result<void> add_piece(uint32_t index, const elf::Section& s);
    Result<void> attach_relocations(const Span& rela);
    Result<void> make_group(const Span& group);
    Result<void> add_definition(uint32_t first_piece, uint32_t count, UnitKind kind);
    Result<void> add_symbol(uint32_t index, const elf::Symbol& symbol, uint32_t section_index);

    Bundle& b_;
    uint64_t table_ = 0;  // section header table
    uint32_t section_count_ = 0;
    uint32_t cursor_ = 0;
    Span symtab_, extended_index_;
    uint32_t strtab_ = 0;
    Vec<Span> relas_, groups_;
    uint32_t symbol_count_ = 0;
};

}  // namespace sgxdl
