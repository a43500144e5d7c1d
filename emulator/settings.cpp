#include "emulator/settings.hpp"

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace sgxemu {

namespace {

// Digits and one of K, M, G; 0 when it is not that.
size_t parse_size(const char* text) {
    if (*text < '0' || *text > '9') return 0;
    char* end = nullptr;
    const unsigned long long number = std::strtoull(text, &end, 10);
    constexpr char units[] = "KMG";
    const char* unit = *end != 0 ? std::strchr(units, *end) : nullptr;
    if (unit == nullptr) return *end == 0 ? number : 0;
    const auto shift = static_cast<unsigned int>(10 * (unit - units + 1));
    if (end[1] != 0 || number > SIZE_MAX >> shift) return 0;
    return number << shift;
}

}  // namespace

const char* read_settings(MachineConfig& machine) {
    MachineConfig config = machine;
    if (const char* text = std::getenv("SGXEMU_EPC_SIZE")) {
        const size_t pages = parse_size(text) / 4096;
        if (pages < min_epc_pages)
            return "SGXEMU_EPC_SIZE must be a size such as 64M, at least 256K";
        config.epc_pages = pages;
    }
    if (const char* text = std::getenv("SGXEMU_SGX")) {
        if (std::strcmp(text, "1") != 0 && std::strcmp(text, "2") != 0)
            return "SGXEMU_SGX must be 1 or 2";
        config.sgx2 = *text == '2';
    }
    if (const char* text = std::getenv("SGXEMU_ENTRY")) {
        if (std::strcmp(text, "trap") != 0 && std::strcmp(text, "fast") != 0)
            return "SGXEMU_ENTRY must be trap or fast";
    }
    if (const char* text = std::getenv("SGXEMU_STRICT")) {
        if (std::strcmp(text, "0") != 0 && std::strcmp(text, "1") != 0)
            return "SGXEMU_STRICT must be 0 or 1";
        config.strict = *text == '1';
    }
    machine = config;
    return nullptr;
}

}  // namespace sgxemu
