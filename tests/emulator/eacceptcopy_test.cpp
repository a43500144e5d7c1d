// Every rule of EACCEPTCOPY (SDM volume 3D, 38.4): W^X of loaded code rests on them.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "tests/emulator/test_enclave.hpp"

extern "C" const uint8_t enclave_code_begin[];
extern "C" const uint8_t enclave_code_end[];

namespace sgxemu_test {
namespace {

constexpr uint64_t reg_r = SGX_SECINFO_REG | SGX_SECINFO_R;
constexpr uint64_t reg_rw = reg_r | SGX_SECINFO_W;
constexpr uint64_t reg_rx = reg_r | SGX_SECINFO_X;
constexpr uint64_t reg_rwx = reg_rw | SGX_SECINFO_X;

class Eacceptcopy : public testing::Test {
 protected:
    TestEnclave enclave;
    Op op;

    Entry run(uint64_t secinfo, uint64_t destination, uint64_t source) {
        return enclave.enclu(op, SGX_ENCLU_EACCEPTCOPY, secinfo, destination, source);
    }
    // The leaf faults and changes nothing.
    void expect_fault(uint64_t secinfo, uint64_t destination, uint64_t source, const Fault& fault) {
        const Entry entry = run(secinfo, destination, source);
        EXPECT_EQ(fault_of(entry), fault);
        enclave.give_up();
    }
    void expect_flags_refused(uint64_t flags) {
        expect_fault(enclave.put_secinfo(flags), enclave.dynamic(), enclave.data(1), gp());
        EXPECT_EQ(sgxemu::epc_count(enclave.fd).pending, 1u);
    }
    void expect_mismatch(uint64_t destination) {
        const Entry entry = run(enclave.put_secinfo(reg_rx), destination, enclave.data(1));
        ASSERT_TRUE(entry.exited()) << fault_of(entry);
        EXPECT_EQ(op.rax, uint64_t{SGX_PAGE_ATTRIBUTES_MISMATCH});
        EXPECT_EQ(op.flags, flag_zf);
    }
    void copy_to(uint64_t destination, uint64_t source, uint64_t flags) {
        const Entry entry = enclave.eacceptcopy(op, destination, source, flags);
        ASSERT_TRUE(entry.exited()) << fault_of(entry);
        ASSERT_EQ(op.rax, uint64_t{SGX_SUCCESS});
    }
    // A code page that answers 42 at data(1).
    uint64_t staged_code() {
        const auto bytes = code_page(42);
        enclave.copy_in(enclave.data(1), bytes.data(), bytes.size());
        return enclave.data(1);
    }
    Fault fault_of_write(uint64_t address) {
        Op write{.code = OpCode::write, .a = address, .b = 1};
        const Fault fault = fault_of(enclave.enter(write));
        if (fault.vector != 0) enclave.give_up();
        return fault;
    }
    Fault fault_of_call(uint64_t address) {
        Op call{.code = OpCode::call, .a = address};
        const Fault fault = fault_of(enclave.enter(call));
        if (fault.vector != 0) enclave.give_up();
        return fault;
    }
};

// --- Success -------------------------------------------------------------------------------------

TEST_F(Eacceptcopy, CopiesTheWholePage) {
    std::array<uint8_t, page> content;
    for (size_t i = 0; i < page; ++i)
        content[i] = static_cast<uint8_t>(i * 131 + i / 256);
    enclave.copy_in(enclave.data(1), content.data(), page);
    copy_to(enclave.dynamic(), enclave.data(1), reg_r);
    std::array<uint8_t, page> copied{}, source{};
    enclave.copy_out(copied.data(), enclave.dynamic(), page);
    enclave.copy_out(source.data(), enclave.data(1), page);
    EXPECT_EQ(copied, content);
    EXPECT_EQ(source, content);
}

TEST_F(Eacceptcopy, LaterChangesOfTheSourceDoNotReachTheCopy) {
    enclave.write(enclave.data(1), 1);
    copy_to(enclave.dynamic(), enclave.data(1), reg_rw);
    enclave.write(enclave.data(1), 2);
    EXPECT_EQ(enclave.read(enclave.dynamic()), 1u);
}

TEST_F(Eacceptcopy, SuccessClearsRaxAndFlags) {
    copy_to(enclave.dynamic(), enclave.data(1), reg_rx);
    EXPECT_EQ(op.rax, 0u);
    EXPECT_EQ(op.flags, 0u);
}

TEST_F(Eacceptcopy, AddsAnAbsentDestination) {
    const auto before = sgxemu::epc_count(enclave.fd);
    copy_to(enclave.dynamic(), enclave.data(1), reg_rx);
    const auto after = sgxemu::epc_count(enclave.fd);
    EXPECT_EQ(after.regular, before.regular + 1);
    EXPECT_EQ(after.executable, before.executable + 1);
    EXPECT_EQ(after.pending, 0u);
}

TEST_F(Eacceptcopy, AcceptsAPageThatWasAddedBefore) {
    EXPECT_EQ(fault_of_write(enclave.dynamic()), epcm_fault(enclave.dynamic(), on_write));
    ASSERT_EQ(sgxemu::epc_count(enclave.fd).pending, 1u);
    copy_to(enclave.dynamic(), enclave.data(1), reg_rw);
    EXPECT_EQ(sgxemu::epc_count(enclave.fd).pending, 0u);
}

// --- The permissions given become those of the EPCM ----------------------------------------------

TEST_F(Eacceptcopy, ReadExecutePageRunsAndIsNotWritable) {
    copy_to(enclave.dynamic(), staged_code(), reg_rx);
    Op call{.code = OpCode::call, .a = enclave.dynamic()};
    ASSERT_TRUE(enclave.enter(call).exited());
    EXPECT_EQ(call.rax, 42u);
    EXPECT_EQ(fault_of_write(enclave.dynamic()), epcm_fault(enclave.dynamic(), on_write));
    EXPECT_EQ(sgxemu::epc_count(enclave.fd).writable_executable, 0u);
}

TEST_F(Eacceptcopy, ReadWritePageDoesNotRun) {
    copy_to(enclave.dynamic(), staged_code(), reg_rw);
    EXPECT_EQ(fault_of_write(enclave.dynamic() + 64), Fault{});
    EXPECT_EQ(fault_of_call(enclave.dynamic()), epcm_fault(enclave.dynamic(), on_fetch));
}

TEST_F(Eacceptcopy, ReadOnlyPageNeitherRunsNorIsWritable) {
    copy_to(enclave.dynamic(), staged_code(), reg_r);
    EXPECT_EQ(fault_of_write(enclave.dynamic()), epcm_fault(enclave.dynamic(), on_write));
    EXPECT_EQ(fault_of_call(enclave.dynamic()), epcm_fault(enclave.dynamic(), on_fetch));
}

// The hardware does not know W^X: it gives what it is asked for.
TEST_F(Eacceptcopy, ReadWriteExecuteIsGranted) {
    copy_to(enclave.dynamic(), staged_code(), reg_rwx);
    EXPECT_EQ(fault_of_write(enclave.dynamic() + 64), Fault{});
    EXPECT_EQ(fault_of_call(enclave.dynamic()), Fault{});
    EXPECT_EQ(sgxemu::epc_count(enclave.fd).writable_executable, 1u);
}

TEST_F(Eacceptcopy, PageWithoutAnyPermissionIsInaccessible) {
    copy_to(enclave.dynamic(), enclave.data(1), SGX_SECINFO_REG);
    Op read{.code = OpCode::read, .a = enclave.dynamic()};
    EXPECT_EQ(fault_of(enclave.enter(read)), epcm_fault(enclave.dynamic(), on_read));
}

// The page tables still count: the EPCM's permissions are granted within them.
TEST_F(Eacceptcopy, MappingWithoutExecuteWins) {
    copy_to(enclave.dynamic(), staged_code(), reg_rx);
    void* at = reinterpret_cast<void*>(enclave.dynamic());
    ASSERT_EQ(sgxemu::mprotect(at, page, PROT_READ), 0);
    EXPECT_EQ(fault_of_call(enclave.dynamic()), os_fault(enclave.dynamic(), on_fetch | SGX_PFEC_P));
}

// --- Operand checks: #GP -------------------------------------------------------------------------

TEST_F(Eacceptcopy, UnalignedOperands) {
    const uint64_t secinfo = enclave.put_secinfo(reg_rx);
    expect_fault(secinfo + 32, enclave.dynamic(), enclave.data(1), gp());
    expect_fault(secinfo + 1, enclave.dynamic(), enclave.data(1), gp());
    expect_fault(secinfo, enclave.dynamic() + 8, enclave.data(1), gp());
    expect_fault(secinfo, enclave.dynamic() + 2048, enclave.data(1), gp());
    expect_fault(secinfo, enclave.dynamic(), enclave.data(1) + 64, gp());
    EXPECT_EQ(sgxemu::epc_count(enclave.fd).pending, 0u);
}

TEST_F(Eacceptcopy, OperandsOutsideElrange) {
    alignas(page) static std::array<uint8_t, page> host_page{};
    const auto host = reinterpret_cast<uint64_t>(host_page.data());
    const uint64_t secinfo = enclave.put_secinfo(reg_rx);
    const uint64_t past = enclave.at(256);
    expect_fault(host, enclave.dynamic(), enclave.data(1), gp());
    expect_fault(secinfo, host, enclave.data(1), gp());
    expect_fault(secinfo, enclave.dynamic(), host, gp());
    expect_fault(past, enclave.dynamic(), enclave.data(1), gp());
    expect_fault(secinfo, past, enclave.data(1), gp());
    expect_fault(secinfo, enclave.dynamic(), past, gp());
    expect_fault(secinfo, enclave.base - page, enclave.data(1), gp());
    EXPECT_EQ(sgxemu::epc_count(enclave.fd).pending, 0u);
}

// ELRANGE of all three comes before any translation.
TEST_F(Eacceptcopy, ElrangeIsCheckedBeforePagesAreAdded) {
    expect_fault(enclave.dynamic(1), enclave.dynamic(), enclave.at(256), gp());
    EXPECT_EQ(sgxemu::epc_count(enclave.fd).pending, 0u);
}

// --- SECINFO -------------------------------------------------------------------------------------

TEST_F(Eacceptcopy, ReservedFlagsAreRefused) {
    expect_flags_refused(reg_rx | 1u << 6);
    expect_flags_refused(reg_rx | 1u << 7);
    expect_flags_refused(reg_rx | 1u << 16);
    expect_flags_refused(reg_rx | uint64_t{1} << 63);
}

TEST_F(Eacceptcopy, ReservedBytesAreRefused) {
    for (const size_t at : {8u, 40u, 63u}) {
        std::array<uint8_t, 64> secinfo{};
        std::memcpy(secinfo.data(), &reg_rx, 8);
        secinfo[at] = 1;
        enclave.copy_in(enclave.data(), secinfo.data(), secinfo.size());
        expect_fault(enclave.data(), enclave.dynamic(), enclave.data(1), gp());
    }
}

TEST_F(Eacceptcopy, WriteWithoutReadIsRefused) {
    expect_flags_refused(SGX_SECINFO_REG | SGX_SECINFO_W);
    expect_flags_refused(SGX_SECINFO_REG | SGX_SECINFO_W | SGX_SECINFO_X);
}

TEST_F(Eacceptcopy, OnlyRegularPages) {
    for (const uint64_t type : {SGX_SECINFO_SECS, SGX_SECINFO_TCS, SGX_SECINFO_TRIM, 3 << 8}) {
        expect_flags_refused(type | SGX_SECINFO_R);
    }
}

TEST_F(Eacceptcopy, SecinfoOnAPendingPage) {
    expect_fault(enclave.dynamic(5), enclave.dynamic(), enclave.data(1),
                 epcm_fault(enclave.dynamic(5), on_read));
}

TEST_F(Eacceptcopy, SecinfoOnATcs) {
    expect_fault(enclave.tcs(), enclave.dynamic(), enclave.data(1),
                 epcm_fault(enclave.tcs(), on_read));
}

TEST_F(Eacceptcopy, SecinfoOnAnUnmappedPage) {
    ASSERT_EQ(sgxemu::munmap(reinterpret_cast<void*>(enclave.dynamic(9)), page), 0);
    expect_fault(enclave.dynamic(9), enclave.dynamic(), enclave.data(1),
                 os_fault(enclave.dynamic(9), on_read));
}

TEST_F(Eacceptcopy, SecinfoMayLieAnywhereInAReadablePage) {
    const sgx_secinfo secinfo{.flags = reg_rx, .reserved = {}};
    enclave.copy_in(enclave.data(2, page - 64), &secinfo, sizeof(secinfo));
    const Entry entry = run(enclave.data(2, page - 64), enclave.dynamic(), enclave.data(1));
    ASSERT_TRUE(entry.exited()) << fault_of(entry);
    EXPECT_EQ(op.rax, 0u);
}

// --- Source --------------------------------------------------------------------------------------

TEST_F(Eacceptcopy, PendingSource) {
    expect_fault(enclave.put_secinfo(reg_rx), enclave.dynamic(), enclave.dynamic(1),
                 epcm_fault(enclave.dynamic(1), on_read));
    EXPECT_EQ(sgxemu::epc_count(enclave.fd).pending, 2u);
}

TEST_F(Eacceptcopy, DestinationAsItsOwnSource) {
    expect_fault(enclave.put_secinfo(reg_rx), enclave.dynamic(), enclave.dynamic(),
                 epcm_fault(enclave.dynamic(), on_read));
}

TEST_F(Eacceptcopy, TcsAsSource) {
    expect_fault(enclave.put_secinfo(reg_rx), enclave.dynamic(), enclave.tcs(),
                 epcm_fault(enclave.tcs(), on_read));
}

TEST_F(Eacceptcopy, SourceBeingTrimmed) {
    enclave.commit(enclave.dynamic(1));
    ASSERT_EQ(enclave.modify_type(enclave.dynamic(1), SGX_PT_TRIM), 0);
    expect_fault(enclave.put_secinfo(reg_rx), enclave.dynamic(), enclave.dynamic(1),
                 epcm_fault(enclave.dynamic(1), on_read));
}

TEST_F(Eacceptcopy, SourceWithoutEpcmRead) {
    copy_to(enclave.dynamic(1), enclave.data(1), SGX_SECINFO_REG);
    expect_fault(enclave.put_secinfo(reg_rx), enclave.dynamic(), enclave.dynamic(1),
                 epcm_fault(enclave.dynamic(1), on_read));
}

TEST_F(Eacceptcopy, SourceThatTheMappingDenies) {
    enclave.commit(enclave.dynamic(1));
    ASSERT_EQ(sgxemu::mprotect(reinterpret_cast<void*>(enclave.dynamic(1)), page, PROT_NONE), 0);
    expect_fault(enclave.put_secinfo(reg_rx), enclave.dynamic(), enclave.dynamic(1),
                 os_fault(enclave.dynamic(1), SGX_PFEC_P));
}

TEST_F(Eacceptcopy, ReadOnlySourceIsEnough) {
    copy_to(enclave.dynamic(), enclave.constant(), reg_r);
    EXPECT_EQ(enclave.read(enclave.dynamic()), enclave.read(enclave.constant()));
}

// --- Destination: SGX_PAGE_ATTRIBUTES_MISMATCH ---------------------------------------------------

TEST_F(Eacceptcopy, DoubleAcceptIsRefused) {
    enclave.write(enclave.data(1), 7);
    copy_to(enclave.dynamic(), enclave.data(1), reg_rx);
    enclave.write(enclave.data(1), 8);
    expect_mismatch(enclave.dynamic());
    EXPECT_EQ(enclave.read(enclave.dynamic()), 7u);
    EXPECT_EQ(fault_of_write(enclave.dynamic()), epcm_fault(enclave.dynamic(), on_write));
}

TEST_F(Eacceptcopy, DestinationAcceptedByEaccept) {
    enclave.commit(enclave.dynamic());
    expect_mismatch(enclave.dynamic());
}

TEST_F(Eacceptcopy, DestinationOfTheMeasuredImage) {
    expect_mismatch(enclave.data(2));
    EXPECT_EQ(enclave.read(enclave.data(2)), 0u);
}

TEST_F(Eacceptcopy, DestinationBeingTrimmed) {
    enclave.commit(enclave.dynamic());
    ASSERT_EQ(enclave.modify_type(enclave.dynamic(), SGX_PT_TRIM), 0);
    expect_mismatch(enclave.dynamic());
}

TEST_F(Eacceptcopy, DestinationThatIsATcs) {
    // Mapped read-write: the page tables let the leaf see the entry.
    expect_mismatch(enclave.tcs());
}

TEST_F(Eacceptcopy, DestinationMustBeMappedWritable) {
    void* at = reinterpret_cast<void*>(enclave.dynamic());
    ASSERT_EQ(sgxemu::mprotect(at, page, PROT_READ | PROT_EXEC), 0);
    expect_fault(enclave.put_secinfo(reg_rx), enclave.dynamic(), enclave.data(1),
                 os_fault(enclave.dynamic(), on_write));
}

// --- Around it -----------------------------------------------------------------------------------

// An ENCLU that ran stands rewritten in the EPC; a copy of its page must not show that.
TEST_F(Eacceptcopy, CopyOfExecutedCodeIsTheOriginal) {
    copy_to(enclave.dynamic(), enclave.code(), reg_r);
    std::array<uint8_t, page> copied{};
    enclave.copy_out(copied.data(), enclave.dynamic(), page);
    EXPECT_TRUE(std::equal(enclave_code_begin, enclave_code_end, copied.begin()));
}

TEST_F(Eacceptcopy, PageCanBeUsedAgainAfterTrim) {
    for (uint64_t round = 1; round <= 3; ++round) {
        enclave.write(enclave.data(1), round);
        copy_to(enclave.dynamic(), enclave.data(1), reg_rx);
        EXPECT_EQ(enclave.read(enclave.dynamic()), round);
        ASSERT_EQ(enclave.modify_type(enclave.dynamic(), SGX_PT_TRIM), 0);
        ASSERT_TRUE(enclave.eaccept(op, enclave.dynamic(), SGX_SECINFO_TRIM | SGX_SECINFO_MODIFIED)
                        .exited());
        ASSERT_EQ(op.rax, 0u);
        ASSERT_EQ(enclave.remove(enclave.dynamic()), 0);
    }
    EXPECT_EQ(sgxemu::epc_count(enclave.fd).executable, 1u);
}

TEST(EacceptcopySgx1, IsAGeneralProtectionFault) {
    ASSERT_EQ(sgxemu::configure({.sgx2 = false}), 0);
    {
        TestEnclave enclave;
        Op op;
        const Entry entry = enclave.enclu(op, SGX_ENCLU_EACCEPTCOPY, enclave.put_secinfo(reg_rx),
                                          enclave.dynamic(), enclave.data(1));
        EXPECT_EQ(fault_of(entry), gp());
    }
    EXPECT_EQ(sgxemu::configure({}), 0);
}

// Without EPC the leaf faults, and goes through when the host has found a page.
TEST(EacceptcopyEpc, FullEpcIsAFaultThatCanBeCured) {
    // SECS, code, 4 data, constant, TCS, 4 SSA, save page: 13, and one for a dynamic page.
    ASSERT_EQ(sgxemu::configure({.epc_pages = 14, .reclaim = false}), 0);
    {
        TestEnclave enclave;
        enclave.commit(enclave.dynamic(1));
        Op op;
        const Entry entry = enclave.enclu(op, SGX_ENCLU_EACCEPTCOPY, enclave.put_secinfo(reg_rx),
                                          enclave.dynamic(), enclave.data(1));
        EXPECT_EQ(fault_of(entry), os_fault(enclave.dynamic(), on_write));
        ASSERT_EQ(enclave.modify_type(enclave.dynamic(1), SGX_PT_TRIM), 0);
        Op trim;
        ASSERT_TRUE(
            enclave.eaccept(trim, enclave.dynamic(1), SGX_SECINFO_TRIM | SGX_SECINFO_MODIFIED)
                .exited());
        ASSERT_EQ(enclave.remove(enclave.dynamic(1)), 0);
        enclave.put_secinfo(reg_rx);
        EXPECT_TRUE(enclave.enter(op, 0, SGX_ENCLU_ERESUME).exited());
        EXPECT_EQ(op.rax, 0u);
        EXPECT_EQ(sgxemu::epc_count(enclave.fd).executable, 2u);
    }
    EXPECT_EQ(sgxemu::configure({}), 0);
}

}  // namespace
}  // namespace sgxemu_test
