// The loader core's own cases, once more inside an enclave: every relocation type, and every broken
// bundle of the corpus. The hosted platform runs the same tables in tests/loader.
#include <cstring>

#include "enclave/loader/result.hpp"
#include "tests/enclave/fixture.hpp"
#include "tests/loader/corpus/corpus.hpp"
#include "tests/loader/relocation_cases.hpp"
#include "tests/loader/workspace.hpp"
#include "tool/front/pack.hpp"

namespace sgxdl::test {
namespace {

struct Core : EnclaveTest {
    Core() : key(front::read_secret_key(SGXDL_TEST_KEY)) {}
    int64_t run(std::string_view module, int32_t argument) {
        const auto answer =
            enclave.call<CallLoaded>(with_nul(module), std::string_view("run", 4), argument);
        EXPECT_TRUE(answer) << answer.message();
        return answer ? answer.value : -1;
    }
    // The literal's NUL belongs to the parameter.
    std::string_view with_nul(std::string_view name) {
        kept_ = std::string(name);
        return {kept_.c_str(), kept_.size() + 1};
    }
    // Pages by count_pages(), stubs and linked copies by the loader's.
    struct Footprint {
        size_t pages, executable;
        uint32_t stubs, modules;
        uint64_t units;
        bool operator==(const Footprint&) const = default;
    };
    Footprint footprint() {
        enclave.reclaim_now();
        const auto info = enclave.info();
        EXPECT_TRUE(info) << info.message();
        const Pages pages = count_pages(enclave);
        return {pages.in_use, pages.executable, info.value.stubs, info.value.modules,
                info.value.units_live};
    }
    front::SecretKey key;
    Workspace work;

 private:
    std::string kept_;
};

std::ostream& operator<<(std::ostream& out, const Core::Footprint& f) {
    return out << "{pages " << f.pages << ", executable " << f.executable << ", stubs " << f.stubs
               << ", modules " << f.modules << ", units " << f.units << "}";
}

TEST_F(Core, EveryRelocationLeadsWhereItShouldOrSaysWhy) {
    for (const RelocationCase& c : relocation_cases) {
        SCOPED_TRACE(c.name);
        const front::PackOptions options{"test", c.name, "1.0", 1, key};
        const auto bundle = front::pack_objects({work.compile(c.file, c.source, c.flags)}, options);
        const host::OperationReport report = enclave.load_bundle(bundle);
        if (c.low) {
            // An enclave's arena lies above 2 GiB: nothing absolute of 32 bits reaches it.
            EXPECT_EQ(report.status, static_cast<Status>(Code::relocation_overflow))
                << report.message();
            EXPECT_NE(report.context.find("compile with -fPIE"), std::string::npos);
            continue;
        }
        ASSERT_TRUE(report) << report.message();
        EXPECT_EQ(run(c.name, 0), c.expected);
    }
}

TEST_F(Core, BrokenBundlesAreRefusedAndTheEnclaveAnswers) {
    SGXDL_NEED_EMULATOR(enclave);
    const Corpus corpus = make_corpus(key, "test");
    ASSERT_TRUE(enclave.load_bundle(corpus.base));
    ASSERT_TRUE(enclave.load_bundle(corpus.patch));
    ASSERT_TRUE(enclave.rollback("m"));
    const auto expect_answers = [&] {
        for (size_t x = 0; x < corpus.answers.size(); ++x)
            EXPECT_EQ(run("m", static_cast<int32_t>(x)), corpus.answers[x]) << x;
    };
    expect_answers();
    // The heap keeps a run of pages for each size that was ever asked for: a first pass makes them.
    size_t refused = 0;
    for (const bool first : {true, false}) {
        const Footprint before = footprint();
        refused = 0;
        for (const Broken& broken : corpus.broken) {
            // The host library announces names and sizes from what it has; a host that lies about
            // these is in tests/loader.
            if (!broken.names.empty() && broken.names.back() != '\0') continue;
            if (broken.bundle.size() < sizeof(sgxdl_bundle_header)) continue;
            SCOPED_TRACE(broken.name);
            std::vector<std::string> names;
            for (size_t at = 0; at < broken.names.size(); at += names.back().size() + 1)
                names.emplace_back(&broken.names[at]);
            const host::OperationReport report = enclave.load_bundle(broken.bundle, names);
            EXPECT_EQ(report.status, static_cast<Status>(broken.code)) << report.message();
            EXPECT_NE(report.context.find(broken.text), std::string::npos) << report.message();
            if (!first) {
                EXPECT_EQ(footprint(), before);
            }
            expect_answers();
            ++refused;
        }
    }
    EXPECT_GE(refused, 40u);
    std::cout << refused << " broken bundles refused\n";
    ASSERT_TRUE(enclave.load_bundle(corpus.patch)) << "the state can still be changed";
}

}  // namespace
}  // namespace sgxdl::test
