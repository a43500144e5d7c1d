// The text form of a hostile system: what it means, and what is refused with which words.
#include "emulator/hostile_plan.hpp"

#include <gtest/gtest.h>

namespace sgxemu {
namespace {

TEST(HostilePlan, OrdersAndSteps) {
    HostilePlan plan;
    ASSERT_EQ(parse_hostile_plan("remove:drop@3x2,ocall:replay,fault:swap@7,step:40", plan), "");
    ASSERT_EQ(plan.orders.size(), 3u);
    EXPECT_EQ(plan.orders[0].operation, Operation::remove_pages);
    EXPECT_EQ(plan.orders[0].what, Misbehaviour::drop);
    EXPECT_EQ(plan.orders[0].first, 2u);
    EXPECT_EQ(plan.orders[0].count, 2u);
    EXPECT_EQ(plan.orders[1].operation, Operation::ocall);
    EXPECT_EQ(plan.orders[1].what, Misbehaviour::replay);
    EXPECT_EQ(plan.orders[1].first, 0u);
    EXPECT_EQ(plan.orders[1].count, forever);
    EXPECT_EQ(plan.orders[2].operation, Operation::eaug);
    EXPECT_EQ(plan.orders[2].first, 6u);
    EXPECT_EQ(plan.steps, 40u);
    HostilePlan every;
    ASSERT_EQ(parse_hostile_plan("step:every", every), "");
    EXPECT_EQ(every.steps, forever);
}

TEST(HostilePlan, RefusalsNameThePart) {
    const std::pair<const char*, const char*> wrong[] = {
        {"", "'': not OPERATION"},
        {"remove", "'remove': not OPERATION"},
        {"delete:drop", "'delete': an operation is"},
        {"remove:explode", "'explode': a behaviour is"},
        {"remove:drop@0", "'remove:drop@0': a number from 1"},
        {"remove:drop@1x", "'remove:drop@1x': a number from 1"},
        {"remove:drop@-1", "'remove:drop@-1': a number from 1"},
        {"remove:drop,", "'': not OPERATION"},
        {"remove:drop,remove:swap", "'remove': has an order already"},
        {"remove:replay", "'remove:replay': only ocalls"},
        {"step:0", "'step:0': 'every' or"},
        {"step:1,step:2", "'step:2': 'step' stands twice"},
    };
    for (const auto& [text, message] : wrong) {
        HostilePlan plan;
        const std::string error = parse_hostile_plan(text, plan);
        EXPECT_EQ(error.rfind(message, 0), 0u) << "'" << text << "': " << error;
    }
}

}  // namespace
}  // namespace sgxemu
