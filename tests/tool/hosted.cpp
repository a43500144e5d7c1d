#include "tests/tool/hosted.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "enclave/hosted/hosted_platform.hpp"
#include "tests/tool/support.hpp"
#include "tool/front/bundle.hpp"

namespace sgxdl::test {

struct HostedLoader::State {
    Platform platform;
    Loader loader{platform};
    std::set<std::string> names;
    std::vector<Import> imports;
};

HostedLoader::HostedLoader(const std::vector<std::vector<uint8_t>>& bundles)
    : state_(std::make_unique<State>()) {
    for (const std::vector<uint8_t>& bytes : bundles) {
        front::Bundle bundle = front::open_bundle(bytes, "bundle");
        for (const front::Symbol& symbol : bundle.image.symbols) {
            if (!symbol.defined()) state_->names.insert(symbol.name);
        }
    }
    for (const std::string& name : state_->names) {
        void* address = dlsym(RTLD_DEFAULT, name.c_str());
        if (!address) continue;
        state_->imports.push_back({name.c_str(), reinterpret_cast<uintptr_t>(address), true});
    }
    LoaderConfig config{};
    config.trust.product = "test-product";
    const front::PublicKey& key = vendor_key().public_key;
    memcpy(config.trust.vendor_key, key.data(), key.size());
    config.imports = state_->imports;
    auto ready = state_->loader.init(config);
    EXPECT_TRUE(ready) << ready.error().context;
}

HostedLoader::~HostedLoader() = default;

Progress HostedLoader::take(const std::vector<uint8_t>& bundle) {
    Loader& loader = state_->loader;
    sgxdl_bundle_header header;
    memcpy(&header, bundle.data(), sizeof header);
    auto failed = [](const Error& error) {
        ADD_FAILURE() << code_text(error.code) << ": " << error.context;
        return Progress{};
    };
    auto begun = loader.begin_bundle(header, {});
    if (!begun) return failed(begun.error());
    auto fed = loader.feed(std::span(bundle).subspan(sizeof header));
    if (!fed) return failed(fed.error());
    while (true) {
        auto progress = loader.step();
        if (!progress) return failed(progress.error());
        if (progress->done) return *progress;
    }
}

int HostedLoader::entry() {
    Loader& loader = state_->loader;
    auto pinned = loader.pin();
    if (!pinned) {
        ADD_FAILURE() << pinned.error().context;
        return -1;
    }
    auto function = reinterpret_cast<int (*)()>(loader.symbol("test-module", "entry"));
    if (!function) ADD_FAILURE() << "no entry()";
    int result = function ? function() : -1;
    loader.unpin();
    return result;
}

}  // namespace sgxdl::test
