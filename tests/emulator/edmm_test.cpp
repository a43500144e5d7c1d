// EACCEPT, EMODPE and the driver's EMODPR, EMODT and EREMOVE (SDM volume 3D, 38.3 and 38.4;
// arch/x86/kernel/cpu/sgx/ioctl.c).
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {
namespace {

constexpr uint64_t reg_r = SGX_SECINFO_REG | SGX_SECINFO_R;
constexpr uint64_t reg_rw = reg_r | SGX_SECINFO_W;
constexpr uint64_t pending_rw = reg_rw | SGX_SECINFO_PENDING;
constexpr uint64_t trim_modified = SGX_SECINFO_TRIM | SGX_SECINFO_MODIFIED;
constexpr uint64_t tcs_modified = SGX_SECINFO_TCS | SGX_SECINFO_MODIFIED;

class Edmm : public testing::Test {
 protected:
    TestEnclave enclave;
    Op op;

    // EACCEPT faults and changes nothing.
    void expect_accept_fault(uint64_t address, uint64_t flags, const Fault& fault) {
        EXPECT_EQ(fault_of(enclave.eaccept(op, address, flags)), fault);
        enclave.give_up();
    }
    // EACCEPT comes back with this code.
    void expect_accept(uint64_t address, uint64_t flags, uint64_t code) {
        const Entry entry = enclave.eaccept(op, address, flags);
        ASSERT_TRUE(entry.exited()) << fault_of(entry);
        EXPECT_EQ(op.rax, code);
        EXPECT_EQ(op.flags, code == SGX_SUCCESS ? 0 : flag_zf);
    }
    Fault touch(OpCode code, uint64_t address) {
        Op access{.code = code, .a = address, .b = 5};
        const Fault fault = fault_of(enclave.enter(access));
        if (fault.vector != 0) enclave.give_up();
        return fault;
    }
    Fault fault_of_read(uint64_t address) { return touch(OpCode::read, address); }
    Fault fault_of_write(uint64_t address) { return touch(OpCode::write, address); }
    Fault fault_of_call(uint64_t address) { return touch(OpCode::call, address); }
    void emodpe(uint64_t address, uint64_t flags) {
        const Entry entry = enclave.emodpe(op, address, flags);
        ASSERT_TRUE(entry.exited()) << fault_of(entry);
    }
    void trim(uint64_t address) {
        ASSERT_EQ(enclave.modify_type(address, SGX_PT_TRIM), 0);
        expect_accept(address, trim_modified, SGX_SUCCESS);
    }
};

// --- EAUG and EACCEPT ----------------------------------------------------------------------------

TEST_F(Edmm, FirstTouchAddsThePageAndFaultsAsPending) {
    EXPECT_EQ(fault_of_read(enclave.dynamic()), epcm_fault(enclave.dynamic(), on_read));
    EXPECT_EQ(fault_of_write(enclave.dynamic()), epcm_fault(enclave.dynamic(), on_write));
    EXPECT_EQ(fault_of_call(enclave.dynamic()), epcm_fault(enclave.dynamic(), on_fetch));
    const auto count = sgxemu::epc_count(enclave.fd);
    EXPECT_EQ(count.pending, 1u);
    expect_accept(enclave.dynamic(), pending_rw, SGX_SUCCESS);
    EXPECT_EQ(enclave.read(enclave.dynamic()), 0u);
}

TEST_F(Edmm, AcceptedPageIsZeroReadWriteAndNotExecutable) {
    enclave.commit(enclave.dynamic());
    std::array<uint8_t, page> content{};
    content.fill(0xaa);
    enclave.copy_out(content.data(), enclave.dynamic(), page);
    EXPECT_EQ(content, (std::array<uint8_t, page>{}));
    EXPECT_EQ(fault_of_write(enclave.dynamic()), Fault{});
    EXPECT_EQ(fault_of_call(enclave.dynamic()), epcm_fault(enclave.dynamic(), on_fetch));
}

TEST_F(Edmm, DoubleAcceptIsAMismatch) {
    enclave.commit(enclave.dynamic());
    expect_accept(enclave.dynamic(), pending_rw, SGX_PAGE_ATTRIBUTES_MISMATCH);
}

// The OS removes an accepted page and adds a fresh one in its place: EACCEPT cannot tell, which is
// why an enclave keeps its own record.
TEST_F(Edmm, PageSwappedAfterATrimCanBeAcceptedAgain) {
    enclave.commit(enclave.dynamic());
    enclave.write(enclave.dynamic(), 77);
    trim(enclave.dynamic());
    ASSERT_EQ(enclave.remove(enclave.dynamic()), 0);
    expect_accept(enclave.dynamic(), pending_rw, SGX_SUCCESS);
    EXPECT_EQ(enclave.read(enclave.dynamic()), 0u);
}

TEST_F(Edmm, AcceptMustNameThePagesState) {
    EXPECT_EQ(fault_of_read(enclave.dynamic()).vector, 14u);
    const uint64_t mismatches[] = {
        reg_r | SGX_SECINFO_PENDING,
        SGX_SECINFO_REG | SGX_SECINFO_PENDING,
        pending_rw | SGX_SECINFO_X,
        reg_rw | SGX_SECINFO_PR,
        tcs_modified,
        trim_modified,
    };
    for (const uint64_t flags : mismatches) {
        SCOPED_TRACE(flags);
        expect_accept(enclave.dynamic(), flags, SGX_PAGE_ATTRIBUTES_MISMATCH);
    }
    EXPECT_EQ(sgxemu::epc_count(enclave.fd).pending, 1u);
}

TEST_F(Edmm, IllegalAcceptRequestsAreGeneralProtection) {
    EXPECT_EQ(fault_of_read(enclave.dynamic()).vector, 14u);
    const uint64_t illegal[] = {
        reg_rw,                             // neither PENDING nor PR
        pending_rw | SGX_SECINFO_MODIFIED,  // a regular page is never MODIFIED
        SGX_SECINFO_TRIM,                   // not MODIFIED
        trim_modified | SGX_SECINFO_PENDING,
        tcs_modified | SGX_SECINFO_PENDING,
        trim_modified | SGX_SECINFO_PR,
        tcs_modified | SGX_SECINFO_PR,
        SGX_SECINFO_SECS | SGX_SECINFO_MODIFIED,
        (3u << 8) | SGX_SECINFO_MODIFIED,  // VA
        pending_rw | 1u << 6,              // reserved
        pending_rw | 1u << 16,
    };
    for (const uint64_t flags : illegal) {
        SCOPED_TRACE(flags);
        expect_accept_fault(enclave.dynamic(), flags, gp());
    }
    EXPECT_EQ(sgxemu::epc_count(enclave.fd).pending, 1u);
}

TEST_F(Edmm, AcceptOperandsAreChecked) {
    const uint64_t secinfo = enclave.put_secinfo(pending_rw);
    const auto expect = [&](uint64_t info, uint64_t address, const Fault& fault) {
        EXPECT_EQ(fault_of(enclave.enclu(op, SGX_ENCLU_EACCEPT, info, address)), fault);
        enclave.give_up();
    };
    expect(secinfo + 16, enclave.dynamic(), gp());
    expect(secinfo, enclave.dynamic() + 16, gp());
    expect(enclave.at(256), enclave.dynamic(), gp());
    expect(secinfo, enclave.at(256), gp());
    expect(secinfo, enclave.base - page, gp());
    expect(enclave.tcs(), enclave.dynamic(), epcm_fault(enclave.tcs(), on_read));
    expect(enclave.dynamic(3), enclave.dynamic(), epcm_fault(enclave.dynamic(3), on_read));
}

TEST_F(Edmm, AcceptOutsideAnyMappingIsAnOrdinaryFault) {
    expect_accept_fault(enclave.at(100), pending_rw, os_fault(enclave.at(100), on_read));
    EXPECT_EQ(sgxemu::epc_count(enclave.fd).pending, 0u);
}

TEST_F(Edmm, EnteringAtAnAbsentOrRegularPageFaults) {
    EXPECT_EQ(fault_of(enclave.enter_at(enclave.dynamic(), op)),
              epcm_fault(enclave.dynamic(), on_read));
    EXPECT_EQ(fault_of(enclave.enter_at(enclave.data(), op)), epcm_fault(enclave.data(), on_read));
    EXPECT_EQ(fault_of(enclave.enter_at(enclave.tcs() + 8, op)), gp());
}

// --- EMODPE --------------------------------------------------------------------------------------

TEST_F(Edmm, EmodpeExtendsPermissions) {
    enclave.commit(enclave.dynamic());
    const auto code = code_page(7);
    enclave.copy_in(enclave.dynamic(), code.data(), code.size());
    emodpe(enclave.dynamic(), reg_r | SGX_SECINFO_X);
    Op call{.code = OpCode::call, .a = enclave.dynamic()};
    ASSERT_TRUE(enclave.enter(call).exited());
    EXPECT_EQ(call.rax, 7u);
    // It only adds: the page is still writable.
    EXPECT_EQ(fault_of_write(enclave.dynamic() + 64), Fault{});
    EXPECT_EQ(sgxemu::epc_count(enclave.fd).writable_executable, 1u);
}

TEST_F(Edmm, EmodpeLeavesRaxAndFlagsAlone) {
    enclave.commit(enclave.dynamic());
    emodpe(enclave.dynamic(), reg_rw);
    EXPECT_EQ(op.rax, uint64_t{SGX_ENCLU_EMODPE});
    // CF and ZF as the addition before the ENCLU left them.
    EXPECT_EQ(op.flags, 1u | flag_zf);
}

TEST_F(Edmm, EmodpeOfAPendingPageFaults) {
    EXPECT_EQ(fault_of(enclave.emodpe(op, enclave.dynamic(), reg_rw)),
              epcm_fault(enclave.dynamic(), on_read));
}

TEST_F(Edmm, EmodpeOfATcsFaults) {
    EXPECT_EQ(fault_of(enclave.emodpe(op, enclave.tcs(), reg_rw)),
              epcm_fault(enclave.tcs(), on_read));
}

TEST_F(Edmm, EmodpeChecksItsOperands) {
    const uint64_t secinfo = enclave.put_secinfo(reg_rw);
    const auto expect_gp = [&](uint64_t info, uint64_t address) {
        EXPECT_EQ(fault_of(enclave.enclu(op, SGX_ENCLU_EMODPE, info, address)), gp());
        enclave.give_up();
    };
    expect_gp(secinfo + 8, enclave.data(1));
    expect_gp(secinfo, enclave.data(1) + 8);
    expect_gp(enclave.at(256), enclave.data(1));
    expect_gp(secinfo, enclave.at(256));
    expect_gp(enclave.put_secinfo(reg_rw | 1u << 16), enclave.data(1));
}

TEST_F(Edmm, EmodpeDoesNotGiveWriteWithoutRead) {
    ASSERT_TRUE(
        enclave.eacceptcopy(op, enclave.dynamic(), enclave.data(1), SGX_SECINFO_REG).exited());
    EXPECT_EQ(fault_of(enclave.emodpe(op, enclave.dynamic(), SGX_SECINFO_REG | SGX_SECINFO_W)),
              gp());
}

// Pages of the measured image stay under the cap of their build-time permissions for ever.
TEST_F(Edmm, EmodpeCannotMakeMeasuredCodeWritable) {
    emodpe(enclave.code(), reg_rw);
    // The EPCM would allow it; the mapping does not, and cannot be widened.
    EXPECT_EQ(fault_of_write(enclave.code() + page - 8),
              os_fault(enclave.code(), on_write | SGX_PFEC_P));
    EXPECT_EQ(sgxemu::mprotect(reinterpret_cast<void*>(enclave.code()), page,
                               PROT_READ | PROT_WRITE | PROT_EXEC),
              -1);
    EXPECT_EQ(errno, EACCES);
}

// --- EMODPR: RESTRICT_PERMISSIONS ----------------------------------------------------------------

TEST_F(Edmm, RestrictTakesEffectAtOnceAndIsAccepted) {
    enclave.commit(enclave.dynamic());
    ASSERT_EQ(enclave.restrict(enclave.dynamic(), SGX_SECINFO_R), 0);
    EXPECT_EQ(enclave.last_count, page);
    EXPECT_EQ(fault_of_write(enclave.dynamic()), epcm_fault(enclave.dynamic(), on_write));
    EXPECT_EQ(enclave.read(enclave.dynamic()), 0u);
    expect_accept(enclave.dynamic(), reg_r | SGX_SECINFO_PR, SGX_SUCCESS);
    emodpe(enclave.dynamic(), reg_rw);
    EXPECT_EQ(fault_of_write(enclave.dynamic()), Fault{});
}

TEST_F(Edmm, RestrictIgnoresWhatThePageDoesNotHave) {
    enclave.commit(enclave.dynamic());
    ASSERT_EQ(enclave.restrict(enclave.dynamic(), SGX_SECINFO_R | SGX_SECINFO_X), 0);
    EXPECT_EQ(fault_of_call(enclave.dynamic()), epcm_fault(enclave.dynamic(), on_fetch));
    expect_accept(enclave.dynamic(), reg_r | SGX_SECINFO_X | SGX_SECINFO_PR,
                  SGX_PAGE_ATTRIBUTES_MISMATCH);
    expect_accept(enclave.dynamic(), reg_r | SGX_SECINFO_PR, SGX_SUCCESS);
}

TEST_F(Edmm, RestrictOfAPendingPageReportsTheSgxCode) {
    EXPECT_EQ(fault_of_read(enclave.dynamic()).vector, 14u);
    EXPECT_EQ(enclave.restrict(enclave.dynamic(), SGX_SECINFO_R), -EFAULT);
    EXPECT_EQ(enclave.last_result, uint64_t{SGX_PAGE_NOT_MODIFIABLE});
    EXPECT_EQ(enclave.last_count, 0u);
}

TEST_F(Edmm, RestrictStopsAtTheFirstPageItCannotChange) {
    enclave.commit(enclave.dynamic(0));
    enclave.commit(enclave.dynamic(1));
    EXPECT_EQ(enclave.restrict(enclave.dynamic(), SGX_SECINFO_R, 4), -EFAULT);
    EXPECT_EQ(enclave.last_count, 2 * page);
    EXPECT_EQ(enclave.last_result, 0u);
    EXPECT_EQ(fault_of_write(enclave.dynamic(1)), epcm_fault(enclave.dynamic(1), on_write));
}

TEST_F(Edmm, RestrictChecksItsArguments) {
    EXPECT_EQ(enclave.restrict(enclave.tcs(), SGX_SECINFO_R), -EINVAL);
    EXPECT_EQ(enclave.restrict(enclave.data(), SGX_SECINFO_W), -EINVAL);
    EXPECT_EQ(enclave.restrict(enclave.data(), 8), -EINVAL);
    EXPECT_EQ(enclave.restrict(enclave.data() + 8, SGX_SECINFO_R), -EINVAL);
    EXPECT_EQ(enclave.restrict(enclave.data(), SGX_SECINFO_R, 0), -EINVAL);
    EXPECT_EQ(enclave.restrict(enclave.at(255), SGX_SECINFO_R, 2), -EINVAL);
    sgx_enclave_restrict_permissions p{};
    p.offset = page;
    p.length = page;
    p.permissions = SGX_SECINFO_R;
    p.count = 1;
    EXPECT_EQ(sgxemu::ioctl(enclave.fd, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, &p), -EINVAL);
    EXPECT_EQ(sgxemu::ioctl(enclave.fd, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, nullptr), -EFAULT);
}

// --- EMODT: MODIFY_TYPES, and REMOVE_PAGES -------------------------------------------------------

TEST_F(Edmm, TrimLifeCycle) {
    enclave.commit(enclave.dynamic());
    const auto before = sgxemu::epc_count(enclave.fd);
    ASSERT_EQ(enclave.modify_type(enclave.dynamic(), SGX_PT_TRIM), 0);
    EXPECT_EQ(sgxemu::epc_count(enclave.fd).trimmed, 1u);
    EXPECT_EQ(fault_of_read(enclave.dynamic()), epcm_fault(enclave.dynamic(), on_read));
    // Not before the enclave agrees.
    EXPECT_EQ(enclave.remove(enclave.dynamic()), -EPERM);
    EXPECT_EQ(enclave.last_count, 0u);
    expect_accept(enclave.dynamic(), trim_modified, SGX_SUCCESS);
    EXPECT_EQ(fault_of_read(enclave.dynamic()), epcm_fault(enclave.dynamic(), on_read));
    EXPECT_EQ(enclave.remove(enclave.dynamic()), 0);
    EXPECT_EQ(enclave.last_count, page);
    const auto after = sgxemu::epc_count(enclave.fd);
    EXPECT_EQ(after.valid, before.valid - 1);
    EXPECT_EQ(after.trimmed, 0u);
}

TEST_F(Edmm, TrimAcceptedTwiceIsAMismatch) {
    enclave.commit(enclave.dynamic());
    trim(enclave.dynamic());
    expect_accept(enclave.dynamic(), trim_modified, SGX_PAGE_ATTRIBUTES_MISMATCH);
}

TEST_F(Edmm, TrimTakesAllPermissions) {
    enclave.commit(enclave.dynamic());
    ASSERT_EQ(enclave.modify_type(enclave.dynamic(), SGX_PT_TRIM), 0);
    expect_accept(enclave.dynamic(), trim_modified | SGX_SECINFO_R | SGX_SECINFO_W,
                  SGX_PAGE_ATTRIBUTES_MISMATCH);
}

TEST_F(Edmm, TrimOfAPageUnderChangeIsRefused) {
    EXPECT_EQ(fault_of_read(enclave.dynamic()).vector, 14u);
    EXPECT_EQ(enclave.modify_type(enclave.dynamic(), SGX_PT_TRIM), -EFAULT);
    EXPECT_EQ(enclave.last_result, uint64_t{SGX_PAGE_NOT_MODIFIABLE});
    expect_accept(enclave.dynamic(), pending_rw, SGX_SUCCESS);
    ASSERT_EQ(enclave.modify_type(enclave.dynamic(), SGX_PT_TRIM), 0);
    // Its type is TRIM already.
    EXPECT_EQ(enclave.modify_type(enclave.dynamic(), SGX_PT_TRIM), -EINVAL);
}

TEST_F(Edmm, TrimOfAnAbsentPageFails) {
    enclave.commit(enclave.dynamic());
    EXPECT_EQ(enclave.modify_type(enclave.dynamic(), SGX_PT_TRIM, 3), -EFAULT);
    EXPECT_EQ(enclave.last_count, page);
    EXPECT_EQ(enclave.last_result, 0u);
}

TEST_F(Edmm, RemoveOfPagesThatAreNotTrimmedFails) {
    EXPECT_EQ(enclave.remove(enclave.data()), -EPERM);
    EXPECT_EQ(enclave.remove(enclave.dynamic()), -EFAULT);
    EXPECT_EQ(enclave.remove(enclave.at(255), 2), -EINVAL);
}

TEST_F(Edmm, ModifyTypeChecksItsArguments) {
    EXPECT_EQ(enclave.modify_type(enclave.data(), SGX_PT_REG), -EINVAL);
    EXPECT_EQ(enclave.modify_type(enclave.data(), SGX_PT_SECS), -EINVAL);
    EXPECT_EQ(enclave.modify_type(enclave.data(), 0x104), -EINVAL);
    EXPECT_EQ(enclave.modify_type(enclave.tcs(), SGX_PT_TCS), -EINVAL);
}

TEST_F(Edmm, RunsOfPagesInOneCall) {
    constexpr size_t count = 100;
    Op loop{.code = OpCode::enclu_loop,
            .a = SGX_ENCLU_EACCEPT,
            .b = enclave.put_secinfo(pending_rw),
            .c = enclave.dynamic(),
            .d = count};
    ASSERT_TRUE(enclave.enter(loop).exited());
    ASSERT_EQ(loop.rax, 0u);
    ASSERT_EQ(loop.flags, 0u);
    ASSERT_EQ(enclave.modify_type(enclave.dynamic(), SGX_PT_TRIM, count), 0);
    loop.b = enclave.put_secinfo(trim_modified);
    ASSERT_TRUE(enclave.enter(loop).exited());
    ASSERT_EQ(loop.rax, 0u);
    ASSERT_EQ(enclave.remove(enclave.dynamic(), count), 0);
    EXPECT_EQ(enclave.last_count, count * page);
    const auto after = sgxemu::epc_count(enclave.fd);
    EXPECT_EQ(after.trimmed, 0u);
    EXPECT_EQ(after.valid, 13u);
}

// --- TCS pages made at run time ------------------------------------------------------------------

TEST_F(Edmm, DynamicTcsCanBeEntered) {
    // A TCS, two SSA frames and the save page, laid out as the built ones.
    for (size_t i = 0; i < 7; ++i)
        enclave.commit(enclave.dynamic(i));
    sgx_tcs tcs{};
    enclave.copy_out(&tcs, enclave.data(3), sizeof(tcs));
    tcs.ossa = (TestEnclave::dynamic_page + 1) * page;
    tcs.nssa = 2;
    tcs.oentry = enclave.entry_offset();
    enclave.copy_in(enclave.dynamic(), &tcs, sizeof(tcs));
    ASSERT_EQ(enclave.modify_type(enclave.dynamic(), SGX_PT_TCS), 0);
    // Not before it is accepted.
    EXPECT_EQ(fault_of(enclave.enter_at(enclave.dynamic(), op)),
              os_fault(enclave.dynamic(), on_read));
    // The cap of a TCS is RW: a mapping that asks for more maps nothing.
    ASSERT_EQ(
        sgxemu::mprotect(reinterpret_cast<void*>(enclave.dynamic()), page, PROT_READ | PROT_WRITE),
        0);
    EXPECT_EQ(fault_of(enclave.enter_at(enclave.dynamic(), op)),
              epcm_fault(enclave.dynamic(), on_read));
    expect_accept(enclave.dynamic(), tcs_modified, SGX_SUCCESS);
    Op read{.code = OpCode::read, .a = enclave.code()};
    ASSERT_TRUE(enclave.enter_at(enclave.dynamic(), read).exited());
    EXPECT_EQ(read.rax, 0x1122334455667788u);
    // Its content is out of reach now, and it can be trimmed but not turned back.
    EXPECT_EQ(fault_of_read(enclave.dynamic()), epcm_fault(enclave.dynamic(), on_read));
    trim(enclave.dynamic());
    EXPECT_EQ(enclave.remove(enclave.dynamic()), 0);
}

TEST_F(Edmm, MalformedTcsIsNotAccepted) {
    enclave.commit(enclave.dynamic());
    sgx_tcs tcs{};
    tcs.nssa = 1;
    tcs.reserved[100] = 1;
    enclave.copy_in(enclave.dynamic(), &tcs, sizeof(tcs));
    void* at = reinterpret_cast<void*>(enclave.dynamic());
    ASSERT_EQ(sgxemu::mprotect(at, page, PROT_READ | PROT_WRITE), 0);
    ASSERT_EQ(enclave.modify_type(enclave.dynamic(), SGX_PT_TCS), 0);
    expect_accept_fault(enclave.dynamic(), tcs_modified, gp());
}

// A page of zeroes, as in the API tests of Intel's memory manager.
TEST_F(Edmm, TcsWithoutSsaFramesIsAcceptedAndNeverEntered) {
    enclave.commit(enclave.dynamic());
    void* at = reinterpret_cast<void*>(enclave.dynamic());
    ASSERT_EQ(sgxemu::mprotect(at, page, PROT_READ | PROT_WRITE), 0);
    ASSERT_EQ(enclave.modify_type(enclave.dynamic(), SGX_PT_TCS), 0);
    expect_accept(enclave.dynamic(), tcs_modified, SGX_SUCCESS);
    EXPECT_EQ(fault_of(enclave.enter_at(enclave.dynamic(), op)), gp());
}

TEST_F(Edmm, TcsInUseIsNotAccepted) {
    enclave.commit(enclave.dynamic());
    sgx_tcs tcs{};
    tcs.nssa = 1;
    tcs.cssa = 2;
    enclave.copy_in(enclave.dynamic(), &tcs, sizeof(tcs));
    void* at = reinterpret_cast<void*>(enclave.dynamic());
    ASSERT_EQ(sgxemu::mprotect(at, page, PROT_READ | PROT_WRITE), 0);
    ASSERT_EQ(enclave.modify_type(enclave.dynamic(), SGX_PT_TCS), 0);
    expect_accept_fault(enclave.dynamic(), tcs_modified, gp());
}

// --- A machine with SGX1 only --------------------------------------------------------------------

TEST(EdmmSgx1, NothingOfSgx2Exists) {
    ASSERT_EQ(sgxemu::configure({.sgx2 = false}), 0);
    {
        TestEnclave enclave({.nssa = 4});
        Op op;
        EXPECT_EQ(fault_of(enclave.eaccept(op, enclave.dynamic(), pending_rw)), gp());
        enclave.give_up();
        EXPECT_EQ(fault_of(enclave.emodpe(op, enclave.data(1), reg_rw)), gp());
        enclave.give_up();
        Op read{.code = OpCode::read, .a = enclave.dynamic()};
        EXPECT_EQ(fault_of(enclave.enter(read)), os_fault(enclave.dynamic(), on_read));
        enclave.give_up();
        EXPECT_EQ(enclave.restrict(enclave.data(), SGX_SECINFO_R), -ENODEV);
        EXPECT_EQ(enclave.modify_type(enclave.data(), SGX_PT_TRIM), -ENODEV);
        EXPECT_EQ(enclave.remove(enclave.data()), -ENODEV);
        EXPECT_EQ(sgxemu::epc_count(enclave.fd).pending, 0u);
    }
    EXPECT_EQ(sgxemu::configure({}), 0);
}

TEST(EdmmConfiguration, CannotChangeWhileAnEnclaveExists) {
    TestEnclave enclave;
    EXPECT_EQ(sgxemu::configure({}), -EBUSY);
}

}  // namespace
}  // namespace sgxemu_test
