#include "bench/hosted.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "bench/report.hpp"
#include "tool/front/bundle.hpp"

// The platform's commit functions are linked through these (ld --wrap, see CMakeLists.txt), so that
// the time spent in them is known without a clock in the loader. A member function and a free one
// with the object as its first parameter are called in the same way (Itanium C++ ABI).
#define SGXDL_COMMIT_DATA "_ZN5sgxdl8Platform11commit_dataEmm"
#define SGXDL_COMMIT_COPY "_ZN5sgxdl8Platform11commit_copyEmPKvmNS_7PageUseE"

namespace sgxdl::bench {

static double commit_ms = 0;

// Defined by the platform and, as wrapped_*, below.
Result<void> real_commit_data(Platform*, uintptr_t, size_t) __asm__("__real_" SGXDL_COMMIT_DATA);
Result<void> real_commit_copy(Platform*, uintptr_t, const void*, size_t,
                              PageUse) __asm__("__real_" SGXDL_COMMIT_COPY);
Result<void> wrapped_commit_data(Platform*, uintptr_t, size_t) __asm__("__wrap_" SGXDL_COMMIT_DATA);
Result<void> wrapped_commit_copy(Platform*, uintptr_t, const void*, size_t,
                                 PageUse) __asm__("__wrap_" SGXDL_COMMIT_COPY);

Result<void> wrapped_commit_data(Platform* platform, uintptr_t address, size_t count) {
    const auto begin = Clock::now();
    auto result = real_commit_data(platform, address, count);
    commit_ms += ms_since(begin);
    return result;
}

Result<void> wrapped_commit_copy(Platform* platform, uintptr_t address, const void* source,
                                 size_t count, PageUse use) {
    const auto begin = Clock::now();
    auto result = real_commit_copy(platform, address, source, count, use);
    commit_ms += ms_since(begin);
    return result;
}

std::vector<uint8_t> read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) throw std::runtime_error("cannot read " + path);
    return {std::istreambuf_iterator<char>(in), {}};
}

namespace {

void check(const Result<void>& result, const char* what) {
    if (result) return;
    throw std::runtime_error(std::string(what) + ": " + code_text(result.error().code) + ": " +
                             result.error().context);
}

}  // namespace

Hosted::Hosted(std::span<const uint8_t> bundle, std::span<const uint8_t, 32> vendor_key)
    : platform_(256u << 20, true) {
    front::initialise();
    const front::Bundle opened = front::open_bundle(bundle, "bundle");
    product_ = opened.info.product;
    // Near the arena, which lies below 2 GiB, so that data references reach.
    void* const dummy = mmap(nullptr, page_size, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (dummy == MAP_FAILED) throw std::runtime_error("no memory below 2 GiB");
    for (const front::Symbol& symbol : opened.image.symbols) {
        if (!symbol.defined() && symbol.type != front::SymbolType::section)
            names_.push_back(symbol.name);
    }
    std::ranges::sort(names_);
    for (const std::string& name : names_)
        imports_.push_back({name.c_str(), reinterpret_cast<uintptr_t>(dummy), true});
    LoaderConfig config{.trust = {.product = product_.c_str(), .vendor_key = {}},
                        .imports = imports_};
    std::ranges::copy(vendor_key, config.trust.vendor_key);
    check(loader_.init(config), "the loader");
}

LoadTimes Hosted::load(std::span<const uint8_t> bundle) {
    LoadTimes times;
    sgxdl_bundle_header header;
    if (bundle.size() < sizeof header) throw std::runtime_error("no bundle");
    memcpy(&header, bundle.data(), sizeof header);
    const std::span<const uint8_t> payload = bundle.subspan(sizeof header);
    commit_ms = 0;
    const auto begin = Clock::now();
    check(loader_.begin_bundle(header, {}), "begin");
    check(loader_.feed(payload), "feed");
    Stage stage = Stage::receiving;
    times.verify = ms_since(begin);
    for (;;) {
        const auto slice = Clock::now();
        const double commits = commit_ms;
        auto progress = loader_.step();
        const double took = ms_since(slice);
        if (!progress) check(progress.error(), "load");
        // The stage that had been reached when the slice began says what it did.
        switch (stage) {
            case Stage::receiving:
                times.verify += took;
                break;
            case Stage::verified:
                times.decode += took;
                break;
            default:
                times.link += took - (commit_ms - commits);
                break;
        }
        stage = progress->stage;
        times.progress = *progress;
        if (progress->done) break;
    }
    times.total = ms_since(begin);
    times.commit = commit_ms;
    return times;
}

}  // namespace sgxdl::bench
