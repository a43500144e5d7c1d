// A full EPC: pages leave it sealed and come back on access, whoever needs them; and what the
// operating system cannot do to them meanwhile (SDM volume 3D, 38.3, EWB and ELDU).
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <thread>

#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {
namespace {

constexpr size_t small_epc = sgxemu::min_epc_pages;

class Paging : public testing::Test {
 protected:
    void SetUp() override { ASSERT_EQ(sgxemu::configure({.epc_pages = small_epc}), 0); }
    void TearDown() override { EXPECT_EQ(sgxemu::configure({}), 0); }

    static uint64_t pattern(size_t i) { return 0x9e3779b97f4a7c15 * (i + 1); }

    // Commits and fills dynamic pages [0, count).
    static void fill(TestEnclave& enclave, size_t count) {
        for (size_t i = 0; i < count; ++i) {
            enclave.commit(enclave.dynamic(i));
            enclave.write(enclave.dynamic(i) + 8 * (i % 512), pattern(i));
        }
    }

    // Needs so many new pages that those used before leave the EPC.
    void drive_out(TestEnclave& enclave) {
        for (size_t i = 0; i < 2 * small_epc; ++i)
            enclave.commit(enclave.dynamic(next_++));
    }

    size_t next_ = 20;  // the first dynamic page that drive_out has not used

    static sgxemu::BackingPage backing(const TestEnclave& enclave, uint64_t address) {
        return sgxemu::backing_page(enclave.fd, reinterpret_cast<void*>(address));
    }
};

Options large() {
    Options options;
    options.pages = 1024;
    return options;
}

TEST_F(Paging, ThreeTimesTheEpc) {
    TestEnclave enclave(large());
    const auto before = sgxemu::paging_count();
    constexpr size_t count = 3 * small_epc;
    fill(enclave, count);
    EXPECT_LE(sgxemu::epc_count(enclave.fd).valid, small_epc);
    for (int round = 0; round < 2; ++round) {
        for (size_t i = 0; i < count; ++i)
            ASSERT_EQ(enclave.read(enclave.dynamic(i) + 8 * (i % 512)), pattern(i)) << i;
    }
    const auto after = sgxemu::paging_count();
    EXPECT_GT(after.written_out - before.written_out, 2 * small_epc);
    EXPECT_GT(after.brought_back - before.brought_back, count);
}

TEST_F(Paging, AllAddedPagesComeBack) {
    TestEnclave enclave(large());
    enclave.write(enclave.data(2), 77);
    drive_out(enclave);
    ASSERT_NE(backing(enclave, enclave.data(2)).content, nullptr);
    EXPECT_EQ(enclave.read(enclave.data(2)), 77u);
    EXPECT_EQ(enclave.read(enclave.constant() + 8), enclave.read(enclave.constant() + 8));
    Op write{.code = OpCode::write, .a = enclave.constant(), .b = 1};
    EXPECT_EQ(fault_of(enclave.enter(write)).error_code & SGX_PFEC_W, unsigned{SGX_PFEC_W});
}

// What the EPCM said of a page it says again: the permissions that EMODPE gave, PENDING.
TEST_F(Paging, EpcmStateSurvives) {
    TestEnclave enclave(large());
    enclave.commit(enclave.dynamic(0));
    ASSERT_EQ(enclave.restrict(enclave.dynamic(0), SGX_SECINFO_R), 0);
    Op op;
    ASSERT_TRUE(
        enclave.eaccept(op, enclave.dynamic(0), SGX_SECINFO_REG | SGX_SECINFO_R | SGX_SECINFO_PR)
            .exited());
    ASSERT_EQ(op.rax, 0u);
    // Touched and not accepted: pending.
    Op touch{.code = OpCode::read, .a = enclave.dynamic(1)};
    EXPECT_EQ(fault_of(enclave.enter(touch)), epcm_fault(enclave.dynamic(1), on_read));
    enclave.give_up();
    drive_out(enclave);
    ASSERT_NE(backing(enclave, enclave.dynamic(0)).content, nullptr);
    ASSERT_NE(backing(enclave, enclave.dynamic(1)).content, nullptr);
    Op write{.code = OpCode::write, .a = enclave.dynamic(0), .b = 1};
    EXPECT_EQ(fault_of(enclave.enter(write)), epcm_fault(enclave.dynamic(0), on_write));
    enclave.give_up();
    EXPECT_EQ(enclave.read(enclave.dynamic(0)), 0u);
    EXPECT_EQ(fault_of(enclave.enter(touch)), epcm_fault(enclave.dynamic(1), on_read));
    enclave.give_up();
    enclave.commit(enclave.dynamic(1));
}

// All three operands of an ENCLU are out, and the page that it works on.
TEST_F(Paging, LeafOperandsComeBack) {
    TestEnclave enclave(large());
    enclave.commit(enclave.dynamic(0));
    enclave.write(enclave.dynamic(0) + 16, 5);
    const uint64_t secinfo = enclave.data(3);
    enclave.write(secinfo, SGX_SECINFO_REG | SGX_SECINFO_R);
    drive_out(enclave);
    ASSERT_NE(backing(enclave, secinfo).content, nullptr);
    ASSERT_NE(backing(enclave, enclave.dynamic(0)).content, nullptr);
    Op op;
    ASSERT_TRUE(
        enclave.enclu(op, SGX_ENCLU_EACCEPTCOPY, secinfo, enclave.dynamic(1), enclave.dynamic(0))
            .exited());
    EXPECT_EQ(op.rax, 0u);
    EXPECT_EQ(enclave.read(enclave.dynamic(1) + 16), 5u);
}

TEST_F(Paging, DriverOperationsBringPagesBack) {
    TestEnclave enclave(large());
    enclave.commit(enclave.dynamic(0));
    enclave.commit(enclave.dynamic(1));
    drive_out(enclave);
    ASSERT_NE(backing(enclave, enclave.dynamic(0)).content, nullptr);
    EXPECT_EQ(enclave.restrict(enclave.dynamic(0), SGX_SECINFO_R), 0);
    EXPECT_EQ(enclave.modify_type(enclave.dynamic(1), SGX_PT_TRIM), 0);
    drive_out(enclave);
    Op op;
    ASSERT_TRUE(
        enclave.eaccept(op, enclave.dynamic(1), SGX_SECINFO_TRIM | SGX_SECINFO_MODIFIED).exited());
    EXPECT_EQ(op.rax, 0u);
    drive_out(enclave);
    EXPECT_EQ(enclave.remove(enclave.dynamic(1)), 0);
    enclave.commit(enclave.dynamic(1));
    EXPECT_EQ(enclave.read(enclave.dynamic(1)), 0u);
}

// Mappings may not ask for more than a page allows, wherever the page is.
TEST_F(Paging, CapOfAPageThatIsOut) {
    TestEnclave enclave(large());
    drive_out(enclave);
    ASSERT_NE(backing(enclave, enclave.constant()).content, nullptr);
    EXPECT_EQ(
        sgxemu::mprotect(reinterpret_cast<void*>(enclave.constant()), page, PROT_READ | PROT_WRITE),
        -1);
    EXPECT_EQ(errno, EACCES);
}

// A thread that is inside keeps its TCS and the SSA frame that an exit would use.
TEST_F(Paging, SeveralThreadsAndEnclaves) {
    Options options = large();
    options.threads = 2;
    TestEnclave one(options), two(options);
    const auto work = [](TestEnclave& enclave, size_t thread) {
        for (size_t i = 0; i < 2 * small_epc; ++i) {
            const uint64_t address = enclave.dynamic(200 * thread + i);
            Op write{.code = OpCode::write, .a = address, .b = pattern(i)};
            Op op;
            const uint64_t secinfo = enclave.data(thread, 64);
            Op put{.code = OpCode::write,
                   .a = secinfo,
                   .b = SGX_SECINFO_REG | SGX_SECINFO_R | SGX_SECINFO_W | SGX_SECINFO_PENDING};
            ASSERT_TRUE(enclave.enter(put, thread).exited());
            ASSERT_TRUE(enclave.enclu(op, SGX_ENCLU_EACCEPT, secinfo, address, 0, thread).exited());
            ASSERT_EQ(op.rax, 0u);
            ASSERT_TRUE(enclave.enter(write, thread).exited());
        }
        for (size_t i = 0; i < 2 * small_epc; ++i) {
            Op read{.code = OpCode::read, .a = enclave.dynamic(200 * thread + i)};
            ASSERT_TRUE(enclave.enter(read, thread).exited());
            ASSERT_EQ(read.rax, pattern(i));
        }
    };
    std::thread a(work, std::ref(one), 0), b(work, std::ref(one), 1), c(work, std::ref(two), 0);
    a.join();
    b.join();
    c.join();
}

// --- A hostile operating system
// --------------------------------------------------------------------

class Tampering : public Paging {
 protected:
    // The page does not come back: the driver's SIGBUS, and no data.
    static void expect_lost(TestEnclave& enclave, uint64_t address) {
        Op read{.code = OpCode::read, .a = address};
        EXPECT_EQ(fault_of(enclave.enter(read)), os_fault(address, on_read));
        enclave.give_up();
    }
};

TEST_F(Tampering, NothingOfThePageIsReadable) {
    TestEnclave enclave(large());
    enclave.commit(enclave.dynamic(0));
    for (size_t i = 0; i < 512; ++i)
        enclave.write(enclave.dynamic(0) + 8 * i, 0x4141414141414141);
    drive_out(enclave);
    const auto out = backing(enclave, enclave.dynamic(0));
    ASSERT_NE(out.content, nullptr);
    size_t same = 0;
    for (size_t i = 0; i < page; ++i)
        same += out.content[i] == 0x41;
    EXPECT_LT(same, 100u);
}

TEST_F(Tampering, ChangedContentIsNoticed) {
    TestEnclave enclave(large());
    drive_out(enclave);
    const auto out = backing(enclave, enclave.data(2));
    ASSERT_NE(out.content, nullptr);
    out.content[1000] ^= 1;
    expect_lost(enclave, enclave.data(2));
    // And with the bit back the page is whole: the failed attempt consumed nothing.
    out.content[1000] ^= 1;
    EXPECT_EQ(enclave.read(enclave.data(2)), 0u);
}

TEST_F(Tampering, ChangedPermissionsAreNoticed) {
    TestEnclave enclave(large());
    drive_out(enclave);
    const auto out = backing(enclave, enclave.constant());
    ASSERT_NE(out.pcmd, nullptr);
    static_cast<sgx_pcmd*>(out.pcmd)->secinfo.flags |= SGX_SECINFO_W;
    expect_lost(enclave, enclave.constant());
}

TEST_F(Tampering, AnotherPageIsNotAccepted) {
    TestEnclave enclave(large());
    enclave.write(enclave.data(1), 1);
    enclave.write(enclave.data(2), 2);
    drive_out(enclave);
    const auto one = backing(enclave, enclave.data(1)), two = backing(enclave, enclave.data(2));
    ASSERT_NE(one.content, nullptr);
    ASSERT_NE(two.content, nullptr);
    std::swap_ranges(one.content, one.content + page, two.content);
    std::swap(*static_cast<sgx_pcmd*>(one.pcmd), *static_cast<sgx_pcmd*>(two.pcmd));
    expect_lost(enclave, enclave.data(1));
    expect_lost(enclave, enclave.data(2));
}

TEST_F(Tampering, OlderCopyIsNotAccepted) {
    TestEnclave enclave(large());
    enclave.write(enclave.data(2), 1);
    drive_out(enclave);
    auto out = backing(enclave, enclave.data(2));
    ASSERT_NE(out.content, nullptr);
    std::vector<uint8_t> old_content(out.content, out.content + page);
    const sgx_pcmd old_pcmd = *static_cast<sgx_pcmd*>(out.pcmd);
    enclave.write(enclave.data(2), 2);
    drive_out(enclave);
    drive_out(enclave);
    out = backing(enclave, enclave.data(2));
    ASSERT_NE(out.content, nullptr);
    std::copy(old_content.begin(), old_content.end(), out.content);
    *static_cast<sgx_pcmd*>(out.pcmd) = old_pcmd;
    expect_lost(enclave, enclave.data(2));
}

TEST_F(Tampering, AnotherEnclavesPageIsNotAccepted) {
    TestEnclave one(large()), two(large());
    drive_out(one);
    drive_out(two);
    // Both must be out at the same time.
    auto from = backing(one, one.data(2)), to = backing(two, two.data(2));
    ASSERT_NE(from.content, nullptr);
    ASSERT_NE(to.content, nullptr);
    std::copy(from.content, from.content + page, to.content);
    *static_cast<sgx_pcmd*>(to.pcmd) = *static_cast<sgx_pcmd*>(from.pcmd);
    expect_lost(two, two.data(2));
}

}  // namespace
}  // namespace sgxemu_test
