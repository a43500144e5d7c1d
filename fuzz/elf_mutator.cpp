// A mutator that knows where an ELF file keeps its numbers: half of the mutations set one field of
// the file header, of a section header, of a symbol or of a relocation to a value that is likely to
// hurt, the others are libFuzzer's own. Linked into the targets whose input is (plan and) an ELF
// file; SGXDL_FUZZ_PREFIX is the number of bytes in front of it.
#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

struct FieldPlace {
    size_t offset, width;
};

template <class T>
T load(const uint8_t* at) {
    T value;
    memcpy(&value, at, sizeof value);
    return value;
}

// One field of an entry of the given kind.
FieldPlace any_field(uint32_t kind, std::minstd_rand& random) {
    static constexpr FieldPlace section[] = {{0, 4},  {4, 4},  {8, 8},  {16, 8}, {24, 8},
                                             {32, 8}, {40, 4}, {44, 4}, {48, 8}, {56, 8}};
    static constexpr FieldPlace symbol[] = {{0, 4}, {4, 1}, {5, 1}, {6, 2}, {8, 8}, {16, 8}};
    static constexpr FieldPlace relocation[] = {{0, 8}, {8, 4}, {12, 4}, {16, 8}};
    static constexpr FieldPlace word[] = {{0, 4}};
    switch (kind) {
        case SHT_NULL:
            return section[random() % 10];
        case SHT_SYMTAB:
            return symbol[random() % 6];
        case SHT_RELA:
            return relocation[random() % 4];
        default:
            return word[0];
    }
}

uint64_t nasty(uint64_t old, std::minstd_rand& random) {
    switch (random() % 8) {
        case 0:
            return 0;
        case 1:
            return ~uint64_t{0};
        case 2:
            return old + 1;
        case 3:
            return old - 1;
        case 4:
            return uint64_t{1} << (random() % 64);
        case 5:
            return old ^ (uint64_t{1} << (random() % 64));
        case 6:
            return random() % 64;
        default:
            return uint64_t{0} - (random() % 64);
    }
}

// True when a field was changed; false when this is no ELF file to speak of.
bool mutate_field(uint8_t* elf, size_t size, std::minstd_rand& random) {
    if (size < sizeof(Elf64_Ehdr) || memcmp(elf, ELFMAG, SELFMAG) != 0) return false;
    const uint64_t table = load<uint64_t>(elf + offsetof(Elf64_Ehdr, e_shoff));
    const uint64_t count = load<uint16_t>(elf + offsetof(Elf64_Ehdr, e_shnum));
    if (count == 0 || table > size || (size - table) / sizeof(Elf64_Shdr) < count) return false;
    uint8_t* const header = elf + table + (random() % count) * sizeof(Elf64_Shdr);
    size_t at, end = size;
    FieldPlace field;
    const uint32_t type = load<uint32_t>(header + offsetof(Elf64_Shdr, sh_type));
    if (random() % 3 == 0 || type == SHT_NULL || type == SHT_NOBITS) {
        field = any_field(SHT_NULL, random);
        at = static_cast<size_t>(header - elf);
    } else {
        const uint64_t offset = load<uint64_t>(header + offsetof(Elf64_Shdr, sh_offset));
        const uint64_t bytes = load<uint64_t>(header + offsetof(Elf64_Shdr, sh_size));
        const size_t entry = type == SHT_SYMTAB || type == SHT_RELA ? 24 : 4;
        if (offset > size || bytes > size - offset || bytes < entry) return false;
        field = any_field(type, random);
        at = offset + (random() % (bytes / entry)) * entry;
        end = offset + bytes;
    }
    at += field.offset;
    if (at > end || end - at < field.width) return false;
    uint64_t value = 0;
    memcpy(&value, elf + at, field.width);
    value = nasty(value, random);
    memcpy(elf + at, &value, field.width);
    return true;
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
    std::minstd_rand random(seed);
    if (size > SGXDL_FUZZ_PREFIX && random() % 2 == 0) {
        bool any = false;
        for (unsigned n = 1 + static_cast<unsigned>(random() % 3); n > 0; --n) {
            any |= mutate_field(data + SGXDL_FUZZ_PREFIX, size - SGXDL_FUZZ_PREFIX, random);
        }
        if (any) return size;
    }
    return LLVMFuzzerMutate(data, size, max_size);
}
