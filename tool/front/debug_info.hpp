// What debug information says about objects: compiler and flags, source lines, type layouts.
//
// Reads with libdwfl, which applies the relocations of .debug_* sections in ET_REL files and
// opens archives. DWARF 4 and 5; attribute names below are the standard's.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace sgxdl::front {

// A structure, union or class with a name, as laid out by the compiler.
struct TypeLayout {
    uint64_t size = 0;  // bytes
    struct Member {
        std::string name;
        uint64_t offset = 0;      // bytes
        uint64_t bit_offset = 0;  // of a bit field, from the start of the type; else 0
        uint64_t size = 0;        // bytes; bits for a bit field; 0 unknown
        bool operator==(const Member&) const = default;
    };
    std::vector<Member> members;
    bool operator==(const TypeLayout&) const = default;
};

class DebugInfo {
 public:
    // Lines of one text section, sorted by offset.
    struct Row {
        uint64_t offset = 0;
        int line = 0;
    };

    enum class Detail : uint8_t { producers, everything };

    // Reads all objects and archive members of the files. Files without debug information are
    // fine: they only add nothing. Throws Error for unreadable files.
    static DebugInfo read(const std::vector<std::string>& paths, Detail detail);

    // DW_AT_producer of every compilation unit: compiler, version and code-generation flags.
    const std::set<std::string>& producers() const { return producers_; }
    bool empty() const { return producers_.empty(); }
    // Files and archive members that hold machine code but no debug information.
    const std::vector<std::string>& without() const { return without_; }

    // A call that was inlined: code [begin, end) of a section came in on `line`.
    struct InlinedCall {
        uint64_t begin = 0, end = 0;
        int line = 0;
    };

    // Source lines of the instruction at [begin, end) of a section: those of the line table and,
    // where it was inlined, those of the calls that brought it there (DW_AT_call_line), outermost
    // included. `object` is the display name of object.hpp and `section` its ELF index. Empty when
    // nothing is known.
    std::set<int> lines(const std::string& object, uint32_t section, uint64_t begin,
                        uint64_t end) const;

    // Layouts by "struct NAME" or "union NAME". A name with different layouts in different files
    // has several.
    const std::map<std::string, std::vector<TypeLayout>>& types() const { return types_; }
    // Names of the functions whose parameters or variables have the type, or point to it.
    const std::map<std::string, std::set<std::string>>& type_users() const { return type_users_; }

 private:
    friend class DebugReader;
    std::set<std::string> producers_;
    std::vector<std::string> without_;
    struct Section {
        std::vector<Row> rows;
        std::vector<InlinedCall> calls;
    };
    std::unordered_map<std::string, std::unordered_map<uint32_t, Section>> sections_;
    std::map<std::string, std::vector<TypeLayout>> types_;
    std::map<std::string, std::set<std::string>> type_users_;
};

}  // namespace sgxdl::front
