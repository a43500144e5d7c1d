// The tool's reader of bundles and payloads (`inspect`, `diff`): the input is a payload; it is read
// bare and inside a bundle with a right digest.
#include <cstdio>
#include <cstdlib>

#include "fuzz/loader_fuzz.hpp"
#include "tool/front/bundle.hpp"
#include "tool/front/elf_file.hpp"
#include "tool/front/error.hpp"

using namespace sgxdl;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    front::initialise();
    const std::span<const uint8_t> payload{data, size};
    bool readable = true;
    try {
        front::Image image = front::read_elf(payload, "payload");
        const std::vector<uint8_t> written = front::write_elf(image);
        fuzz::require(front::write_elf(front::read_elf(written, "written")) == written,
                      "a payload that was read back is written differently");
    } catch (const front::Error&) {
        readable = false;
    }
    const sgxdl_bundle_header header = fuzz::signed_header(SGXDL_BUNDLE_MODULE, "fuzz", payload);
    std::vector<uint8_t> bundle(reinterpret_cast<const uint8_t*>(&header),
                                reinterpret_cast<const uint8_t*>(&header + 1));
    bundle.insert(bundle.end(), data, data + size);
    try {
        front::open_bundle(bundle, "bundle");
        fuzz::require(readable, "readable in a bundle but not alone");
    } catch (const front::Error&) {
        fuzz::require(!readable || size == 0, "readable alone but not in a bundle");
    }
    return 0;
}
