#include "tool/front/object.hpp"

#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>

#include "tool/front/error.hpp"
#include "tool/front/image.hpp"

namespace sgxdl::front {

std::string InputObject::display() const {
    if (member.empty()) return path;
    std::string text = fmt::format("{}({})", path, member);
    return twin == 1 ? text : fmt::format("{}#{}", text, twin);
}

std::vector<uint8_t> read_file(const std::string& path) {
    std::unique_ptr<FILE, int (*)(FILE*)> file(fopen(path.c_str(), "rb"), fclose);
    if (!file) fail("{}: {}", path, strerror(errno));
    std::vector<uint8_t> bytes;
    uint8_t buffer[65536];
    size_t count = 0;
    while ((count = fread(buffer, 1, sizeof buffer, file.get())) > 0) {
        bytes.insert(bytes.end(), buffer, buffer + count);
    }
    if (ferror(file.get())) fail("{}: {}", path, strerror(errno));
    return bytes;
}

void write_file(const std::string& path, const std::vector<uint8_t>& bytes, bool secret) {
    std::string temporary = path + ".tmp";
    int fd =
        open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, secret ? 0600 : 0644);
    if (fd < 0) fail("{}: {}", temporary, strerror(errno));
    size_t done = 0;
    while (done < bytes.size()) {
        ssize_t count = write(fd, bytes.data() + done, bytes.size() - done);
        if (count < 0) {
            int error = errno;
            close(fd);
            unlink(temporary.c_str());
            fail("{}: {}", temporary, strerror(error));
        }
        done += static_cast<size_t>(count);
    }
    if (close(fd) != 0 || rename(temporary.c_str(), path.c_str()) != 0) {
        fail("{}: {}", path, strerror(errno));
    }
}

namespace {

struct ElfDeleter {
    void operator()(Elf* elf) const { elf_end(elf); }
};
using ElfHandle = std::unique_ptr<Elf, ElfDeleter>;

std::string base_name(const std::string& path) {
    size_t slash = path.rfind('/');
    return slash == std::string::npos ? path : path.substr(slash + 1);
}

// Reads one ELF file into an InputObject; one method per part of the file.
class Reader {
 public:
    Reader(Elf* elf, InputObject& object) : elf_(elf), object_(object) {}

    void read() {
        read_header();
        read_sections();
        read_symbols();
        read_relocations();
        read_groups();
        refuse_intermediate_code();
    }

 private:
    [[noreturn]] void bad(const char* what) {
        const char* detail = elf_errmsg(elf_errno());
        fail("{}: {}: {}", object_.display(), what, detail ? detail : "inconsistent");
    }

    void read_header() {
        GElf_Ehdr header;
        if (!gelf_getehdr(elf_, &header)) bad("not a readable ELF file");
        if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
            header.e_machine != EM_X86_64) {
            fail("{}: not a 64-bit x86-64 object", object_.display());
        }
        if (header.e_type != ET_REL) {
            fail("{}: not a relocatable object (compile with -c)", object_.display());
        }
        if (elf_getshdrstrndx(elf_, &names_) != 0) bad("section names");
        size_t count = 0;
        if (elf_getshdrnum(elf_, &count) != 0) bad("section headers");
        // libelf takes headers that lie past the end for absent ones.
        size_t size = 0;
        if (!elf_rawfile(elf_, &size)) bad("file contents");
        if (count < 2 || header.e_shoff > size ||
            (size - header.e_shoff) / sizeof(Elf64_Shdr) < count) {
            fail("{}: truncated: {} bytes, section headers at {:#x}", object_.display(), size,
                 header.e_shoff);
        }
        file_size_ = size;
        object_.sections.resize(count);
    }

    void read_sections() {
        for (size_t i = 1; i < object_.sections.size(); i++) {
            Elf_Scn* scn = elf_getscn(elf_, i);
            GElf_Shdr header;
            if (!scn || !gelf_getshdr(scn, &header)) bad("section header");
            const char* name = elf_strptr(elf_, names_, header.sh_name);
            if (!name) bad("section name");
            InputSection& section = object_.sections[i];
            section.name = name;
            section.type = header.sh_type;
            section.flags = header.sh_flags;
            section.align = header.sh_addralign ? header.sh_addralign : 1;
            section.entsize = header.sh_entsize;
            section.size = header.sh_size;
            if (section.name.rfind(".debug_info", 0) == 0) object_.has_debug_info = true;
            if (header.sh_flags & SHF_COMPRESSED && header.sh_flags & SHF_ALLOC) {
                fail("{}: {}: compressed allocated section", object_.display(), section.name);
            }
            if (header.sh_type != SHT_NOBITS &&
                (header.sh_offset > file_size_ || header.sh_size > file_size_ - header.sh_offset)) {
                fail("{}: {} lies past the end of the file", object_.display(), section.name);
            }
            bool wanted = (header.sh_flags & SHF_ALLOC) || section.name == ".comment";
            if (wanted && header.sh_type != SHT_NOBITS && header.sh_size != 0) {
                Elf_Data* data = elf_rawdata(scn, nullptr);
                if (!data || data->d_size != header.sh_size) bad("section contents");
                auto* from = static_cast<const uint8_t*>(data->d_buf);
                section.bytes.assign(from, from + data->d_size);
            }
        }
    }

    void read_symbols() {
        Elf_Scn* table = nullptr;
        Elf_Data* extended = nullptr;
        size_t strings = 0;
        for (size_t i = 1; i < object_.sections.size(); i++) {
            GElf_Shdr header;
            Elf_Scn* scn = elf_getscn(elf_, i);
            gelf_getshdr(scn, &header);
            if (header.sh_type == SHT_SYMTAB) {
                if (table) fail("{}: two symbol tables", object_.display());
                table = scn;
                strings = header.sh_link;
                symbol_table_ = i;
            } else if (header.sh_type == SHT_SYMTAB_SHNDX) {
                extended = elf_getdata(scn, nullptr);
            }
        }
        if (!table) return;
        Elf_Data* data = elf_getdata(table, nullptr);
        if (!data) bad("symbol table");
        size_t count = data->d_size / sizeof(Elf64_Sym);
        object_.symbols.resize(count);
        for (size_t i = 1; i < count; i++) {
            GElf_Sym raw;
            Elf32_Word index = 0;
            if (!gelf_getsymshndx(data, extended, static_cast<int>(i), &raw, &index)) {
                bad("symbol");
            }
            InputSymbol& symbol = object_.symbols[i];
            const char* name = elf_strptr(elf_, strings, raw.st_name);
            if (!name) bad("symbol name");
            symbol.name = name;
            symbol.type = GELF_ST_TYPE(raw.st_info);
            symbol.binding = GELF_ST_BIND(raw.st_info);
            symbol.visibility = GELF_ST_VISIBILITY(raw.st_other);
            symbol.section = raw.st_shndx == SHN_XINDEX ? index : raw.st_shndx;
            symbol.value = raw.st_value;
            symbol.size = raw.st_size;
            bool special = raw.st_shndx >= SHN_LORESERVE && raw.st_shndx != SHN_XINDEX;
            if (special && raw.st_shndx != SHN_ABS && raw.st_shndx != SHN_COMMON) {
                fail("{}: symbol {} is in the reserved section {:#x}", object_.display(),
                     symbol.name, raw.st_shndx);
            }
            if (special) {
                symbol.section = raw.st_shndx == SHN_ABS ? section_absolute : section_common;
            }
            if (raw.st_value >= uint64_t{1} << 61) {
                fail("{}: symbol {} has the value {:#x}, out of range", object_.display(),
                     symbol.name, raw.st_value);
            }
            if (!special && symbol.section >= object_.sections.size()) {
                fail("{}: symbol {} is in section {} of {}", object_.display(), symbol.name,
                     symbol.section, object_.sections.size());
            }
            if (symbol.type == STT_FILE && object_.file.empty()) object_.file = base_name(name);
        }
    }

    void read_relocations() {
        for (size_t i = 1; i < object_.sections.size(); i++) {
            Elf_Scn* scn = elf_getscn(elf_, i);
            GElf_Shdr header;
            gelf_getshdr(scn, &header);
            if (header.sh_type != SHT_RELA && header.sh_type != SHT_REL) continue;
            if (header.sh_info == 0 || header.sh_info >= object_.sections.size()) {
                fail("{}: {} relocates no section", object_.display(), object_.sections[i].name);
            }
            InputSection& target = object_.sections[header.sh_info];
            if (!(target.flags & SHF_ALLOC)) continue;
            if (header.sh_type == SHT_REL || header.sh_link != symbol_table_) {
                fail("{}: {} is not a SHT_RELA table over the symbol table", object_.display(),
                     object_.sections[i].name);
            }
            Elf_Data* data = elf_getdata(scn, nullptr);
            if (!data && header.sh_size != 0) bad("relocations");
            size_t count = data ? data->d_size / sizeof(Elf64_Rela) : 0;
            target.relocations.reserve(count);
            for (size_t k = 0; k < count; k++) {
                GElf_Rela raw;
                if (!gelf_getrela(data, static_cast<int>(k), &raw)) bad("relocation");
                InputRelocation relocation{
                    raw.r_offset, static_cast<uint32_t>(GELF_R_TYPE(raw.r_info)),
                    static_cast<uint32_t>(GELF_R_SYM(raw.r_info)), raw.r_addend};
                if (relocation.symbol >= object_.symbols.size()) {
                    fail("{}: {}+{:#x}: relocation names symbol {} of {}", object_.display(),
                         target.name, relocation.offset, relocation.symbol, object_.symbols.size());
                }
                if (!addend_in_range(raw.r_addend)) {
                    fail("{}: {}+{:#x}: addend {} is out of range", object_.display(), target.name,
                         relocation.offset, raw.r_addend);
                }
                target.relocations.push_back(relocation);
            }
        }
    }

    void read_groups() {
        for (size_t i = 1; i < object_.sections.size(); i++) {
            if (object_.sections[i].type != SHT_GROUP) continue;
            Elf_Scn* scn = elf_getscn(elf_, i);
            GElf_Shdr header;
            gelf_getshdr(scn, &header);
            Elf_Data* data = elf_getdata(scn, nullptr);
            if (!data || data->d_size < 4 || header.sh_info >= object_.symbols.size()) {
                bad("section group");
            }
            InputGroup group;
            group.signature = header.sh_info;
            std::vector<uint32_t> words(data->d_size / 4);
            memcpy(words.data(), data->d_buf, words.size() * 4);
            group.comdat = (words[0] & GRP_COMDAT) != 0;
            for (size_t k = 1; k < words.size(); k++) {
                if (words[k] >= object_.sections.size()) bad("section group member");
                group.members.push_back(words[k]);
                object_.sections[words[k]].group = static_cast<uint32_t>(object_.groups.size());
            }
            object_.groups.push_back(std::move(group));
        }
    }

    // An object of `gcc -flto` without -ffat-lto-objects holds no machine code.
    void refuse_intermediate_code() {
        for (const InputSymbol& symbol : object_.symbols) {
            if (symbol.name == "__gnu_lto_slim") {
                fail("{}: holds GCC's intermediate code only (compile without -flto)",
                     object_.display());
            }
        }
        bool lto = false;
        bool text = false;
        for (const InputSection& section : object_.sections) {
            if (section.name.rfind(".gnu.lto_", 0) == 0 || section.name == ".llvmbc") lto = true;
            if ((section.flags & SHF_EXECINSTR) && section.size != 0) text = true;
        }
        if (lto && !text) {
            fail("{}: holds the compiler's intermediate code only (compile without -flto)",
                 object_.display());
        }
    }

    Elf* elf_;
    InputObject& object_;
    size_t names_ = 0;
    size_t file_size_ = 0;
    size_t symbol_table_ = 0;
};

void read_elf(Elf* elf, std::vector<InputObject>& objects, const std::string& path,
              const std::string& member, uint32_t twin) {
    InputObject object;
    object.path = path;
    object.member = member;
    object.twin = twin;
    size_t size = 0;
    const char* raw = elf_rawfile(elf, &size);
    if (raw && size >= 4 && memcmp(raw, "BC\xC0\xDE", 4) == 0) {
        fail("{}: is LLVM bitcode (compile without -flto)", object.display());
    }
    if (elf_kind(elf) != ELF_K_ELF) fail("{}: not an ELF object", object.display());
    Reader(elf, object).read();
    if (object.file.empty()) object.file = base_name(member.empty() ? path : member);
    objects.push_back(std::move(object));
}

void read_archive(Elf* archive, int fd, std::vector<InputObject>& objects,
                  const std::string& path) {
    Elf_Cmd command = ELF_C_READ_MMAP;
    std::map<std::string, uint32_t> twins;
    while (true) {
        ElfHandle member(elf_begin(fd, command, archive));
        if (!member) break;
        Elf_Arhdr* header = elf_getarhdr(member.get());
        if (!header) fail("{}: {}", path, elf_errmsg(elf_errno()));
        std::string name = header->ar_name ? header->ar_name : "";
        if (name != "/" && name != "//" && name != "/SYM64/") {
            read_elf(member.get(), objects, path, name, ++twins[name]);
        }
        command = elf_next(member.get());
    }
}

}  // namespace

std::vector<InputObject> read_objects(const std::vector<std::string>& paths) {
    elf_version(EV_CURRENT);
    std::vector<InputObject> objects;
    for (const std::string& path : paths) {
        int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) fail("{}: {}", path, strerror(errno));
        struct Closer {
            int fd;
            ~Closer() { close(fd); }
        } closer{fd};
        struct stat status;
        if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) fail("{}: not a file", path);
        ElfHandle elf(elf_begin(fd, ELF_C_READ_MMAP, nullptr));
        if (!elf) fail("{}: {}", path, elf_errmsg(elf_errno()));
        if (elf_kind(elf.get()) == ELF_K_AR) {
            read_archive(elf.get(), fd, objects, path);
        } else {
            read_elf(elf.get(), objects, path, "", 1);
        }
    }
    if (objects.empty()) fail("no objects given");
    return objects;
}

InputObject read_object(const std::vector<uint8_t>& bytes, const std::string& name) {
    elf_version(EV_CURRENT);
    std::vector<char> copy(bytes.begin(), bytes.end());
    ElfHandle elf(elf_memory(copy.data(), copy.size()));
    if (!elf) fail("{}: {}", name, elf_errmsg(elf_errno()));
    std::vector<InputObject> objects;
    read_elf(elf.get(), objects, name, "", 1);
    return std::move(objects.front());
}

}  // namespace sgxdl::front
