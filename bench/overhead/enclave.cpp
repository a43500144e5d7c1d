// The SQLite example's enclave, with a call that shows the code as it was loaded.
#include <algorithm>
#include <cstring>

#include "bench/overhead/peek.hpp"
#include "examples/sqlite/enclave/base.hpp"

namespace {

using namespace sgxdl::sqlite;

// A canonical stub is `jmp *%gs:disp32`: 65 ff 24 25 disp32. The table's entry is the address of
// the version that this call is pinned to.
const uint8_t* present_version(const void* stub) {
    static constexpr uint8_t opcode[] = {0x65, 0xff, 0x24, 0x25};
    if (stub == nullptr || std::memcmp(stub, opcode, sizeof opcode) != 0) return nullptr;
    uint32_t slot;
    std::memcpy(&slot, static_cast<const uint8_t*>(stub) + sizeof opcode, sizeof slot);
    const uint8_t* address;
    asm volatile("movq %%gs:(%1), %0" : "=r"(address) : "r"(uint64_t{slot}));
    return address;
}

sgxdl::Result<void> peek_code(std::span<const char> module, std::span<const char> function,
                              int64_t offset, sgxdl::OutBuffer<uint8_t>& bytes) {
    char module_text[65] = {}, function_text[65] = {};
    std::copy(module.begin(), module.end(), module_text);
    std::copy(function.begin(), function.end(), function_text);
    const uint8_t* const code = present_version(sgxdl_sym(module_text, function_text));
    if (code == nullptr) {
        return sgxdl::make_error(sgxdl::Code::no_such_symbol, "'%s' has no stub", function_text);
    }
    std::memcpy(bytes.storage.data(), code + offset, bytes.storage.size());
    bytes.count = bytes.storage.size();
    return {};
}

constexpr sgxdl::EcallRow rows[] = {
    sgxdl::bind<Speedtest, run_speedtest>(),
    sgxdl::bind<sgxdl::bench::PeekCode, peek_code>(),
};

}  // namespace

constinit const sgxdl::Application sgxdl::application = {.ecalls = rows, .start = nullptr};

void* sgxdl::sqlite::find(const char* module, const char* name) {
    return sgxdl_sym(module, name);
}
