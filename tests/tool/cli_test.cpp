// The command itself: exit codes, JSON, help with an example for every verb.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/tool/support.hpp"

namespace sgxdl::test {
namespace {

using nlohmann::json;

class Command : public testing::Test {
 protected:
    Output sgxdl(const std::string& arguments) {
        return run(fmt::format("cd {} && {} {}", folder_.path().string(), SGXDL_BINARY, arguments));
    }
    void build(const std::string& name, const std::string& text) {
        compile_text(folder_, name + "/a.c", text);
    }
    void SetUp() override {
        build("a", "int f(int x) { return x + 1; } int g(int x) { return x * 2; }\n");
        build("b", "int f(int x) { return x + 2; } int g(int x) { return x * 2; }\n");
        ASSERT_EQ(sgxdl("keygen --output vendor").status, 0);
        ASSERT_EQ(
            sgxdl("pack --product p --module m --version 1 --key vendor.key --output m.sgxm a/a.o")
                .status,
            0);
    }
    Folder folder_;
};

TEST_F(Command, EveryVerbHasHelpWithAnExample) {
    Output help = sgxdl("--help");
    EXPECT_EQ(help.status, 0);
    for (const char* verb : {"doctor", "keygen", "pack", "diff", "inspect"}) {
        EXPECT_NE(help.text.find(verb), std::string::npos) << verb;
        Output output = sgxdl(std::string(verb) + " --help");
        EXPECT_EQ(output.status, 0);
        EXPECT_NE(output.text.find("Example: sgxdl " + std::string(verb)), std::string::npos)
            << verb;
    }
}

TEST_F(Command, ExitCodesSayWhatHappened) {
    std::string common = "--key vendor.key --version 2 --output p.sgxp";
    EXPECT_EQ(sgxdl("diff --base m.sgxm --old a/a.o --new b/a.o " + common).status, 0);
    EXPECT_EQ(sgxdl("diff --base absent --old a/a.o --new b/a.o " + common).status, 1);
    EXPECT_EQ(sgxdl("diff --base m.sgxm --old b/a.o --new a/a.o " + common).status, 2);
    EXPECT_EQ(sgxdl("diff --base m.sgxm --old a/a.o --new a/a.o " + common).status, 3);
    EXPECT_EQ(sgxdl("diff").status, 2);
    EXPECT_EQ(sgxdl("no-such-verb").status, 2);
    EXPECT_EQ(sgxdl("").status, 2);
    EXPECT_EQ(sgxdl("keygen --output vendor").status, 1);  // does not overwrite a key
    ASSERT_EQ(sgxdl("keygen --output other").status, 0);
    EXPECT_EQ(sgxdl("inspect m.sgxm --key vendor.pub").status, 0);
    EXPECT_EQ(sgxdl("inspect m.sgxm --key other.pub").status, 1);
    EXPECT_EQ(sgxdl("inspect m.sgxm --reach absent").status, 1);
}

TEST_F(Command, JsonSaysWhatTheTableSays) {
    json diff = json::parse(sgxdl("diff --base m.sgxm --old a/a.o --new b/a.o --key vendor.key "
                                  "--version 2 --output p.sgxp --json")
                                .text);
    ASSERT_EQ(diff["changes"].size(), 1u);
    EXPECT_EQ(diff["changes"][0]["name"], "f");
    EXPECT_EQ(diff["changes"][0]["change"], "changed");
    EXPECT_EQ(diff["changed"]["functions"], 1);
    EXPECT_EQ(diff["closure"]["functions"], 1);
    json module =
        json::parse(sgxdl("inspect m.sgxm --key vendor.pub --units --reach g --json").text);
    EXPECT_EQ(module["signature_ok"], true);
    EXPECT_EQ(module["contents"]["functions"], 2);
    EXPECT_EQ(module["reach"]["function_names"], json::array({"g"}));
    EXPECT_EQ(module["unit_list"].size(), 2u);
    json patch = json::parse(sgxdl("inspect p.sgxp --json").text);
    EXPECT_EQ(patch["kind"], "patch");
    EXPECT_EQ(patch["predecessor"], module["digest"]);
    EXPECT_EQ(patch["digest"], diff["digest"]);
    json doctor = json::parse(sgxdl("doctor --json").text);
    EXPECT_TRUE(doctor.contains("platform"));
    EXPECT_TRUE(doctor["processor"].contains("sgx2"));
}

// With the variables that describe the emulated machine. A kernel's device is what it is.
TEST_F(Command, DoctorSaysWhichImagesTheMachineTakes) {
    const auto doctor = [](int sgx, const char* option) {
        return run(fmt::format("SGXEMU_SGX={} {} doctor {}", sgx, SGXDL_BINARY, option)).text;
    };
    json out = json::parse(doctor(2, "--json"));
    if (out["platform"] == "sgx1" || out["platform"] == "sgx2") GTEST_SKIP() << "has a device";
    EXPECT_EQ(out["platform"], "emulator");
    EXPECT_EQ(out["image_form"], "dynamic");
    EXPECT_EQ(out["w_xor_x"], "yes");
    out = json::parse(doctor(1, "--json"));
    EXPECT_EQ(out["platform"], "emulator");
    EXPECT_EQ(out["image_form"], "static");
    EXPECT_EQ(out["w_xor_x"], "no");
    EXPECT_NE(out["advice"].dump().find("--static-arena"), std::string::npos);
    EXPECT_NE(doctor(1, "").find("no W^X"), std::string::npos);
    EXPECT_NE(doctor(3, "--json").find("SGXEMU_SGX must be 1 or 2"), std::string::npos);
}

}  // namespace
}  // namespace sgxdl::test
