// Turns compiler output into normal form. Internal to the front end; use pack.hpp.
//
// The passes, in the order of build():
//   resolve    (resolve.cpp)    picks the definition of every global symbol, drops COMDAT doubles
//   lay_out    (lay_out.cpp)    decides what becomes of each input section, makes sections, symbols
//   refer      (refer.cpp)      rewrites every relocation to what normal form says
//   group      (group.cpp)      joins cold parts and tables with their function
//   name       (name.cpp)       makes names unique, names what has none
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "tool/front/disassembly.hpp"
#include "tool/front/image.hpp"
#include "tool/front/object.hpp"

namespace sgxdl::front {

// A reference into the middle of a text section: both must end in the same unit.
struct MidReference {
    uint32_t from = 0;  // image section
    uint64_t offset = 0;
    uint32_t to = 0;  // image section, text
};

class Builder {
 public:
    Builder(const std::vector<InputObject>& objects, uint64_t xfrm)
        : objects_(objects), xfrm_(xfrm) {}
    Image build();

 private:
    // What became of an input section.
    struct Place {
        enum class What : uint8_t { dropped, discarded, section, literals } what = What::dropped;
        uint32_t section = no_index;  // image section
        // What::literals: where each piece starts in the input section.
        std::vector<uint64_t> pieces;
        // Jump tables cut out of a plain .rodata: [begin, end) → image section.
        struct Cut {
            uint64_t begin = 0, end = 0;
            uint32_t section = no_index;
        };
        std::vector<Cut> cuts;
    };
    struct Definition {
        uint32_t object = 0;
        uint32_t symbol = 0;
        int rank = 0;  // 3 strong, 2 common, 1 weak
    };
    // What a relocation's symbol and displacement mean.
    struct Target {
        enum class What : uint8_t { undefined, section } what = What::undefined;
        uint32_t symbol = no_index;   // image symbol named by the relocation, if it has a name
        uint32_t section = no_index;  // image section
        int64_t offset = 0;           // in the section (undefined: displacement to the symbol)
        bool by_section = false;      // the relocation named no symbol, only a place
    };

    // resolve.cpp
    void resolve();
    void resolve_groups();
    // lay_out.cpp
    void lay_out();
    // What an object's symbols say about one of its sections.
    struct Naming {
        bool any = false;  // a symbol other than the section's own and .L labels
        bool global = false;
        bool local = false;  // a local one that a programmer may have named
    };
    static std::vector<Naming> name_sections(const InputObject& object);
    Place lay_out_section(uint32_t object, uint32_t index, const Naming& naming);
    uint32_t new_section(uint32_t object, uint32_t index, SectionKind kind);
    void cut_jump_tables(uint32_t object, uint32_t index, Place& place);
    void lay_out_symbols();
    void lay_out_common();
    uint32_t new_symbol(Symbol symbol);
    void note_compilers();
    // literals
    static std::vector<uint64_t> cut_pieces(const InputSection& section, const std::string& where);
    uint32_t literal(const InputSection& section, uint64_t begin, uint64_t end);
    // refer.cpp
    void refer();
    void refer_from_text(uint32_t section);
    void refer_from_data(uint32_t section);
    void refer_implicit(uint32_t section, std::vector<Field>& fields);
    Relocation refer_branch(uint32_t section, const InputRelocation& raw, const Field& field);
    bool relax_got(uint32_t section, const InputRelocation& raw, const Field& field,
                   Relocation& out);
    Relocation refer_address(uint32_t section, const InputRelocation& raw, int64_t bias);
    Relocation to_place(uint32_t section, const InputRelocation& raw, uint32_t type,
                        const Target& target, int64_t bias);
    Target locate(uint32_t section, const InputRelocation& raw, int64_t bias);
    uint32_t undefined_symbol(const InputSymbol& symbol);
    uint32_t section_symbol(uint32_t section);
    uint32_t function_at(uint32_t section, int64_t offset) const;
    void store(uint32_t section, const Relocation& relocation);
    // group.cpp
    void group();
    uint32_t root(uint32_t section);
    void join(uint32_t a, uint32_t b);
    void find_parts();
    bool is_part(uint32_t section) const { return part_[section]; }
    void check_table_users();
    // name.cpp
    void name();
    void name_anonymous();
    void drop_unused();

    std::string where(uint32_t object, const std::string& section) const;
    std::string where(uint32_t section) const;  // image section
    [[noreturn]] void refuse(uint32_t section, uint64_t offset, const std::string& text) const;

    const std::vector<InputObject>& objects_;
    uint64_t xfrm_;
    Image image_;
    std::unordered_map<std::string, Definition> definitions_;
    std::vector<std::vector<bool>> discarded_;             // [object][section]: COMDAT double
    std::vector<std::vector<Place>> places_;               // [object][section]
    std::vector<std::vector<uint32_t>> symbol_map_;        // [object][symbol] → image symbol
    std::unordered_map<std::string, uint32_t> undefined_;  // name → image symbol
    std::unordered_map<std::string, uint32_t> globals_;    // name → image symbol
    std::unordered_map<std::string, uint32_t> literals_;   // align and content → image section
    std::vector<uint32_t> primary_;         // [image section] → the symbol that stands for it
    std::vector<bool> anonymous_;           // [image section]: primary has no name of its own
    std::vector<uint32_t> section_symbol_;  // [image section], text
    std::vector<uint64_t> origin_;          // [image section]: offset in the input section
    std::vector<uint64_t> origin_end_;
    std::unordered_map<uint64_t, uint32_t> functions_;  // section << 32 | offset → image symbol
    std::vector<bool> part_;                            // [image section]: holds parts of functions
    std::vector<uint32_t> parent_;                      // union-find over image sections
    std::vector<MidReference> mids_;
};

// True for constants that the compiler made and named itself; their address is never compared and
// their number changes from build to build (CSWTCH.12, .LC3, switch.table.f, __func__.1).
bool is_compiler_constant_name(std::string_view name);

}  // namespace sgxdl::front
