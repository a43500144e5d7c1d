// The control socket, through the command itself.

#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "sgxdl/control.hpp"
#include "tests/enclave/fixture.hpp"

namespace sgxdl::test {

namespace {

struct Ran {
    int status;
    std::string output;
};

// Runs `sgxdl VERB…` and returns exit status and everything that it printed.
Ran run(const std::string& arguments) {
    FILE* const pipe = popen((std::string(SGXDL_TOOL) + " " + arguments + " 2>&1").c_str(), "r");
    Ran ran{-1, {}};
    if (pipe == nullptr) return ran;
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof(buffer), pipe)) != 0;)
        ran.output.append(buffer, n);
    ran.status = WEXITSTATUS(pclose(pipe));
    return ran;
}

}  // namespace

class Control : public EnclaveTest {
 protected:
    const std::string path = testing::TempDir() + "control" + std::to_string(getpid()) + ".sock";
    host::ControlServer server{enclave, path};
    const std::string socket = " --socket " + path + " ";
};

TEST_F(Control, LoadPatchRollbackListUnload) {
    Ran ran = run("load" + socket + SGXDL_TEST_MODULE);
    ASSERT_EQ(ran.status, 0) << ran.output;
    EXPECT_NE(ran.output.find("3 functions"), std::string::npos) << ran.output;
    EXPECT_EQ(ran.output.find("no W^X") != std::string::npos, static_form()) << ran.output;
    ran = run("patch --json" + socket + SGXDL_TEST_PATCH);
    ASSERT_EQ(ran.status, 0) << ran.output;
    const auto report = nlohmann::json::parse(ran.output);
    EXPECT_EQ(report.at("changed_functions"), 1);
    EXPECT_EQ(report.at("closure_functions"), 2);
    EXPECT_EQ(report.at("w_xor_x"), !static_form());
    ran = run("list --json" + socket);
    ASSERT_EQ(ran.status, 0) << ran.output;
    auto list = nlohmann::json::parse(ran.output);
    EXPECT_EQ(list.at("mrenclave"), enclave.mrenclave());
    EXPECT_EQ(list.at("w_xor_x"), !static_form());
    EXPECT_EQ(list.at("modules").at(0).at("patches"), 1);
    ran = run("rollback" + socket + "counter");
    ASSERT_EQ(ran.status, 0) << ran.output;
    ran = run("list" + socket);
    ASSERT_EQ(ran.status, 0) << ran.output;
    EXPECT_NE(ran.output.find("0 patches"), std::string::npos) << ran.output;
    EXPECT_EQ(ran.output.find("no W^X") != std::string::npos, static_form()) << ran.output;
    EXPECT_EQ(ran.output.find("unloaded"), std::string::npos) << ran.output;
    ran = run("unload" + socket + "counter");
    ASSERT_EQ(ran.status, 0) << ran.output;
    enclave.reclaim_now();  // frees what is left of it
    EXPECT_EQ(enclave.info().value.modules, 0u);
}

TEST_F(Control, RefusalsAreErrorsWithText) {
    Ran ran = run("rollback" + socket + "nosuch");
    EXPECT_EQ(ran.status, 1);
    EXPECT_NE(ran.output.find("no such module"), std::string::npos) << ran.output;
    ran = run("load" + socket + "/nonexistent");
    EXPECT_EQ(ran.status, 1);
    EXPECT_NE(ran.output.find("/nonexistent"), std::string::npos) << ran.output;
    ran = run("load" + socket + SGXDL_FOREIGN_MODULE);
    EXPECT_EQ(ran.status, 1);
    EXPECT_NE(ran.output.find("signature"), std::string::npos) << ran.output;
    EXPECT_EQ(run("list --socket /nonexistent/socket").status, 1);
    EXPECT_EQ(run("list").status, 2);
    EXPECT_TRUE(enclave.call<Empty>());
}

TEST_F(Control, SocketBelongsToItsOwner) {
    struct stat status;
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    EXPECT_THROW(host::ControlServer(enclave, path), host::Error);
}

}  // namespace sgxdl::test
