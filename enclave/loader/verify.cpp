#include "enclave/loader/verify.hpp"

#include <sodium/crypto_sign.h>
#include <sodium/utils.h>

#include "enclave/loader/operation.hpp"

namespace sgxdl {

namespace {

// A fixed-size name: not empty, NUL-terminated, printable, NUL-padded.
bool good_name(const char (&name)[SGXDL_BUNDLE_NAME_SIZE]) {
    size_t length = 0;
    while (length < sizeof name && name[length] > ' ' && name[length] < 127)
        ++length;
    if (length == 0 || length == sizeof name) return false;
    for (size_t i = length; i < sizeof name; ++i) {
        if (name[i]) return false;
    }
    return true;
}

bool all_zero(const uint8_t* bytes, size_t size) {
    uint8_t any = 0;
    for (size_t i = 0; i < size; ++i)
        any |= bytes[i];
    return any == 0;
}

}  // namespace

Result<void> check_header(const Core& core, const sgxdl_bundle_header& h) {
    if (memcmp(h.magic, SGXDL_BUNDLE_MAGIC, sizeof h.magic) != 0)
        return make_error(Code::bad_bundle, "magic");
    if (h.format != SGXDL_BUNDLE_FORMAT)
        return make_error(Code::bad_bundle, "format %u, this loader knows %u",
                          static_cast<uint64_t>(h.format),
                          static_cast<uint64_t>(SGXDL_BUNDLE_FORMAT));
    if (h.header_size != sizeof h)
        return make_error(Code::bad_bundle, "header size %u", static_cast<uint64_t>(h.header_size));
    const uint8_t* bytes = reinterpret_cast<const uint8_t*>(&h);
    if (crypto_sign_verify_detached(h.signature, bytes, SGXDL_BUNDLE_SIGNED_SIZE,
                                    core.config.trust.vendor_key) != 0)
        return make_error(Code::bad_signature);
    // From here on the vendor said it; mistakes of the vendor still get a clear word.
    if (h.kind != SGXDL_BUNDLE_MODULE && h.kind != SGXDL_BUNDLE_PATCH)
        return make_error(Code::bad_bundle, "kind %u", static_cast<uint64_t>(h.kind));
    if (h.flags & ~static_cast<uint32_t>(SGXDL_BUNDLE_KNOWN_FLAGS))
        return make_error(
            Code::bad_bundle, "flags %x that this loader does not know",
            static_cast<uint64_t>(h.flags & ~static_cast<uint32_t>(SGXDL_BUNDLE_KNOWN_FLAGS)));
    if (!all_zero(h.reserved, sizeof h.reserved))
        return make_error(Code::bad_bundle, "reserved bytes are not zero");
    if (!good_name(h.product) || !good_name(h.module) || !good_name(h.version))
        return make_error(Code::bad_bundle, "product, module or version name");
    if (std::string_view(h.product) != core.config.trust.product)
        return make_error(Code::wrong_product, "it is for '%s', this is '%s'", h.product,
                          core.config.trust.product);
    const uint64_t floor = core.floor_of(h.module);
    if (h.security_version < floor)
        return make_error(Code::below_floor, "'%s' %s has %u, the floor is %u", h.module, h.version,
                          h.security_version, floor);
    if (h.kind == SGXDL_BUNDLE_MODULE && !all_zero(h.predecessor, sizeof h.predecessor))
        return make_error(Code::bad_bundle, "a module with a predecessor");
    if (h.payload_size > core.config.max_bundle_size)
        return make_error(Code::too_large, "payload of %u bytes, the limit is %u", h.payload_size,
                          static_cast<uint64_t>(core.config.max_bundle_size));
    if (h.payload_size == 0) return make_error(Code::truncated, "empty payload");
    return {};
}

void bundle_digest(const sgxdl_bundle_header& header, uint8_t digest[32]) {
    crypto_generichash(digest, 32, reinterpret_cast<const uint8_t*>(&header),
                       SGXDL_BUNDLE_SIGNED_SIZE, nullptr, 0);
}

Result<bool> Operation::verify(Budget&) {
    const sgxdl_bundle_header& header = bundle_->header;
    if (bundle_->received != header.payload_size)
        return make_error(Code::truncated, "%u of %u bytes of payload", bundle_->received,
                          header.payload_size);
    uint8_t digest[sizeof header.payload_digest];
    crypto_generichash_final(&bundle_->hash, digest, sizeof digest);
    if (sodium_memcmp(digest, header.payload_digest, sizeof digest) != 0)
        return make_error(Code::bad_digest, "'%s' %s", header.module, header.version);
    return true;
}

}  // namespace sgxdl
