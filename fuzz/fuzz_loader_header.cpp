// The loader core on bundle headers: the input's first 512 bytes are the header. It is tried as it
// is, which must fail (nobody but the key's owner can sign), and with the signature put right.
#include <cstring>

#include "fuzz/loader_fuzz.hpp"

using namespace sgxdl;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < SGXDL_BUNDLE_HEADER_SIZE) return 0;
    sgxdl_bundle_header header;
    memcpy(&header, data, sizeof header);
    const std::span<const uint8_t> payload{data + sizeof header, size - sizeof header};
    fuzz::Subject subject;
    auto begin = [&] { return subject.loader().begin_bundle(header, {}); };
    fuzz::require(!subject.run(begin, payload, {}), "a bundle that nobody signed was accepted");
    fuzz::sign(header, payload);
    subject.run(begin, payload, {});
    return 0;
}
