// The table of docs/emulator.md that says what each misbehaviour of the system comes to: computed
// here, by leading a page through its life while the system misbehaves, and compared with the
// document.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {
namespace {

using sgxemu::Misbehaviour;
using sgxemu::Operation;

constexpr uint64_t reg = SGX_SECINFO_REG, r = SGX_SECINFO_R, w = SGX_SECINFO_W;

std::string describe(const Fault& fault) {
    if (fault.vector == 13) return "#GP";
    if (fault.vector != 14) return "vector " + std::to_string(fault.vector);
    return (fault.error_code & SGX_PFEC_SGX) ? "#PF (SGX)" : "SIGBUS";
}

std::string describe(int error) {
    return strerrorname_np(-error);
}

// One page from EAUG to its second EAUG. Returns where and how the program or the enclave notices
// that something is wrong; empty: not at all, and all data are what they should be.
class Life {
 public:
    explicit Life(TestEnclave& enclave) : enclave_(enclave), page_(enclave.dynamic()) {}

    std::string run() {
        const bool lives =
            accept("EACCEPT (fresh)", reg | r | w | SGX_SECINFO_PENDING) && write(77) &&
            driver("RESTRICT_PERMISSIONS", enclave_.restrict(page_, r)) &&
            accept("EACCEPT (restricted)", reg | r | SGX_SECINFO_PR) && read("read", 77) &&
            driver("MODIFY_TYPES", enclave_.modify_type(page_, SGX_PT_TRIM)) &&
            accept("EACCEPT (trimmed)", SGX_SECINFO_TRIM | SGX_SECINFO_MODIFIED) &&
            driver("REMOVE_PAGES", enclave_.remove(page_)) &&
            accept("EACCEPT (fresh again)", reg | r | w | SGX_SECINFO_PENDING) &&
            read("read of the fresh page", 0);
        return lives ? "" : noticed_;
    }

 private:
    bool stop(const std::string& where, const std::string& what) {
        noticed_ = where + ": " + what;
        return false;
    }
    bool driver(const char* name, int error) { return error == 0 || stop(name, describe(error)); }
    bool accept(const char* name, uint64_t flags) {
        Op op;
        const Entry entry = enclave_.eaccept(op, page_, flags);
        if (!entry.exited()) return stop(name, describe(fault_of(entry)));
        return op.rax == 0 || stop(name, "SGX_PAGE_ATTRIBUTES_MISMATCH");
    }
    bool write(uint64_t value) {
        Op op{.code = OpCode::write, .a = page_, .b = value};
        const Entry entry = enclave_.enter(op);
        return entry.exited() || stop("write", describe(fault_of(entry)));
    }
    bool read(const char* name, uint64_t wanted) {
        Op op{.code = OpCode::read, .a = page_};
        const Entry entry = enclave_.enter(op);
        if (!entry.exited()) return stop(name, describe(fault_of(entry)));
        return op.rax == wanted || stop(name, "OTHER DATA");
    }

    TestEnclave& enclave_;
    const uint64_t page_;
    std::string noticed_;
};

std::string outcome(Operation operation, Misbehaviour what) {
    if (operation == Operation::add_pages) {
        Options options;
        options.expect_refusal = true;
        sgxemu::misbehave(operation, what, 1);
        TestEnclave enclave(options);
        sgxemu::behave();
        if (enclave.init_error != 0) return "INIT: " + describe(enclave.init_error);
        const std::string noticed = Life(enclave).run();
        return noticed.empty() ? "unaffected" : noticed;
    }
    TestEnclave enclave;
    sgxemu::misbehave(operation, what);
    const std::string noticed = Life(enclave).run();
    sgxemu::behave();
    return noticed.empty() ? "unaffected" : noticed;
}

std::string table() {
    const std::pair<Operation, const char*> operations[] = {
        {Operation::restrict_permissions, "RESTRICT_PERMISSIONS"},
        {Operation::modify_types, "MODIFY_TYPES"},
        {Operation::remove_pages, "REMOVE_PAGES"},
        {Operation::eaug, "page fault (EAUG)"},
    };
    const std::pair<Misbehaviour, const char*> behaviours[] = {
        {Misbehaviour::drop, "drop"},     {Misbehaviour::refuse, "refuse"},
        {Misbehaviour::repeat, "repeat"}, {Misbehaviour::delay, "delay"},
        {Misbehaviour::swap, "swap"},
    };
    std::string text = "| operation | behaviour | noticed |\n|---|---|---|\n";
    for (const auto& [operation, name] : operations) {
        for (const auto& [behaviour, behaviour_name] : behaviours) {
            text += std::string("| ") + name + " | " + behaviour_name + " | " +
                    outcome(operation, behaviour) + " |\n";
        }
    }
    text += "| ADD_PAGES | drop | " + outcome(Operation::add_pages, Misbehaviour::drop) + " |\n";
    return text;
}

TEST(HostileMatrix, IsAsDocumented) {
    const std::string found = table();
    EXPECT_EQ(found.find("OTHER DATA"), std::string::npos) << found;
    std::ifstream file(SGXEMU_DOCUMENT);
    ASSERT_TRUE(file) << SGXEMU_DOCUMENT;
    std::stringstream document;
    document << file.rdbuf();
    EXPECT_NE(document.str().find(found), std::string::npos)
        << SGXEMU_DOCUMENT << " must contain this table:\n"
        << found;
}

}  // namespace
}  // namespace sgxemu_test
