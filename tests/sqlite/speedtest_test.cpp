// SQLite's own speedtest1, loaded as a second module, runs to its end in the enclave and computes
// what a native build of the same objects computes.
#include <gtest/gtest.h>

#include "examples/sqlite/server/command.hpp"
#include "tests/sqlite/paths.hpp"
#include "tests/sqlite/target.hpp"

namespace sgxdl::sqlite::test {
namespace {

// "Verification Hash: 826556 2ef3..."
std::string hash_of(const std::string& output) {
    const size_t at = output.find("Verification Hash: ");
    return at == std::string::npos ? "" : output.substr(at, output.find('\n', at) - at);
}

TEST(Speedtest, HashEqualsTheNativeBuilds) {
    const auto target = make_target();
    const Change loaded = target->apply(path_of("speedtest.sgxm"));
    ASSERT_TRUE(loaded.ok()) << loaded.error;
    const CommandResult native =
        run_command({SGXDL_SQLITE_NATIVE_SPEEDTEST, "--memdb", "--size", "10", "--verify"});
    ASSERT_EQ(native.exit_code, 0) << native.errors;
    ASSERT_NE(hash_of(native.output), "") << native.output;
    // Twice: the module's own state must not leak from one run into the next.
    for (int run = 0; run < 2; ++run) {
        const std::string output = target->speedtest("speedtest", "--memdb --size 10 --verify");
        EXPECT_EQ(hash_of(output), hash_of(native.output)) << output;
        EXPECT_NE(output.find("TOTAL"), std::string::npos) << output;
        EXPECT_TRUE(output.ends_with("exit 0\n")) << output;
    }
    // Its way out when it gives up.
    const std::string failed = target->speedtest("speedtest", "--no-such-option");
    EXPECT_TRUE(failed.ends_with("exit 1\n")) << failed;
}

}  // namespace
}  // namespace sgxdl::sqlite::test
