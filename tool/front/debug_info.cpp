#include "tool/front/debug_info.hpp"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>

#include "tool/front/error.hpp"

namespace sgxdl::front {

// Walks the modules (objects) of one libdwfl session.
class DebugReader {
 public:
    DebugReader(DebugInfo& info, DebugInfo::Detail detail)
        : info_(info), everything_(detail == DebugInfo::Detail::everything) {}

    void read(const std::string& path) {
        static const Dwfl_Callbacks callbacks = {
            .find_elf = dwfl_build_id_find_elf,
            .find_debuginfo = no_debug_file,
            .section_address = dwfl_offline_section_address,
            .debuginfo_path = nullptr,
        };
        std::unique_ptr<Dwfl, void (*)(Dwfl*)> dwfl(dwfl_begin(&callbacks), dwfl_end);
        if (!dwfl) fail("{}: {}", path, dwfl_errmsg(-1));
        dwfl_report_begin(dwfl.get());
        if (!dwfl_report_offline(dwfl.get(), path.c_str(), path.c_str(), -1)) {
            fail("{}: {}", path, dwfl_errmsg(-1));
        }
        dwfl_report_end(dwfl.get(), nullptr, nullptr);
        path_ = path;
        twins_.clear();
        dwfl_getmodules(dwfl.get(), read_module, this, 0);
        if (!error_.empty()) throw Error(error_);
    }

 private:
    // All that is to be known stands in the object itself.
    static int no_debug_file(Dwfl_Module*, void**, const char*, Dwarf_Addr, const char*,
                             const char*, GElf_Word, char**) {
        return -1;
    }

    static int read_module(Dwfl_Module* module, void**, const char* name, Dwarf_Addr, void* self) {
        auto* reader = static_cast<DebugReader*>(self);
        try {
            reader->module(module, name);
        } catch (const Error& error) {
            reader->error_ = error.what();
            return DWARF_CB_ABORT;
        }
        return DWARF_CB_OK;
    }

    void module(Dwfl_Module* module, const char* name) {
        // libdwfl calls an archive's member "archive:member".
        std::string display = name;
        if (display.starts_with(path_ + ":")) {
            display = fmt::format("{}({})", path_, display.substr(path_.size() + 1));
        }
        if (uint32_t twin = ++twins_[display]; twin > 1) display += fmt::format("#{}", twin);
        GElf_Addr bias = 0;
        Elf* elf = dwfl_module_getelf(module, &bias);
        if (!elf) fail("{}: {}", display, dwfl_errmsg(-1));
        find_text(elf, bias);
        Dwarf_Addr dwarf_bias = 0;
        Dwarf* dwarf = dwfl_module_getdwarf(module, &dwarf_bias);
        if (!dwarf) {
            if (!text_.empty()) info_.without_.push_back(display);
            return;
        }
        sections_ = &info_.sections_[display];
        bias_ = dwarf_bias;
        Dwarf_CU* unit = nullptr;
        Dwarf_Die die;
        while (dwarf_get_units(dwarf, unit, &unit, nullptr, nullptr, &die, nullptr) == 0) {
            Dwarf_Attribute attribute;
            const char* producer = dwarf_formstring(dwarf_attr(&die, DW_AT_producer, &attribute));
            if (producer) info_.producers_.insert(producer);
            if (!everything_) continue;
            read_lines(die);
            function_.clear();
            walk(die, 0);
        }
        for (auto& [index, section] : *sections_) {
            std::stable_sort(section.rows.begin(), section.rows.end(),
                             [](const auto& a, const auto& b) { return a.offset < b.offset; });
        }
    }

    struct Text {
        uint64_t begin, end;
        uint32_t section;
    };

    // libdwfl gives every allocated section of a relocatable file an address of its own.
    void find_text(Elf* elf, GElf_Addr bias) {
        text_.clear();
        Elf_Scn* scn = nullptr;
        while ((scn = elf_nextscn(elf, scn)) != nullptr) {
            GElf_Shdr header;
            if (!gelf_getshdr(scn, &header) || !(header.sh_flags & SHF_EXECINSTR)) continue;
            if (header.sh_size == 0) continue;
            text_.push_back({header.sh_addr + bias, header.sh_addr + bias + header.sh_size,
                             static_cast<uint32_t>(elf_ndxscn(scn))});
        }
        std::sort(text_.begin(), text_.end(),
                  [](const Text& a, const Text& b) { return a.begin < b.begin; });
    }

    const Text* text_at(uint64_t address) const {
        auto next = std::upper_bound(text_.begin(), text_.end(), address,
                                     [](uint64_t a, const Text& text) { return a < text.begin; });
        if (next == text_.begin()) return nullptr;
        const Text& text = *(next - 1);
        return address < text.end ? &text : nullptr;
    }

    void read_lines(Dwarf_Die& die) {
        Dwarf_Lines* lines = nullptr;
        size_t count = 0;
        if (dwarf_getsrclines(&die, &lines, &count) != 0) return;
        for (size_t i = 0; i < count; i++) {
            Dwarf_Line* line = dwarf_onesrcline(lines, i);
            Dwarf_Addr address = 0;
            int number = 0;
            bool end = false;
            if (dwarf_lineaddr(line, &address) != 0 || dwarf_lineno(line, &number) != 0) continue;
            if (dwarf_lineendsequence(line, &end) != 0 || end) continue;
            address += bias_;
            if (const Text* text = text_at(address)) {
                (*sections_)[text->section].rows.push_back({address - text->begin, number});
            }
        }
    }

    void add_inlined_call(Dwarf_Die* die) {
        uint64_t line = 0;
        if (!unsigned_attribute(die, DW_AT_call_line, line) || line > INT32_MAX) return;
        Dwarf_Addr base = 0;
        Dwarf_Addr begin = 0;
        Dwarf_Addr end = 0;
        ptrdiff_t offset = 0;
        while ((offset = dwarf_ranges(die, offset, &base, &begin, &end)) > 0) {
            const Text* text = text_at(begin + bias_);
            if (!text || begin >= end) continue;
            uint64_t at = begin + bias_ - text->begin;
            (*sections_)[text->section].calls.push_back(
                {at, at + (end - begin), static_cast<int>(line)});
        }
    }

    static std::string name_of(Dwarf_Die* die) {
        const char* name = dwarf_diename(die);
        return name ? name : "";
    }

    static bool is_record(int tag) {
        return tag == DW_TAG_structure_type || tag == DW_TAG_union_type || tag == DW_TAG_class_type;
    }

    static std::string record_name(Dwarf_Die* die, const std::string& name) {
        return fmt::format("{} {}", dwarf_tag(die) == DW_TAG_union_type ? "union" : "struct", name);
    }

    static bool unsigned_attribute(Dwarf_Die* die, unsigned int name, uint64_t& value) {
        Dwarf_Attribute attribute;
        Dwarf_Word word = 0;
        if (dwarf_formudata(dwarf_attr_integrate(die, name, &attribute), &word) != 0) return false;
        value = word;
        return true;
    }

    static uint64_t type_size(Dwarf_Die* die) {
        Dwarf_Attribute attribute;
        Dwarf_Die type;
        if (!dwarf_formref_die(dwarf_attr_integrate(die, DW_AT_type, &attribute), &type)) return 0;
        Dwarf_Word size = 0;
        return dwarf_aggregate_size(&type, &size) == 0 ? size : 0;
    }

    void add_layout(Dwarf_Die* die, const std::string& name) {
        if (dwarf_hasattr(die, DW_AT_declaration)) return;
        TypeLayout layout;
        if (!unsigned_attribute(die, DW_AT_byte_size, layout.size)) return;
        Dwarf_Die child;
        if (dwarf_child(die, &child) == 0) {
            do {
                if (dwarf_tag(&child) != DW_TAG_member) continue;
                TypeLayout::Member member;
                member.name = name_of(&child);
                unsigned_attribute(&child, DW_AT_data_member_location, member.offset);
                uint64_t bits = 0;
                if (unsigned_attribute(&child, DW_AT_bit_size, bits)) {
                    member.size = bits;
                    unsigned_attribute(&child, DW_AT_data_bit_offset, member.bit_offset);
                } else {
                    member.size = type_size(&child);
                }
                layout.members.push_back(std::move(member));
            } while (dwarf_siblingof(&child, &child) == 0);
        }
        auto& known = info_.types_[name];
        if (std::find(known.begin(), known.end(), layout) == known.end()) {
            known.push_back(std::move(layout));
        }
    }

    // The record that a parameter's or variable's type is or points to.
    void add_user(Dwarf_Die* die) {
        if (function_.empty()) return;
        Dwarf_Die type = *die;
        std::string alias;
        for (int depth = 0; depth < 16; depth++) {
            Dwarf_Attribute attribute;
            if (!dwarf_formref_die(dwarf_attr_integrate(&type, DW_AT_type, &attribute), &type))
                return;
            if (dwarf_tag(&type) == DW_TAG_typedef) alias = name_of(&type);
            if (!is_record(dwarf_tag(&type))) continue;
            std::string name = name_of(&type);
            if (name.empty()) name = alias;
            if (!name.empty()) info_.type_users_[record_name(&type, name)].insert(function_);
            return;
        }
    }

    void walk(Dwarf_Die& parent, int depth) {
        Dwarf_Die child;
        if (depth > 64 || dwarf_child(&parent, &child) != 0) return;
        do {
            int tag = dwarf_tag(&child);
            if (tag == DW_TAG_subprogram) {
                std::string outer = std::exchange(function_, name_of(&child));
                walk(child, depth + 1);
                function_ = outer;
                continue;
            }
            if (tag == DW_TAG_inlined_subroutine) add_inlined_call(&child);
            if (is_record(tag)) {
                std::string name = name_of(&child);
                if (!name.empty()) add_layout(&child, record_name(&child, name));
            } else if (tag == DW_TAG_typedef) {
                // `typedef struct { ... } name;` gives the structure its only name.
                Dwarf_Attribute attribute;
                Dwarf_Die type;
                if (dwarf_formref_die(dwarf_attr(&child, DW_AT_type, &attribute), &type) &&
                    is_record(dwarf_tag(&type)) && name_of(&type).empty()) {
                    add_layout(&type, record_name(&type, name_of(&child)));
                }
            } else if (tag == DW_TAG_formal_parameter || tag == DW_TAG_variable) {
                add_user(&child);
            }
            if (dwarf_haschildren(&child)) walk(child, depth + 1);
        } while (dwarf_siblingof(&child, &child) == 0);
    }

    DebugInfo& info_;
    bool everything_;
    std::string path_;
    std::map<std::string, uint32_t> twins_;  // members of one name in the archive
    std::string error_;
    std::string function_;
    std::vector<Text> text_;
    std::unordered_map<uint32_t, DebugInfo::Section>* sections_ = nullptr;
    Dwarf_Addr bias_ = 0;
};

DebugInfo DebugInfo::read(const std::vector<std::string>& paths, Detail detail) {
    DebugInfo info;
    DebugReader reader(info, detail);
    for (const std::string& path : paths)
        reader.read(path);
    return info;
}

std::set<int> DebugInfo::lines(const std::string& object, uint32_t section, uint64_t begin,
                               uint64_t end) const {
    std::set<int> lines;
    auto in_object = sections_.find(object);
    if (in_object == sections_.end()) return lines;
    auto in_section = in_object->second.find(section);
    if (in_section == in_object->second.end()) return lines;
    for (const InlinedCall& call : in_section->second.calls) {
        if (call.begin <= begin && begin < call.end) lines.insert(call.line);
    }
    const std::vector<Row>& rows = in_section->second.rows;
    auto next =
        std::upper_bound(rows.begin(), rows.end(), begin,
                         [](uint64_t offset, const Row& row) { return offset < row.offset; });
    // Every row of the last address at or before the instruction, then those inside it.
    for (auto at = next; at != rows.begin() && (at - 1)->offset == (next - 1)->offset; --at) {
        lines.insert((at - 1)->line);
    }
    for (auto at = next; at != rows.end() && at->offset < end; ++at)
        lines.insert(at->line);
    return lines;
}

}  // namespace sgxdl::front
