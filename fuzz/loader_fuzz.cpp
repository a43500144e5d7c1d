#include "fuzz/loader_fuzz.hpp"

#include <sodium.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace sgxdl::fuzz {

namespace {

constexpr size_t arena_size = 64u << 20;  // bytes
constexpr uint8_t seed[32] = {'s', 'g', 'x', '-', 'd', 'l', ' ', 'f', 'u', 'z', 'z'};

struct Key {
    uint8_t public_key[32];
    uint8_t secret_key[64];
    Key() {
        require(sodium_init() >= 0, "libsodium");
        crypto_sign_seed_keypair(public_key, secret_key, seed);
    }
};
const Key& key() {
    static const Key key;
    return key;
}

// What modules import must be near the arena, which lies below 2 GiB so that R_X86_64_32 and 32S
// can succeed: the object lies there too. (The function may be far: there are veneers.)
int imported_function(int x) {
    return x;
}
uintptr_t imported_object() {
    static void* const page = mmap(nullptr, page_size, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    require(page != MAP_FAILED, "no memory below 2 GiB");
    return reinterpret_cast<uintptr_t>(page);
}

}  // namespace

void require(bool condition, const char* what) {
    if (condition) return;
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

Plan read_plan(const uint8_t* bytes) {
    return {.by_name = (bytes[0] & 1) != 0, .split = (bytes[0] & 2) != 0, .fail_after = bytes[1]};
}

std::span<const char> two_names() {
    static constexpr char names[] = "one\0two";
    return {names, sizeof names};
}

void sign(sgxdl_bundle_header& header, std::span<const uint8_t> payload) {
    header.payload_size = payload.size();
    crypto_generichash(header.payload_digest, sizeof header.payload_digest, payload.data(),
                       payload.size(), nullptr, 0);
    crypto_sign_detached(header.signature, nullptr, reinterpret_cast<const uint8_t*>(&header),
                         SGXDL_BUNDLE_SIGNED_SIZE, key().secret_key);
}

sgxdl_bundle_header signed_header(sgxdl_bundle_kind kind, const char* module,
                                  std::span<const uint8_t> payload, uint32_t flags) {
    sgxdl_bundle_header header{};
    memcpy(header.magic, SGXDL_BUNDLE_MAGIC, sizeof header.magic);
    header.format = SGXDL_BUNDLE_FORMAT;
    header.kind = kind;
    header.flags = flags;
    header.header_size = sizeof header;
    strcpy(header.product, "fuzz");
    strcpy(header.module, module);
    strcpy(header.version, "1");
    header.security_version = 1;
    sign(header, payload);
    return header;
}

void digest(const sgxdl_bundle_header& header, uint8_t out[32]) {
    crypto_generichash(out, 32, reinterpret_cast<const uint8_t*>(&header), SGXDL_BUNDLE_SIGNED_SIZE,
                       nullptr, 0);
}

Subject::Subject() : blocks_before_(Platform::heap_blocks()) {
    static const Import imports[] = {
        {"imported_function", reinterpret_cast<uintptr_t>(&imported_function), true},
        {"imported_object", imported_object(), false},
    };
    platform_ = new Platform(arena_size, true);
    loader_ = new Loader(*platform_);
    static LoaderConfig config;
    config.trust.product = "fuzz";
    memcpy(config.trust.vendor_key, key().public_key, sizeof config.trust.vendor_key);
    config.imports = imports;
    config.max_bundle_size = 16u << 20;
    config.stub_capacity = 4096;
    require(bool(loader_->init(config)), "the loader does not start");
    settle();
}

Subject::~Subject() {
    delete loader_;
    require(platform_->committed_pages() == 0, "pages are left when the loader is gone");
    delete platform_;
    require(Platform::heap_blocks() == blocks_before_,
            "heap blocks are left when the loader is gone");
}

Subject::Footprint Subject::footprint() {
    const LoaderInfo info = loader_->info();
    return {info.generation,        info.units_live,
            info.modules,           info.stubs,
            info.generations_live,  platform_->committed_pages(),
            Platform::heap_blocks()};
}

void Subject::reclaim_all() {
    while (loader_->reclaim()) {
    }
}

void Subject::settle() {
    reclaim_all();
    settled_ = footprint();
}

void Subject::require_settled(bool blocks_too) {
    Footprint now = footprint();
    if (!blocks_too) settled_.blocks = now.blocks;
    if (now == settled_) return;
    for (const auto& [when, f] : {std::pair{"before", settled_}, {"after", now}}) {
        fprintf(stderr,
                "fuzz: %s: generation %lu, %lu units, %u modules, %u stubs, %u live generations, "
                "%zu pages, %zu heap blocks\n",
                when, f.generation, f.units, f.modules, f.stubs, f.live, f.pages, f.blocks);
    }
    fprintf(stderr, "fuzz: the error was: %s: %s\n", code_text(error_.code), error_.context);
    require(false, "a failed operation left something behind");
}

bool Subject::run(const std::function<Result<void>()>& begin, std::span<const uint8_t> payload,
                  const Plan& plan) {
    for (int again = 0; again < 3; ++again) {
        if (attempt(begin, payload, plan)) return true;
        reclaim_all();
        require_settled(again == 2);
    }
    return false;
}

bool Subject::attempt(const std::function<Result<void>()>& begin, std::span<const uint8_t> payload,
                      const Plan& plan) {
    auto good = [this](const auto& result) {
        if (!result) error_ = result.error();
        return bool(result);
    };
    Platform::fail_after(plan.fail_after);
    bool ok = good(begin());
    const size_t half = plan.split ? payload.size() / 2 : payload.size();
    if (ok && half > 0) ok = good(loader_->feed(payload.first(half)));
    if (ok && half < payload.size()) ok = good(loader_->feed(payload.subspan(half)));
    while (ok) {
        auto progress = loader_->step();
        ok = good(progress);
        if (ok && progress->done) break;
    }
    Platform::fail_after(0);
    if (!ok) loader_->abandon();
    return ok;
}

}  // namespace sgxdl::fuzz
