// What each behaviour makes of the answers to ocalls, on their way into an enclave.
#include "emulator/hostile_ocalls.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>

#include "emulator/sgxemu.hpp"

namespace sgxemu {
namespace {

constexpr uint64_t answer_entry = 2, other_entry = 1;

class HostileOcalls : public testing::Test {
 protected:
    HostileOcalls() { EXPECT_EQ(spoil_ocalls({answer_entry, 16, 16}), 0); }
    ~HostileOcalls() override { behave(); }

    // Eight bytes of answer, eight more of its buffer; what the enclave finds.
    uint64_t answer(uint64_t value, uint64_t tcs = 1, uint64_t entry = answer_entry) {
        memory_ = {1, 2, value, ~value, 5};
        spoil_ocall_answer(tcs, entry, reinterpret_cast<uint64_t>(memory_.data()));
        EXPECT_EQ(memory_[0], 1u);
        EXPECT_EQ(memory_[1], 2u);
        EXPECT_EQ(memory_[4], 5u);
        return memory_[2];
    }
    std::array<uint64_t, 5> memory_{};
};

TEST_F(HostileOcalls, WithoutAnOrderAnswersArrive) {
    EXPECT_EQ(answer(10), 10u);
    EXPECT_EQ(answer(11), 11u);
    EXPECT_EQ(memory_[3], ~uint64_t{11});
}

TEST_F(HostileOcalls, Drop) {
    answer(7, 1, other_entry);
    misbehave(Operation::ocall, Misbehaviour::drop);
    EXPECT_EQ(answer(10), 7u) << "as the memory was at the entry before";
}

TEST_F(HostileOcalls, Refuse) {
    misbehave(Operation::ocall, Misbehaviour::refuse);
    EXPECT_EQ(answer(10), ~uint64_t{0});
    EXPECT_EQ(memory_[3], ~uint64_t{10}) << "only the first eight bytes";
}

TEST_F(HostileOcalls, Repeat) {
    misbehave(Operation::ocall, Misbehaviour::repeat, 0, 1);
    EXPECT_EQ(answer(10), 10u);
    EXPECT_EQ(answer(11), 10u);
    EXPECT_EQ(answer(12), 12u);
}

TEST_F(HostileOcalls, Swap) {
    EXPECT_EQ(answer(20, 2), 20u);
    misbehave(Operation::ocall, Misbehaviour::swap);
    EXPECT_EQ(answer(10, 1), 20u);
}

TEST_F(HostileOcalls, Replay) {
    EXPECT_EQ(answer(10, 2), 10u);
    EXPECT_EQ(answer(11), 11u);
    misbehave(Operation::ocall, Misbehaviour::replay, 1, 1);
    EXPECT_EQ(answer(12), 12u);
    EXPECT_EQ(answer(13), 10u);
    EXPECT_EQ(answer(14), 14u);
}

TEST_F(HostileOcalls, OtherEntriesAreLeftAlone) {
    misbehave(Operation::ocall, Misbehaviour::refuse);
    EXPECT_EQ(answer(10, 1, other_entry), 10u);
}

TEST_F(HostileOcalls, SizesThatCannotBeAreRefused) {
    EXPECT_EQ(spoil_ocalls({answer_entry, 0, 7}), -EINVAL);
    EXPECT_EQ(spoil_ocalls({answer_entry, 0, max_ocall_answer + 1}), -EINVAL);
}

}  // namespace
}  // namespace sgxemu
