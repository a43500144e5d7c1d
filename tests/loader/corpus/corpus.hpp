// Bundles that are broken on purpose: each is a good one with one thing changed, sealed again with
// the test's key unless the seal is the point. Platform-free: the hosted tests and the enclave's
// tests feed the same bundles to the same core.
#pragma once

#include <string>
#include <vector>

#include "enclave/loader/result.hpp"
#include "tool/front/bundle.hpp"

namespace sgxdl::test {

struct Broken {
    std::string name;
    std::vector<uint8_t> bundle;
    std::vector<char> names;  // to ask for
    Code code = Code::ok;
    std::string text;  // must stand in the error's context
};

struct Corpus {
    // Loaded before anything else; needs the imports of relocation_cases.hpp. While it is at this
    // state, `int run(int)` answers `answers[x]` for x from 0 to 5.
    std::vector<uint8_t> base;  // module "m"
    std::vector<int> answers;
    // A good patch of it that may be rolled back. Apply it and roll it back once before comparing
    // memory: the first patch of a module makes lists that stay.
    std::vector<uint8_t> patch;
    std::vector<Broken> broken;
};

// Compiles with gcc. Throws on trouble.
Corpus make_corpus(const front::SecretKey& key, const std::string& product);

}  // namespace sgxdl::test
