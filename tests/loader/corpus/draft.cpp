#include "tests/loader/corpus/draft.hpp"

#include <sodium.h>

#include <cstring>
#include <stdexcept>

namespace sgxdl::test {

Draft::Draft(const std::vector<uint8_t>& bundle) {
    memcpy(&header, bundle.data(), sizeof header);
    payload.assign(bundle.begin() + sizeof header, bundle.end());
}

uint32_t Draft::sections() {
    return elf().e_shnum;
}

Elf64_Shdr& Draft::section(uint32_t index) {
    return at<Elf64_Shdr>(elf().e_shoff + index * sizeof(Elf64_Shdr));
}

std::string Draft::text(uint32_t string_table, uint32_t offset) {
    return reinterpret_cast<const char*>(&payload.at(section(string_table).sh_offset + offset));
}

uint32_t Draft::find(const std::string& name) {
    for (uint32_t i = 1; i < sections(); i++) {
        if (text(elf().e_shstrndx, section(i).sh_name) == name) return i;
    }
    throw std::runtime_error("no section " + name);
}

uint32_t Draft::symbols() {
    return static_cast<uint32_t>(section(".symtab").sh_size / sizeof(Elf64_Sym));
}

Elf64_Sym& Draft::symbol(uint32_t index) {
    return at<Elf64_Sym>(section(".symtab").sh_offset + index * sizeof(Elf64_Sym));
}

uint32_t Draft::find_symbol(const std::string& name) {
    for (uint32_t i = 1; i < symbols(); i++) {
        if (text(find(".strtab"), symbol(i).st_name) == name) return i;
    }
    throw std::runtime_error("no symbol " + name);
}

Elf64_Rela& Draft::rela(const std::string& name, uint32_t index) {
    return at<Elf64_Rela>(section(".rela" + name).sh_offset + index * sizeof(Elf64_Rela));
}

Elf64_Rela& Draft::rela_to(const std::string& name, const std::string& symbol) {
    const uint64_t count = section(".rela" + name).sh_size / sizeof(Elf64_Rela);
    for (uint32_t i = 0; i < count; i++) {
        if (ELF64_R_SYM(rela(name, i).r_info) == find_symbol(symbol)) return rela(name, i);
    }
    throw std::runtime_error(name + " has no relocation against " + symbol);
}

uint32_t& Draft::group_word(uint32_t index) {
    return at<uint32_t>(section(".group").sh_offset + index * 4);
}

uint64_t Draft::append(const std::vector<uint8_t>& bytes) {
    while (payload.size() % 8)
        payload.push_back(0);
    const uint64_t offset = payload.size();
    payload.insert(payload.end(), bytes.begin(), bytes.end());
    return offset;
}

void Draft::grow(Elf64_Shdr& section, const void* entry, size_t size) {
    const uint64_t headers = elf().e_shoff;
    const uint64_t self = static_cast<uint64_t>(reinterpret_cast<uint8_t*>(&section) - &payload[0]);
    std::vector<uint8_t> bytes(
        payload.begin() + static_cast<ptrdiff_t>(section.sh_offset),
        payload.begin() + static_cast<ptrdiff_t>(section.sh_offset + section.sh_size));
    const auto* more = static_cast<const uint8_t*>(entry);
    bytes.insert(bytes.end(), more, more + size);
    const uint64_t offset = append(bytes);
    auto& moved = at<Elf64_Shdr>(self);
    moved.sh_offset = offset;
    moved.sh_size = bytes.size();
    if (elf().e_shoff != headers) throw std::runtime_error("section headers moved");
}

uint32_t Draft::add_name(const std::string& name) {
    const auto offset = static_cast<uint32_t>(section(".strtab").sh_size);
    grow(section(".strtab"), name.c_str(), name.size() + 1);
    return offset;
}

uint32_t Draft::add_symbol(const Elf64_Sym& symbol) {
    grow(section(".symtab"), &symbol, sizeof symbol);
    return symbols() - 1;
}

uint32_t Draft::add_section(const Elf64_Shdr& added) {
    std::vector<uint8_t> headers(
        payload.begin() + static_cast<ptrdiff_t>(elf().e_shoff),
        payload.begin() + static_cast<ptrdiff_t>(elf().e_shoff + sections() * sizeof added));
    const auto* more = reinterpret_cast<const uint8_t*>(&added);
    headers.insert(headers.end(), more, more + sizeof added);
    const uint64_t offset = append(headers);
    elf().e_shoff = offset;
    return elf().e_shnum++;
}

void Draft::rename(const std::string& name, const std::string& to) {
    const uint32_t index = find_symbol(name);
    const uint32_t text = add_name(to);
    symbol(index).st_name = text;
}

std::vector<uint8_t> Draft::sealed(const front::SecretKey& key, Seal how) {
    if (how == Seal::all) {
        header.payload_size = payload.size();
        crypto_generichash(header.payload_digest, sizeof header.payload_digest, payload.data(),
                           payload.size(), nullptr, 0);
    }
    if (how != Seal::none) {
        uint8_t public_key[32], secret_key[64];
        crypto_sign_seed_keypair(public_key, secret_key, key.seed.data());
        crypto_sign_detached(header.signature, nullptr, reinterpret_cast<uint8_t*>(&header),
                             SGXDL_BUNDLE_SIGNED_SIZE, secret_key);
    }
    std::vector<uint8_t> bundle(reinterpret_cast<uint8_t*>(&header),
                                reinterpret_cast<uint8_t*>(&header) + sizeof header);
    bundle.insert(bundle.end(), payload.begin(), payload.end());
    return bundle;
}

}  // namespace sgxdl::test
