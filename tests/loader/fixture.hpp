// A loader in this process, and small C programs compiled, packed and loaded into it.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "enclave/hosted/hosted_platform.hpp"
#include "enclave/loader/loader.hpp"
#include "tests/loader/workspace.hpp"
#include "tool/front/bundle.hpp"

namespace sgxdl::test {

// What an operation ended with: an error, or the progress of a finished one.
struct Outcome {
    Error error;
    Progress progress;
    bool ok() const { return error.code == Code::ok; }
    std::string text() const { return std::string(code_text(error.code)) + ": " + error.context; }
};

// What must be equal before and after an operation that failed.
struct Footprint {
    size_t pages, heap_blocks;
    uint32_t stubs, modules, generations;
    uint64_t units;
    bool operator==(const Footprint&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Footprint& f);

class LoaderTest : public ::testing::Test {
 protected:
    LoaderTest() : LoaderTest(256u << 20, false) {}
    LoaderTest(size_t arena, bool low);
    ~LoaderTest() override;

    // A signed bundle of C source, as `pack` makes it.
    std::vector<uint8_t> module(const std::string& name, const std::string& source,
                                const std::string& flags = default_flags);
    std::vector<uint8_t> module_of(const std::string& name,
                                   const std::vector<std::string>& objects);
    // A signed patch: the whole of `source`'s units become definitions of the patch. (The differ
    // has its own tests; the loader must cope with any patch that is in normal form.)
    std::vector<uint8_t> patch(const std::string& name, const std::vector<uint8_t>& base,
                               const std::string& source,
                               uint32_t flags = SGXDL_BUNDLE_ROLLBACK_ALLOWED,
                               const std::vector<std::string>& only = {},
                               const std::vector<std::string>& removed = {},
                               uint64_t security_version = 1,
                               const std::string& compile_flags = default_flags);

    Outcome apply(const std::vector<uint8_t>& bundle, const std::vector<std::string>& names = {});
    // The same with the list of names as it crosses the border.
    Outcome apply_raw(const std::vector<uint8_t>& bundle, const std::vector<char>& names);
    Outcome extend(const std::string& module, const std::vector<std::string>& names);
    Outcome rollback(const std::string& module);
    Outcome unload(const std::string& module, const std::vector<std::string>& names = {},
                   bool force = false);
    void reclaim_all();
    Footprint footprint();

    template <class F>
    F* symbol(const char* module, const char* name) {
        return reinterpret_cast<F*>(loader().symbol(module, name));
    }
    // Pins while it lives: what an ecall does.
    struct Pin {
        explicit Pin(Loader& l) : loader(l) { EXPECT_TRUE(loader.pin()); }
        ~Pin() { loader.unpin(); }
        Loader& loader;
    };
    Loader& loader() { return *loader_; }

    Workspace work;
    front::SecretKey key;
    Platform platform;
    std::vector<std::string> log;

 private:
    std::map<front::Digest, std::set<std::string>> states_;  // names that a patched module has
    Outcome finish();
    std::unique_ptr<Loader> loader_;
};

}  // namespace sgxdl::test
