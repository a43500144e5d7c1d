// Faults inside the enclave end it, cleanly: the call returns an error that says what and where,
// and so does every later one. Never a hang, never a signal.

#include <thread>

#include "tests/enclave/fixture.hpp"

namespace sgxdl::test {

struct Case {
    Fault fault;
    CrashKind kind;
    uint64_t vector;
    const char* text;
};

class Faults : public EnclaveTest, public testing::WithParamInterface<Case> {};

TEST_P(Faults, AreReported) {
    Case expected = GetParam();
    if (static_form() && expected.fault == Fault::unset_stub) {
        // There the table's absent page is present and full of traps: not an address.
        expected.vector = 13;
        expected.text = "general protection";
    }
    ASSERT_TRUE(enclave.call<Empty>());
    const auto outcome = enclave.call<Die>(expected.fault);
    EXPECT_EQ(outcome.status, Status::crashed);
    const std::optional<host::Crash> crash = enclave.crash();
    ASSERT_TRUE(crash.has_value());
    EXPECT_EQ(crash->kind, expected.kind) << crash->message();
    EXPECT_EQ(crash->vector, expected.vector) << crash->message();
    EXPECT_NE(outcome.message().find(expected.text), std::string::npos) << outcome.message();
    if (expected.kind == CrashKind::exception && expected.fault != Fault::stray_jump) {
        EXPECT_LT(crash->rip, uint64_t{1} << 24) << "an offset in the image";
    }
    EXPECT_EQ(enclave.call<Empty>().status, Status::crashed);
    // Another thread, on another slot.
    Status other = Status::ok;
    std::thread([&] { other = enclave.call<Empty>().status; }).join();
    EXPECT_EQ(other, Status::crashed);
    // And a new enclave is not affected.
    host::Enclave fresh(test_image(), quiet());
    EXPECT_TRUE(fresh.call<Empty>());
}

std::string name_of(const testing::TestParamInfo<Case>& info) {
    static const char* const names[] = {"NullWrite", "BadOpcode", "Divide",     "StackOverflow",
                                        "Abort",     "Assertion", "DoubleFree", "Smash",
                                        "CodeWrite", "StrayJump", "UnsetStub"};
    return names[static_cast<size_t>(info.param.fault)];
}

INSTANTIATE_TEST_SUITE_P(
    All, Faults,
    testing::Values(Case{Fault::null_write, CrashKind::exception, 14, "page fault"},
                    Case{Fault::bad_opcode, CrashKind::exception, 6, "invalid opcode"},
                    Case{Fault::divide, CrashKind::exception, 0, "divide error"},
                    Case{Fault::stack_overflow, CrashKind::exception, 14, "page fault"},
                    Case{Fault::abort, CrashKind::abort, 0, "abort"},
                    Case{Fault::assertion, CrashKind::abort, 0, "assertion failed: zero == 1"},
                    Case{Fault::double_free, CrashKind::abort, 0, "assertion failed"},
                    Case{Fault::smash, CrashKind::abort, 0, "stack smashing"},
                    Case{Fault::code_write, CrashKind::exception, 14, "page fault"},
                    Case{Fault::stray_jump, CrashKind::exception, 14, "page fault"},
                    Case{Fault::unset_stub, CrashKind::exception, 14, "page fault"}),
    name_of);

using Crashes = EnclaveTest;

// A thread that is inside, out in an ocall, when another one crashes must not go on.
TEST_F(Crashes, AThreadInAnOcallDoesNotReturnIntoADeadEnclave) {
    enclave.serve<Ask>([&](int64_t value) {
        std::thread([&] {
            EXPECT_EQ(enclave.call<Die>(Fault::abort).status, Status::crashed);
        }).join();
        return value;
    });
    EXPECT_EQ(enclave.call<Relay>(false, 1).status, Status::crashed);
}

// GS of a thread without a pin points at addresses that are never backed.
TEST_F(Crashes, LoadedCodeCannotBeCalledWithoutAPin) {
    const auto outcome = enclave.call<JumpUnpinned>();
    EXPECT_EQ(outcome.status, Status::crashed);
    // Without EXINFO the enclave is not told about page faults: the host names this one.
    const char* const text = static_form() ? "page fault" : "without a pin";
    EXPECT_NE(outcome.message().find(text), std::string::npos) << outcome.message();
}

TEST_F(Crashes, CanaryIsFreshInEveryEnclave) {
    host::Enclave other(test_image(), quiet());
    const auto first = enclave.call<Canary>();
    const auto second = other.call<Canary>();
    ASSERT_TRUE(first && second);
    EXPECT_NE(first.value, 0u);
    EXPECT_NE(first.value, second.value);
    // All threads of an enclave have the same one: a frame may be left on another's account.
    std::thread([&] { EXPECT_EQ(enclave.call<Canary>().value, first.value); }).join();
}

}  // namespace sgxdl::test
