// A case for every row of the table of rules for the driver's EDMM ioctls
// (emulator/edmm_rules.cpp): a call that just this row refuses, its errno and the result that it
// leaves. The test fails when a row has no case.
#include <gtest/gtest.h>

#include <cerrno>
#include <map>
#include <string>

#include "tests/emulator/test_enclave.hpp"
#include "tests/emulator/waiter.hpp"

namespace sgxemu_test {
namespace {

using Counts = std::map<std::string, uint64_t>;

std::string name_of(uint32_t ioctl, const std::string& condition) {
    const char* const names[] = {"RESTRICT_PERMISSIONS: ", "MODIFY_TYPES: ", "REMOVE_PAGES: "};
    const uint32_t numbers[] = {SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, SGX_IOC_ENCLAVE_MODIFY_TYPES,
                                SGX_IOC_ENCLAVE_REMOVE_PAGES};
    for (size_t i = 0; i < std::size(names); ++i) {
        if (numbers[i] == ioctl) return names[i] + condition;
    }
    return "? " + condition;
}

Counts counts() {
    Counts found;
    for (size_t i = 0; sgxemu::driver_rule_record(i).condition != nullptr; ++i) {
        const auto row = sgxemu::driver_rule_record(i);
        EXPECT_TRUE(found.emplace(name_of(row.leaf, row.condition), row.decided).second)
            << "two rows named " << row.condition;
    }
    return found;
}

class EdmmRules : public testing::Test {
 protected:
    ~EdmmRules() override {
        for (const auto& [row, count] : counts())
            EXPECT_TRUE(tested_.count(row)) << row << " has no case";
        std::printf("%zu rules, each with its case\n", tested_.size());
        EXPECT_GT(tested_.size(), 30u);
    }

    // `act` is refused by this row, and only by it.
    template <class Act>
    void expect(uint32_t ioctl, const char* condition, int error, Act act) {
        const std::string name = name_of(ioctl, condition);
        SCOPED_TRACE(name);
        const Counts before = counts();
        ASSERT_TRUE(before.count(name)) << "there is no such row";
        EXPECT_EQ(act(), error);
        for (const auto& [row, count] : counts())
            EXPECT_EQ(count - before.at(row), row == name ? 1u : 0u) << row;
        tested_[name] = 1;
    }

    // The rows about a call that all three have, for arguments that are otherwise right.
    template <class Argument>
    void expect_common(uint32_t number, Argument right) {
        const auto call = [&](TestEnclave& e, Argument argument) {
            return sgxemu::ioctl(e.fd, number, &argument);
        };
        right.offset = TestEnclave::dynamic_page * page;
        right.length = page;
        TestEnclave e;
        e.commit(e.dynamic());
        expect(number, "argument not readable", -EFAULT,
               [&] { return sgxemu::ioctl(e.fd, number, nullptr); });
        expect(number, "range invalid", -EINVAL, [&] {
            Argument wrong = right;
            wrong.offset += 1;
            return call(e, wrong);
        });
        expect(number, "count not zero", -EINVAL, [&] {
            Argument wrong = right;
            wrong.count = 1;
            return call(e, wrong);
        });
        expect(number, "absent", -EFAULT, [&] {
            Argument elsewhere = right;
            elsewhere.offset += page;
            return call(e, elsewhere);
        });
        Options refused;
        refused.expect_refusal = true;
        refused.after_signing = [](sgx_sigstruct& s) { s.signature[0] ^= 1; };
        TestEnclave never(refused);
        ASSERT_NE(never.init_error, 0);
        expect(number, "not initialised", -EINVAL, [&] { return call(never, right); });
    }

    template <class Argument>
    void expect_without_sgx2(uint32_t number) {
        TestEnclave e;
        expect(number, "no SGX2", -ENODEV, [&] {
            Argument none{};
            return sgxemu::ioctl(e.fd, number, &none);
        });
    }

 private:
    std::map<std::string, int> tested_;
};

constexpr uint32_t restrict_permissions = SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS,
                   modify_types = SGX_IOC_ENCLAVE_MODIFY_TYPES,
                   remove_pages = SGX_IOC_ENCLAVE_REMOVE_PAGES;

TEST_F(EdmmRules, EveryRowDecides) {
    // RESTRICT_PERMISSIONS, and EMODPR below it.
    sgx_enclave_restrict_permissions to_r{};
    to_r.permissions = SGX_SECINFO_R;
    expect_common(restrict_permissions, to_r);
    {
        TestEnclave e;
        e.commit(e.dynamic());
        expect(restrict_permissions, "permissions unknown", -EINVAL,
               [&] { return e.restrict(e.dynamic(), 8); });
        expect(restrict_permissions, "W without R", -EINVAL,
               [&] { return e.restrict(e.dynamic(), SGX_SECINFO_W); });
        expect(restrict_permissions, "result not zero", -EINVAL, [&] {
            sgx_enclave_restrict_permissions wrong = to_r;
            wrong.offset = TestEnclave::dynamic_page * page;
            wrong.length = page;
            wrong.result = 1;
            return sgxemu::ioctl(e.fd, restrict_permissions, &wrong);
        });
        expect(restrict_permissions, "not regular", -EINVAL,
               [&] { return e.restrict(e.tcs(), SGX_SECINFO_R); });
        EXPECT_EQ(fault_of([&] {
                      Op op{.code = OpCode::read, .a = e.dynamic(1)};
                      return e.enter(op);
                  }())
                      .vector,
                  14u);  // EAUG; not accepted
        expect(restrict_permissions, "EMODPR: pending or modified", -EFAULT,
               [&] { return e.restrict(e.dynamic(1), SGX_SECINFO_R); });
        EXPECT_EQ(e.last_result, uint64_t{SGX_PAGE_NOT_MODIFIABLE});
        EXPECT_EQ(e.last_count, 0u);
    }

    // MODIFY_TYPES, and EMODT below it.
    sgx_enclave_modify_types to_trim{};
    to_trim.page_type = SGX_PT_TRIM;
    expect_common(modify_types, to_trim);
    {
        TestEnclave e;
        e.commit(e.dynamic());
        expect(modify_types, "bits beyond the type", -EINVAL,
               [&] { return e.modify_type(e.dynamic(), SGX_PT_TRIM | 0x100); });
        expect(modify_types, "result not zero", -EINVAL, [&] {
            sgx_enclave_modify_types wrong = to_trim;
            wrong.offset = TestEnclave::dynamic_page * page;
            wrong.length = page;
            wrong.result = 1;
            return sgxemu::ioctl(e.fd, modify_types, &wrong);
        });
        expect(modify_types, "type neither TCS nor TRIM", -EINVAL,
               [&] { return e.modify_type(e.dynamic(), SGX_PT_REG); });
        expect(modify_types, "TCS of a page capped below RW", -EPERM,
               [&] { return e.modify_type(e.code(), SGX_PT_TCS); });
        expect(modify_types, "no such change", -EINVAL,
               [&] { return e.modify_type(e.tcs(), SGX_PT_TCS); });
        ASSERT_EQ(e.modify_type(e.dynamic(), SGX_PT_TCS), 0);
        expect(modify_types, "EMODT: pending or modified", -EFAULT,
               [&] { return e.modify_type(e.dynamic(), SGX_PT_TRIM); });
        EXPECT_EQ(e.last_result, uint64_t{SGX_PAGE_NOT_MODIFIABLE});
    }
    {
        TestEnclave e({.threads = 2});
        Waiter waiter(e, 0);
        expect(modify_types, "EMODT: TCS in use", -EFAULT,
               [&] { return e.modify_type(e.tcs(0), SGX_PT_TRIM); });
        EXPECT_EQ(e.last_result, uint64_t{SGX_EPC_PAGE_CONFLICT});
    }

    // REMOVE_PAGES, which asks EMODPR whether the trim was accepted.
    expect_common(remove_pages, sgx_enclave_remove_pages{});
    {
        TestEnclave e;
        e.commit(e.dynamic());
        expect(remove_pages, "not trimmed", -EPERM, [&] { return e.remove(e.dynamic()); });
        ASSERT_EQ(e.modify_type(e.dynamic(), SGX_PT_TRIM), 0);
        expect(remove_pages, "trim not accepted", -EPERM, [&] { return e.remove(e.dynamic()); });
    }

    ASSERT_EQ(sgxemu::configure({.sgx2 = false}), 0);
    expect_without_sgx2<sgx_enclave_restrict_permissions>(restrict_permissions);
    expect_without_sgx2<sgx_enclave_modify_types>(modify_types);
    expect_without_sgx2<sgx_enclave_remove_pages>(remove_pages);
    EXPECT_EQ(sgxemu::configure({}), 0);
}

}  // namespace
}  // namespace sgxemu_test
