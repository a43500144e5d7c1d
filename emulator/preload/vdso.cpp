// An ELF image without code: its symbols point, relative to its own base, to the kernel's vDSO and
// to the emulator's entry function.
//
// Readers of a vDSO know it by one PT_LOAD, PT_DYNAMIC, DT_HASH, DT_SYMTAB, DT_STRTAB and, some, by
// symbol versions (tools/testing/selftests/vDSO/parse_vdso.c); others by the sections .dynsym and
// .dynstr. Addresses are image base plus st_value, modulo 2^64. All tables are at equal file offset
// and address.
#include "emulator/preload/vdso.hpp"

#include <elf.h>
#include <link.h>
#include <sys/auxv.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "emulator/host.hpp"
#include "emulator/preload/real.hpp"
#include "emulator/sgxemu.hpp"

namespace sgxemu::preload {

namespace {

// glibc's type of getauxval's table.
using AuxEntry = Elf64_auxv_t;

struct Tables {
    uint64_t base = 0;
    const Elf64_Sym* symbols = nullptr;
    const char* strings = nullptr;
    size_t string_size = 0;
    const Elf64_Word* hash = nullptr;  // hash[1] is the number of symbols
    const Elf64_Half* versions = nullptr;
    const Elf64_Verdef* definitions = nullptr;
    size_t definition_count = 0;
};

// The tables of the kernel's vDSO; `symbols` is null when there is none.
Tables read_kernel_vdso(uint64_t base) {
    Tables t;
    if (base == 0) return t;
    const auto* header = reinterpret_cast<const Elf64_Ehdr*>(base);
    const auto* segments = reinterpret_cast<const Elf64_Phdr*>(base + header->e_phoff);
    const Elf64_Dyn* dynamic = nullptr;
    uint64_t bias = base;
    for (size_t i = 0; i < header->e_phnum; ++i) {
        if (segments[i].p_type == PT_LOAD) bias = base + segments[i].p_offset - segments[i].p_vaddr;
        if (segments[i].p_type == PT_DYNAMIC) {
            dynamic = reinterpret_cast<const Elf64_Dyn*>(base + segments[i].p_offset);
        }
    }
    if (dynamic == nullptr) return t;
    for (; dynamic->d_tag != DT_NULL; ++dynamic) {
        const uint64_t at = bias + dynamic->d_un.d_ptr;
        switch (dynamic->d_tag) {
            case DT_SYMTAB:
                t.symbols = reinterpret_cast<const Elf64_Sym*>(at);
                break;
            case DT_STRTAB:
                t.strings = reinterpret_cast<const char*>(at);
                break;
            case DT_STRSZ:
                t.string_size = dynamic->d_un.d_val;
                break;
            case DT_HASH:
                t.hash = reinterpret_cast<const Elf64_Word*>(at);
                break;
            case DT_VERSYM:
                t.versions = reinterpret_cast<const Elf64_Half*>(at);
                break;
            case DT_VERDEF:
                t.definitions = reinterpret_cast<const Elf64_Verdef*>(at);
                break;
            case DT_VERDEFNUM:
                t.definition_count = dynamic->d_un.d_val;
                break;
            default:
                break;
        }
    }
    t.base = bias;
    if (t.hash == nullptr || t.strings == nullptr) t.symbols = nullptr;
    return t;
}

// System V ABI, "Hash Table".
uint32_t elf_hash(const char* name) {
    uint32_t h = 0;
    for (; *name != 0; ++name) {
        h = (h << 4) + static_cast<unsigned char>(*name);
        const uint32_t high = h & 0xf0000000;
        h = (h ^ (high >> 24)) & ~high;
    }
    return h;
}

// Bytes of the version definitions, which are a chain of relative offsets.
size_t definition_bytes(const Tables& t) {
    const auto* begin = reinterpret_cast<const uint8_t*>(t.definitions);
    const uint8_t* at = begin;
    size_t end = 0;
    for (size_t i = 0; i < t.definition_count; ++i) {
        Elf64_Verdef definition;
        std::memcpy(&definition, at, sizeof(definition));
        const uint8_t* aux = at + definition.vd_aux;
        for (size_t j = 0; j < definition.vd_cnt; ++j) {
            Elf64_Verdaux entry;
            std::memcpy(&entry, aux, sizeof(entry));
            end = static_cast<size_t>(aux - begin) + sizeof(entry);
            aux += entry.vda_next;
        }
        at += definition.vd_next;
    }
    return end;
}

class ImageBuilder {
 public:
    explicit ImageBuilder(const Tables& kernel) : kernel_(kernel) {}

    // The image's size; then place() it at its final address.
    std::vector<uint8_t> build(uint64_t address) {
        image_.clear();
        image_.resize(sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr));
        make_symbols(address);
        const uint64_t strings = put(strings_.data(), strings_.size());
        const uint64_t symbols = put(symbols_.data(), symbols_.size() * sizeof(Elf64_Sym));
        const auto hash_words = make_hash();
        const size_t hash_size = hash_words.size() * sizeof(Elf64_Word);
        const uint64_t hash = put(hash_words.data(), hash_size);
        std::vector<Elf64_Dyn> dynamic = {
            {DT_HASH, {hash}},
            {DT_STRTAB, {strings}},
            {DT_SYMTAB, {symbols}},
            {DT_STRSZ, {strings_.size()}},
            {DT_SYMENT, {sizeof(Elf64_Sym)}},
        };
        if (kernel_.versions != nullptr && kernel_.definitions != nullptr) {
            dynamic.push_back(
                {DT_VERSYM, {put(versions_.data(), versions_.size() * sizeof(Elf64_Half))}});
            dynamic.push_back({DT_VERDEF, {put(kernel_.definitions, definition_bytes(kernel_))}});
            dynamic.push_back({DT_VERDEFNUM, {kernel_.definition_count}});
        }
        dynamic.push_back({DT_NULL, {0}});
        const size_t dynamic_size = dynamic.size() * sizeof(Elf64_Dyn);
        const uint64_t dynamic_at = put(dynamic.data(), dynamic_size);
        add_sections(
            {{".dynsym", SHT_DYNSYM, symbols, symbols_.size() * sizeof(Elf64_Sym),
              sizeof(Elf64_Sym), 2, 1},
             {".dynstr", SHT_STRTAB, strings, strings_.size(), 0, 0, 0},
             {".hash", SHT_HASH, hash, hash_size, sizeof(Elf64_Word), 1, 0},
             {".dynamic", SHT_DYNAMIC, dynamic_at, dynamic_size, sizeof(Elf64_Dyn), 2, 0}});
        write_headers(dynamic_at, dynamic_size);
        return image_;
    }

 private:
    uint64_t put(const void* bytes, size_t size) {
        image_.resize((image_.size() + 15) & ~size_t{15});
        const uint64_t at = image_.size();
        const auto* first = static_cast<const uint8_t*>(bytes);
        image_.insert(image_.end(), first, first + size);
        return at;
    }

    void make_symbols(uint64_t address) {
        symbols_.assign(1, Elf64_Sym{});
        versions_.assign(1, VER_NDX_LOCAL);
        strings_.assign(1, '\0');
        Elf64_Half version = VER_NDX_GLOBAL;
        if (kernel_.symbols != nullptr) {
            strings_.assign(kernel_.strings, kernel_.string_size);
            for (size_t i = 1; i < kernel_.hash[1]; ++i) {
                Elf64_Sym symbol = kernel_.symbols[i];
                const bool is_function = ELF64_ST_TYPE(symbol.st_info) == STT_FUNC ||
                                         ELF64_ST_TYPE(symbol.st_info) == STT_NOTYPE;
                if (symbol.st_shndx == SHN_UNDEF) continue;
                if (is_function) symbol.st_value += kernel_.base - address;
                symbols_.push_back(symbol);
                versions_.push_back(kernel_.versions != nullptr ? kernel_.versions[i] : version);
                if (is_function) version = versions_.back();
            }
        }
        Elf64_Sym entry{};
        entry.st_name = static_cast<Elf64_Word>(strings_.size());
        entry.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
        // Any section but SHN_UNDEF; code has none here.
        entry.st_shndx = 1;
        entry.st_value = reinterpret_cast<uint64_t>(&sgxemu_enter_enclave) - address;
        strings_.append("__vdso_sgx_enter_enclave");
        strings_.push_back('\0');
        symbols_.push_back(entry);
        versions_.push_back(version);
    }

    std::vector<Elf64_Word> make_hash() const {
        constexpr Elf64_Word buckets = 4;
        const auto count = static_cast<Elf64_Word>(symbols_.size());
        std::vector<Elf64_Word> table(2 + buckets + count);
        table[0] = buckets;
        table[1] = count;
        for (Elf64_Word i = 1; i < count; ++i) {
            const uint32_t bucket = elf_hash(strings_.data() + symbols_[i].st_name) % buckets;
            table[2 + buckets + i] = table[2 + bucket];
            table[2 + bucket] = i;
        }
        return table;
    }

    struct Section {
        const char* name;
        Elf64_Word type;
        uint64_t at, size, entry_size;
        Elf64_Word link, info;
    };

    // The section header table: none, these, .shstrtab.
    void add_sections(const std::vector<Section>& sections) {
        std::string names(1, '\0');
        std::vector<Elf64_Shdr> table(1);
        const auto add = [&](const Section& section, uint64_t flags) {
            Elf64_Shdr header{};
            header.sh_name = static_cast<Elf64_Word>(names.size());
            header.sh_type = section.type;
            header.sh_flags = flags;
            header.sh_addr = flags != 0 ? section.at : 0;
            header.sh_offset = section.at;
            header.sh_size = section.size;
            header.sh_link = section.link;
            header.sh_info = section.info;
            header.sh_addralign = 8;
            header.sh_entsize = section.entry_size;
            table.push_back(header);
            names += section.name;
            names.push_back('\0');
        };
        for (const Section& section : sections)
            add(section, SHF_ALLOC);
        add({".shstrtab", SHT_STRTAB, 0, 0, 0, 0, 0}, 0);
        table.back().sh_offset = put(names.data(), names.size());
        table.back().sh_size = names.size();
        section_count_ = table.size();
        sections_at_ = put(table.data(), table.size() * sizeof(Elf64_Shdr));
    }

    void write_headers(uint64_t dynamic_at, size_t dynamic_size) {
        Elf64_Ehdr header{};
        std::memcpy(header.e_ident, ELFMAG, SELFMAG);
        header.e_ident[EI_CLASS] = ELFCLASS64;
        header.e_ident[EI_DATA] = ELFDATA2LSB;
        header.e_ident[EI_VERSION] = EV_CURRENT;
        header.e_type = ET_DYN;
        header.e_machine = EM_X86_64;
        header.e_version = EV_CURRENT;
        header.e_phoff = sizeof(header);
        header.e_ehsize = sizeof(header);
        header.e_phentsize = sizeof(Elf64_Phdr);
        header.e_phnum = 2;
        header.e_shoff = sections_at_;
        header.e_shentsize = sizeof(Elf64_Shdr);
        header.e_shnum = static_cast<Elf64_Half>(section_count_);
        header.e_shstrndx = static_cast<Elf64_Half>(section_count_ - 1);
        Elf64_Phdr segments[2]{};
        segments[0].p_type = PT_LOAD;
        segments[0].p_flags = PF_R;
        segments[0].p_filesz = segments[0].p_memsz = image_.size();
        segments[0].p_align = 4096;
        segments[1].p_type = PT_DYNAMIC;
        segments[1].p_flags = PF_R;
        segments[1].p_offset = segments[1].p_vaddr = segments[1].p_paddr = dynamic_at;
        segments[1].p_filesz = segments[1].p_memsz = dynamic_size;
        segments[1].p_align = 8;
        std::memcpy(image_.data(), &header, sizeof(header));
        std::memcpy(image_.data() + sizeof(header), segments, sizeof(segments));
    }

    const Tables kernel_;
    std::vector<uint8_t> image_;
    std::vector<Elf64_Sym> symbols_;
    std::vector<Elf64_Half> versions_;
    std::string strings_;
    uint64_t sections_at_ = 0;
    size_t section_count_ = 0;
};

AuxEntry* find_auxv(char** environment) {
    if (environment == nullptr) return nullptr;
    while (*environment != nullptr)
        ++environment;
    return reinterpret_cast<AuxEntry*>(environment + 1);
}

unsigned long kernel_value(unsigned long type) {
    static const auto next = real<decltype(::getauxval)>("getauxval");
    return next(type);
}

// 0: no memory.
uint64_t make_image() {
    ImageBuilder builder(read_kernel_vdso(kernel_value(AT_SYSINFO_EHDR)));
    const size_t size = builder.build(0).size();
    void* at =
        host::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return 0;
    const auto address = reinterpret_cast<uint64_t>(at);
    const std::vector<uint8_t> image = builder.build(address);
    std::memcpy(at, image.data(), image.size());
    return host::mprotect(at, size, PROT_READ) == 0 ? address : 0;
}

uint64_t image_address() {
    static const uint64_t address = make_image();
    return address;
}

}  // namespace

bool replace_vdso(char** environment) {
    AuxEntry* entry = find_auxv(environment);
    if (entry == nullptr) return false;
    while (entry->a_type != AT_NULL && entry->a_type != AT_SYSINFO_EHDR)
        ++entry;
    // What the C library reads must be what was found here, or this is not the auxiliary vector.
    if (entry->a_type == AT_NULL || entry->a_un.a_val != kernel_value(AT_SYSINFO_EHDR)) {
        return false;
    }
    if (image_address() == 0) return false;
    entry->a_un.a_val = image_address();
    return true;
}

}  // namespace sgxemu::preload

// Constructors of other libraries run before this library's, and may ask already.
extern "C" unsigned long getauxval(unsigned long type) noexcept {
    using namespace sgxemu::preload;
    const unsigned long value = kernel_value(type);
    if (type != AT_SYSINFO_EHDR || value == 0) return value;
    return image_address() != 0 ? image_address() : value;
}
