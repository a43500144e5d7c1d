// Building an enclave: what ECREATE, EADD and EINIT refuse, with the driver's errnos and the SGX
// error codes behind them; how EPC and enclaves are counted.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {
namespace {

uint64_t address_of(const void* p) {
    return reinterpret_cast<uint64_t>(p);
}

// --- EINIT ---------------------------------------------------------------------------------------

struct Refusal {
    const char* what;
    void (*before_signing)(sgx_sigstruct&);
    void (*after_signing)(sgx_sigstruct&);
    int error;
    int code;  // of EINIT; -1: the driver refused before it
};

const Refusal refusals[] = {
    {"nothing changed", nullptr, [](sgx_sigstruct&) {}, 0, SGX_SUCCESS},
    {"other measurement", [](sgx_sigstruct& s) { s.enclave_hash[5] ^= 1; }, nullptr, -EPERM,
     SGX_INVALID_MEASUREMENT},
    {"body changed after signing", nullptr, [](sgx_sigstruct& s) { s.isv_svn += 1; }, -EPERM,
     SGX_INVALID_SIGNATURE},
    {"hash changed after signing", nullptr, [](sgx_sigstruct& s) { s.enclave_hash[0] ^= 1; },
     -EPERM, SGX_INVALID_SIGNATURE},
    {"date changed after signing", nullptr, [](sgx_sigstruct& s) { s.date += 1; }, -EPERM,
     SGX_INVALID_SIGNATURE},
    {"signature changed", nullptr, [](sgx_sigstruct& s) { s.signature[0] ^= 1; }, -EPERM,
     SGX_INVALID_SIGNATURE},
    {"q1 changed", nullptr, [](sgx_sigstruct& s) { s.q1[0] ^= 1; }, -EPERM, SGX_INVALID_SIGNATURE},
    {"q2 changed", nullptr, [](sgx_sigstruct& s) { s.q2[0] ^= 1; }, -EPERM, SGX_INVALID_SIGNATURE},
    {"modulus changed", nullptr, [](sgx_sigstruct& s) { s.modulus[10] ^= 1; }, -EPERM,
     SGX_INVALID_SIGNATURE},
    {"modulus zero", nullptr, [](sgx_sigstruct& s) { std::memset(s.modulus, 0, 384); }, -EPERM,
     SGX_INVALID_SIGNATURE},
    {"exponent 65537", nullptr, [](sgx_sigstruct& s) { s.exponent = 65537; }, -EPERM,
     SGX_INVALID_SIG_STRUCT},
    {"header", [](sgx_sigstruct& s) { s.header[0] = 7; }, nullptr, -EPERM, SGX_INVALID_SIG_STRUCT},
    {"second header", [](sgx_sigstruct& s) { s.header2[0] = 7; }, nullptr, -EPERM,
     SGX_INVALID_SIG_STRUCT},
    {"reserved bytes", [](sgx_sigstruct& s) { s.reserved1[3] = 1; }, nullptr, -EPERM,
     SGX_INVALID_SIG_STRUCT},
    {"reserved bytes of the body", [](sgx_sigstruct& s) { s.reserved3[3] = 1; }, nullptr, -EPERM,
     SGX_INVALID_SIG_STRUCT},
    {"vendor", [](sgx_sigstruct& s) { s.vendor = 1; }, nullptr, -EINVAL, -1},
    {"Intel as vendor", [](sgx_sigstruct& s) { s.vendor = 0x8086; }, nullptr, 0, SGX_SUCCESS},
    {"attributes", [](sgx_sigstruct& s) { s.attributes.flags ^= SGX_ATTR_DEBUG; }, nullptr, -EPERM,
     SGX_INVALID_ATTRIBUTE},
    {"attributes that the mask ignores",
     [](sgx_sigstruct& s) {
         s.attributes.flags ^= SGX_ATTR_DEBUG;
         s.attributes_mask.flags &= ~uint64_t{SGX_ATTR_DEBUG};
     },
     nullptr, 0, SGX_SUCCESS},
    {"XFRM", [](sgx_sigstruct& s) { s.attributes.xfrm = 3; }, nullptr, -EPERM,
     SGX_INVALID_ATTRIBUTE},
    {"MISCSELECT", [](sgx_sigstruct& s) { s.miscselect = 1; }, nullptr, -EPERM,
     SGX_INVALID_ATTRIBUTE},
};

TEST(Einit, RefusesWhatDoesNotFit) {
    for (const Refusal& r : refusals) {
        SCOPED_TRACE(r.what);
        Options options;
        options.before_signing = r.before_signing;
        options.after_signing = r.after_signing;
        options.expect_refusal = true;
        TestEnclave enclave(options);
        EXPECT_EQ(enclave.init_error, r.error);
        EXPECT_EQ(sgxemu::einit_result(enclave.fd), r.code);
        Op op;
        const Entry entry = enclave.enter(op);
        uint8_t mrenclave[32];
        if (r.error == 0) {
            EXPECT_TRUE(entry.exited());
        } else {
            // Not initialised: EENTER is #GP.
            EXPECT_EQ(fault_of(entry), gp());
            EXPECT_EQ(sgxemu::measurement(enclave.fd, mrenclave), -ENOENT);
        }
    }
}

TEST(Einit, ContentOfAMeasuredPageCounts) {
    for (const size_t at : {size_t{4095}, 5 * page, 4 * page + 2048}) {
        Options options;
        TestEnclave plain(options);
        options.edit_image = [at](std::vector<uint8_t>& image) { image[at] ^= 1; };
        TestEnclave edited(options);
        EXPECT_NE(plain.mrenclave, edited.mrenclave);
        EXPECT_EQ(plain.init_error, 0);
        EXPECT_EQ(edited.init_error, 0);
    }
}

TEST(Einit, ProvisionKeyNeedsPermission) {
    Options options;
    options.attributes |= SGX_ATTR_PROVISIONKEY;
    options.expect_refusal = true;
    TestEnclave enclave(options);
    EXPECT_EQ(enclave.init_error, -EACCES);
    sgx_enclave_provision provision{static_cast<uint64_t>(enclave.fd)};
    EXPECT_EQ(sgxemu::ioctl(enclave.fd, SGX_IOC_ENCLAVE_PROVISION, &provision), -EINVAL);
    EXPECT_EQ(sgxemu::ioctl(enclave.fd, SGX_IOC_ENCLAVE_PROVISION, nullptr), -EFAULT);
}

TEST(Einit, OnlyOnceAndNothingCanBeAddedAfter) {
    TestEnclave enclave;
    sgx_sigstruct sigstruct = make_sigstruct({}, enclave.mrenclave);
    sign(sigstruct);
    sgx_enclave_init init{address_of(&sigstruct)};
    EXPECT_EQ(sgxemu::ioctl(enclave.fd, SGX_IOC_ENCLAVE_INIT, &init), -EINVAL);
    sgx_enclave_add_pages add{};
    EXPECT_EQ(sgxemu::ioctl(enclave.fd, SGX_IOC_ENCLAVE_ADD_PAGES, &add), -EINVAL);
}

// --- ECREATE -------------------------------------------------------------------------------------

class Driver : public testing::Test {
 protected:
    static constexpr uint64_t size = 64 * page;
    int fd = -1;
    sgx_secs secs{};
    alignas(page) uint8_t source[2 * page] = {};

    void SetUp() override {
        fd = sgxemu::open();
        ASSERT_GE(fd, 0);
        secs.size = size;
        secs.base = 0x10000000000;
        secs.ssa_frame_size = 1;
        secs.attributes = {SGX_ATTR_MODE64BIT, 3};
    }
    void TearDown() override { EXPECT_EQ(sgxemu::close(fd), 0); }

    int create() {
        sgx_enclave_create p{address_of(&secs)};
        return sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_CREATE, &p);
    }
    int add(uint64_t offset, uint64_t flags, uint64_t length = page) {
        sgx_secinfo secinfo{};
        secinfo.flags = flags;
        sgx_enclave_add_pages p{};
        p.src = address_of(source);
        p.offset = offset;
        p.length = length;
        p.secinfo = address_of(&secinfo);
        const int error = sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, &p);
        count = p.count;
        return error;
    }
    uint64_t count = 0;
};

constexpr uint64_t reg_rw = SGX_SECINFO_REG | SGX_SECINFO_R | SGX_SECINFO_W;

TEST_F(Driver, CreateRefusesBadSecs) {
    const sgx_secs good = secs;
    const auto expect = [&](int error) {
        EXPECT_EQ(create(), error);
        secs = good;
    };
    secs.size = 3 * page;
    expect(-EINVAL);
    secs.size = 0;
    expect(-EINVAL);
    secs.size = page;
    expect(-EIO);
    secs.size = uint64_t{1} << 40;
    expect(-EIO);
    secs.base = page;
    expect(-EIO);
    secs.base = uint64_t{1} << 47;
    expect(-EIO);
    secs.ssa_frame_size = 0;
    expect(-EIO);
    secs.attributes.flags = 0;
    expect(-EIO);
    secs.attributes.flags |= SGX_ATTR_INIT;
    expect(-EIO);
    secs.attributes.flags |= 1u << 3;
    expect(-EIO);
    secs.attributes.xfrm = 1;
    expect(-EIO);
    secs.attributes.xfrm = 3 | uint64_t{1} << 62;
    expect(-EIO);
    secs.miscselect = 2;
    expect(-EIO);
    secs.reserved4[3833] = 1;
    expect(-EIO);
    secs.config_svn = 1;
    expect(-EIO);
    expect(0);
    // Once only.
    expect(-EINVAL);
}

TEST_F(Driver, CreateRefusesBadPointers) {
    sgx_enclave_create p{8};
    EXPECT_EQ(sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_CREATE, &p), -EFAULT);
    EXPECT_EQ(sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_CREATE, nullptr), -EFAULT);
}

// --- EADD ----------------------------------------------------------------------------------------

TEST_F(Driver, AddRefusesBadArguments) {
    EXPECT_EQ(add(0, reg_rw), -EINVAL);  // before CREATE
    ASSERT_EQ(create(), 0);
    EXPECT_EQ(add(8, reg_rw), -EINVAL);
    EXPECT_EQ(add(0, reg_rw, 0), -EINVAL);
    EXPECT_EQ(add(0, reg_rw, 100), -EINVAL);
    EXPECT_EQ(add(size, reg_rw), -EINVAL);
    EXPECT_EQ(add(size - page, reg_rw, 2 * page), -EINVAL);
    EXPECT_EQ(add(~uint64_t{0} - page + 1, reg_rw, 2 * page), -EINVAL);
    EXPECT_EQ(add(0, SGX_SECINFO_REG | SGX_SECINFO_W), -EINVAL);
    EXPECT_EQ(add(0, SGX_SECINFO_TCS | SGX_SECINFO_R), -EINVAL);
    EXPECT_EQ(add(0, SGX_SECINFO_TRIM), -EINVAL);
    EXPECT_EQ(add(0, SGX_SECINFO_SECS), -EINVAL);
    EXPECT_EQ(add(0, reg_rw | SGX_SECINFO_PENDING), -EINVAL);
    EXPECT_EQ(sgxemu::epc_count(fd).valid, 1u);
}

TEST_F(Driver, AddRefusesBadPointers) {
    ASSERT_EQ(create(), 0);
    sgx_secinfo secinfo{};
    secinfo.flags = reg_rw;
    sgx_enclave_add_pages p{};
    p.src = address_of(source) + 8;
    p.length = page;
    p.secinfo = address_of(&secinfo);
    EXPECT_EQ(sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, &p), -EINVAL);
    p.src = page;
    EXPECT_EQ(sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, &p), -EFAULT);
    p.src = address_of(source);
    p.secinfo = 64;
    EXPECT_EQ(sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, &p), -EFAULT);
    EXPECT_EQ(sgxemu::epc_count(fd).valid, 1u);
}

TEST_F(Driver, AddTwiceIsBusyAndReportsProgress) {
    ASSERT_EQ(create(), 0);
    ASSERT_EQ(add(page, reg_rw), 0);
    EXPECT_EQ(count, page);
    EXPECT_EQ(add(0, reg_rw, 2 * page), -EBUSY);
    EXPECT_EQ(count, page);
    EXPECT_EQ(sgxemu::epc_count(fd).regular, 2u);
}

TEST_F(Driver, AddRefusesATcsWithReservedBits) {
    ASSERT_EQ(create(), 0);
    source[72] = 1;  // the first reserved byte
    EXPECT_EQ(add(0, SGX_SECINFO_TCS), -EIO);
    source[72] = 0;
    EXPECT_EQ(add(0, SGX_SECINFO_TCS), 0);
}

TEST_F(Driver, NotAnIoctlOfTheDriver) {
    EXPECT_EQ(sgxemu::ioctl(fd, 0x1234, nullptr), -ENOTTY);
}

TEST_F(Driver, EdmmNeedsAnInitialisedEnclave) {
    ASSERT_EQ(create(), 0);
    sgx_enclave_modify_types p{};
    EXPECT_EQ(sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_MODIFY_TYPES, &p), -EINVAL);
}

// --- EPC -----------------------------------------------------------------------------------------

TEST(Epc, IsBounded) {
    ASSERT_EQ(sgxemu::configure({.epc_pages = 15, .reclaim = false}), 0);
    {
        TestEnclave enclave;
        enclave.commit(enclave.dynamic(0));
        enclave.commit(enclave.dynamic(1));
        Op read{.code = OpCode::read, .a = enclave.dynamic(2)};
        EXPECT_EQ(fault_of(enclave.enter(read)), os_fault(enclave.dynamic(2), on_read));
        EXPECT_EQ(sgxemu::epc_count(enclave.fd).valid, 15u);

        const int fd = sgxemu::open();
        ASSERT_GE(fd, 0);
        sgx_secs secs{};
        secs.size = 4 * page;
        secs.base = 0x10000000000;
        secs.ssa_frame_size = 1;
        secs.attributes = {SGX_ATTR_MODE64BIT, 3};
        sgx_enclave_create create{address_of(&secs)};
        EXPECT_EQ(sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_CREATE, &create), -ENOMEM);
        sgxemu::close(fd);
    }
    EXPECT_EQ(sgxemu::configure({}), 0);
}

TEST(Epc, AddPagesRunsOutInTheMiddle) {
    ASSERT_EQ(sgxemu::configure({.epc_pages = 3, .reclaim = false}), 0);
    const int fd = sgxemu::open();
    sgx_secs secs{};
    secs.size = 4 * page;
    secs.base = 0x10000000000;
    secs.ssa_frame_size = 1;
    secs.attributes = {SGX_ATTR_MODE64BIT, 3};
    sgx_enclave_create create{address_of(&secs)};
    ASSERT_EQ(sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_CREATE, &create), 0);
    alignas(page) static uint8_t source[3 * page];
    sgx_secinfo secinfo{};
    secinfo.flags = reg_rw;
    sgx_enclave_add_pages add{};
    add.src = address_of(source);
    add.length = sizeof(source);
    add.secinfo = address_of(&secinfo);
    EXPECT_EQ(sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, &add), -ENOMEM);
    EXPECT_EQ(add.count, 2 * page);
    sgxemu::close(fd);
    EXPECT_EQ(sgxemu::configure({}), 0);
}

// Every page comes back: the next enclave has them again.
TEST(Epc, DestroyedEnclavesGiveTheirPagesBack) {
    ASSERT_EQ(sgxemu::configure({.epc_pages = 20, .reclaim = false}), 0);
    for (int round = 0; round < 50; ++round) {
        TestEnclave enclave;
        for (size_t i = 0; i < 7; ++i)
            enclave.commit(enclave.dynamic(i));
    }
    EXPECT_EQ(sgxemu::configure({}), 0);
}

TEST(Epc, EnclaveLivesWhileItIsMapped) {
    TestEnclave enclave;
    ASSERT_EQ(sgxemu::close(enclave.fd), 0);
    EXPECT_EQ(enclave.read(enclave.code()), 0x1122334455667788u);
    EXPECT_EQ(sgxemu::configure({}), -EBUSY);
    ASSERT_EQ(sgxemu::munmap(reinterpret_cast<void*>(enclave.base), 256 * page), 0);
    EXPECT_EQ(sgxemu::configure({}), 0);
    EXPECT_FALSE(sgxemu::is_enclave_address(reinterpret_cast<void*>(enclave.base)));
    enclave.fd = -1;
    enclave.base = 0;
}

// --- Mappings ------------------------------------------------------------------------------------

TEST(Mapping, MustBeShared) {
    TestEnclave enclave;
    void* at = reinterpret_cast<void*>(enclave.dynamic());
    EXPECT_EQ(sgxemu::mmap(at, page, PROT_READ, MAP_PRIVATE | MAP_FIXED, enclave.fd, 0),
              MAP_FAILED);
    EXPECT_EQ(errno, EINVAL);
}

TEST(Mapping, NotOutsideElrangeOnceInitialised) {
    TestEnclave enclave;
    EXPECT_EQ(sgxemu::mmap(nullptr, page, PROT_READ, MAP_SHARED, enclave.fd, 0), MAP_FAILED);
    EXPECT_EQ(errno, EACCES);
}

TEST(Mapping, NotBeyondTheBuildTimePermissions) {
    TestEnclave enclave;
    const auto map = [&](uint64_t address, int protection) {
        return sgxemu::mmap(reinterpret_cast<void*>(address), page, protection,
                            MAP_SHARED | MAP_FIXED, enclave.fd, 0) != MAP_FAILED;
    };
    EXPECT_FALSE(map(enclave.code(), PROT_READ | PROT_WRITE));
    EXPECT_EQ(errno, EACCES);
    EXPECT_FALSE(map(enclave.data(), PROT_READ | PROT_EXEC));
    EXPECT_FALSE(map(enclave.constant(), PROT_WRITE));
    EXPECT_FALSE(map(enclave.tcs(), PROT_EXEC));
    EXPECT_TRUE(map(enclave.code(), PROT_READ));
    EXPECT_TRUE(map(enclave.code(), PROT_READ | PROT_EXEC));
    EXPECT_TRUE(map(enclave.tcs(), PROT_READ | PROT_WRITE));
    // Pages added at run time have no cap.
    enclave.commit(enclave.dynamic());
    EXPECT_TRUE(map(enclave.dynamic(), PROT_READ | PROT_WRITE | PROT_EXEC));
}

TEST(Mapping, ProtectionNarrowsAndWidensWithinTheCap) {
    TestEnclave enclave;
    void* at = reinterpret_cast<void*>(enclave.data(2));
    ASSERT_EQ(sgxemu::mprotect(at, page, PROT_READ), 0);
    Op write{.code = OpCode::write, .a = enclave.data(2), .b = 3};
    EXPECT_EQ(fault_of(enclave.enter(write)), os_fault(enclave.data(2), on_write | SGX_PFEC_P));
    ASSERT_EQ(sgxemu::mprotect(at, page, PROT_READ | PROT_WRITE), 0);
    // The very store goes through now.
    EXPECT_TRUE(enclave.enter(write, 0, SGX_ENCLU_ERESUME).exited());
    EXPECT_EQ(enclave.read(enclave.data(2)), 3u);
}

TEST(Mapping, UnmappedPagesKeepTheirContent) {
    TestEnclave enclave;
    enclave.write(enclave.data(2), 11);
    ASSERT_EQ(sgxemu::munmap(reinterpret_cast<void*>(enclave.data(2)), page), 0);
    Op read{.code = OpCode::read, .a = enclave.data(2)};
    EXPECT_EQ(fault_of(enclave.enter(read)), os_fault(enclave.data(2), on_read));
    enclave.give_up();
    ASSERT_NE(sgxemu::mmap(reinterpret_cast<void*>(enclave.data(2)), page, PROT_READ,
                           MAP_SHARED | MAP_FIXED, enclave.fd, 0),
              MAP_FAILED);
    EXPECT_EQ(enclave.read(enclave.data(2)), 11u);
}

TEST(Mapping, MprotectAcrossAHoleOfOtherMemory) {
    TestEnclave enclave;
    void* other = ::mmap(nullptr, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(other, MAP_FAILED);
    EXPECT_EQ(sgxemu::mprotect(other, page, PROT_READ | PROT_WRITE), 0);
    *static_cast<uint8_t*>(other) = 1;
    EXPECT_EQ(sgxemu::munmap(other, page), 0);
}

TEST(Mapping, LargeEnclaveIsSparse) {
    Options options;
    options.pages = 1 << 20;  // 4 GiB
    TestEnclave enclave(options);
    const uint64_t far = enclave.at(options.pages - 1);
    enclave.commit(far);
    enclave.write(far, 5);
    EXPECT_EQ(enclave.read(far), 5u);
    EXPECT_EQ(sgxemu::epc_count(enclave.fd).valid, 14u);
}

}  // namespace
}  // namespace sgxemu_test
