// What a program sees of the machine under the preload form, other than enclaves that run.
#include <cpuid.h>
#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "tests/emulator/test_enclave.hpp"
#include "tests/emulator/vdso_symbol.hpp"

namespace sgxemu_test {
namespace {

constexpr const char* device = "/dev/sgx_enclave";

TEST(PreloadDevice, LooksLikeACharacterDevice) {
    struct stat by_path {
    }, by_descriptor{};
    ASSERT_EQ(::stat(device, &by_path), 0);
    EXPECT_TRUE(S_ISCHR(by_path.st_mode));
    EXPECT_EQ(major(by_path.st_rdev), 10u);
    EXPECT_EQ(::access(device, R_OK | W_OK), 0);
    EXPECT_EQ(::access(device, X_OK), -1);
    EXPECT_EQ(errno, EACCES);
    const int fd = ::open(device, O_RDWR);
    ASSERT_GE(fd, 0);
    ASSERT_EQ(::fstat(fd, &by_descriptor), 0);
    EXPECT_EQ(by_descriptor.st_rdev, by_path.st_rdev);
    struct statx more {};
    ASSERT_EQ(::statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &more), 0);
    EXPECT_EQ(more.stx_rdev_major, 10u);
    EXPECT_EQ(::close(fd), 0);
    struct stat provision {};
    ASSERT_EQ(::stat("/dev/sgx_provision", &provision), 0);
    EXPECT_NE(provision.st_rdev, by_path.st_rdev);
    EXPECT_EQ(::stat("/dev/sgx_other", &provision), -1);
    EXPECT_EQ(::stat("/dev/null", &provision), 0);
    EXPECT_EQ(minor(provision.st_rdev), 3u);
}

TEST(PreloadDevice, CloseOnExecIsAsAsked) {
    for (const int flag : {0, O_CLOEXEC}) {
        const int fd = ::open(device, O_RDWR | flag);
        ASSERT_GE(fd, 0);
        EXPECT_EQ(::fcntl(fd, F_GETFD), flag ? FD_CLOEXEC : 0);
        ::close(fd);
    }
}

// Any duplicate is the enclave's, and the last one to be closed ends it.
TEST(PreloadDevice, DuplicatesAreTheEnclaves) {
    for (const int how : {0, 1, 2, 3}) {
        TestEnclave enclave;
        const size_t valid = sgxemu::epc_count(enclave.fd).valid;
        ASSERT_GT(valid, 0u);
        int copy = -1;
        constexpr int number = 400;
        if (how == 0) copy = ::dup(enclave.fd);
        if (how == 1) copy = ::dup2(enclave.fd, number);
        if (how == 2) copy = ::dup3(enclave.fd, number, O_CLOEXEC);
        if (how == 3) copy = ::fcntl(enclave.fd, F_DUPFD_CLOEXEC, number);
        ASSERT_GE(copy, 0);
        EXPECT_EQ(sgxemu::epc_count(copy).valid, valid);
        const int original = enclave.fd;
        EXPECT_EQ(::close(original), 0);
        EXPECT_EQ(sgxemu::descriptor_kind(original), sgxemu::Descriptor::other);
        EXPECT_EQ(sgxemu::descriptor_kind(copy), sgxemu::Descriptor::enclave);
        enclave.fd = copy;
        enclave.commit(enclave.dynamic());
    }
}

TEST(PreloadDevice, NumberUsedAgainIsAnotherFile) {
    const int fd = ::open(device, O_RDWR);
    ASSERT_GE(fd, 0);
    // Past the library: the emulator does not hear of it.
    ASSERT_EQ(::syscall(SYS_close, fd), 0);
    ASSERT_EQ(::open("/dev/null", O_RDWR), fd);
    EXPECT_EQ(sgxemu::descriptor_kind(fd), sgxemu::Descriptor::other);
    sgx_enclave_create create{};
    EXPECT_EQ(::ioctl(fd, SGX_IOC_ENCLAVE_CREATE, &create), -1);
    EXPECT_EQ(errno, ENOTTY);
    ::close(fd);
    const int again = ::open(device, O_RDWR);
    ASSERT_EQ(again, fd);
    EXPECT_EQ(::dup2(STDERR_FILENO, again), again);
    EXPECT_EQ(sgxemu::descriptor_kind(again), sgxemu::Descriptor::other);
    ::close(again);
}

TEST(PreloadDevice, ForkedChildIsToldThatItHasNoEnclave) {
    TestEnclave enclave;
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        sgx_enclave_init init{};
        if (::ioctl(enclave.fd, SGX_IOC_ENCLAVE_INIT, &init) != -1 || errno != ENODEV) ::_exit(1);
        void* p = ::mmap(nullptr, page, PROT_READ, MAP_SHARED, enclave.fd, 0);
        if (p != MAP_FAILED || errno != ENODEV) ::_exit(2);
        struct stat status {};
        if (::fstat(enclave.fd, &status) != 0 || !S_ISCHR(status.st_mode)) ::_exit(3);
        const int own = ::open(device, O_RDWR);
        ::_exit(own >= 0 && ::close(own) == 0 && ::close(enclave.fd) == 0 ? 0 : 4);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_EQ(enclave.read(enclave.code()), 0x1122334455667788u);
}

// SGX_IOC_ENCLAVE_PROVISION with a descriptor of /dev/sgx_provision, and only with that.
TEST(PreloadDevice, ProvisionKeyNeedsTheProvisionDevice) {
    const int provision = ::open("/dev/sgx_provision", O_RDONLY);
    ASSERT_GE(provision, 0);
    const int copy = ::dup(provision);
    ::close(provision);
    Options options;
    options.attributes |= SGX_ATTR_PROVISIONKEY;
    options.expect_refusal = true;
    {
        TestEnclave refused(options);
        EXPECT_EQ(refused.init_error, -EACCES);
        sgx_enclave_provision wrong{static_cast<uint64_t>(STDERR_FILENO)};
        EXPECT_EQ(::ioctl(refused.fd, SGX_IOC_ENCLAVE_PROVISION, &wrong), -1);
        EXPECT_EQ(errno, EINVAL);
    }
    options.provision_fd = copy;
    TestEnclave allowed(options);
    EXPECT_EQ(allowed.init_error, 0);
    ::close(copy);
}

TEST(PreloadDevice, CpuidHasSgx) {
    unsigned int eax = 0, ebx = 0, ecx = 0, edx = 0;
    __cpuid_count(7, 0, eax, ebx, ecx, edx);
    EXPECT_TRUE(ebx & (1u << 2));
    __cpuid_count(0x12, 0, eax, ebx, ecx, edx);
    EXPECT_EQ(eax & 3, 3u);
    uint64_t size = 0;
    for (unsigned int i = 2;; ++i) {
        __cpuid_count(0x12, i, eax, ebx, ecx, edx);
        if ((eax & 15) != 1) break;
        size += (uint64_t{edx & 0xfffff} << 32) | (ecx & 0xfffff000);
    }
    EXPECT_EQ(size, sgxemu::MachineConfig{}.epc_pages * page);
}

// The bytes of a CPUID inside another instruction are left alone.
TEST(PreloadDevice, ConstantsThatLookLikeCpuidAreLeftAlone) {
    uint32_t value = 0;
    asm volatile("movl $0x11a20f22, %0" : "=r"(value));
    EXPECT_EQ(value, 0x11a20f22u);
}

TEST(PreloadDevice, VdsoKeepsTheKernelsFunctions) {
    void* found = vdso_symbol("__vdso_clock_gettime");
    ASSERT_NE(found, nullptr);
    timespec before{}, now{}, after{};
    ::clock_gettime(CLOCK_MONOTONIC, &before);
    ASSERT_EQ(reinterpret_cast<int (*)(clockid_t, timespec*)>(found)(CLOCK_MONOTONIC, &now), 0);
    ::clock_gettime(CLOCK_MONOTONIC, &after);
    EXPECT_LE(before.tv_sec, now.tv_sec);
    EXPECT_LE(now.tv_sec, after.tv_sec);
    EXPECT_EQ(vdso_symbol("__vdso_no_such_function"), nullptr);
}

extern "C" unsigned long vdso_seen_by_constructor();

TEST(PreloadDevice, ConstructorsOfLibrariesFindTheSameVdso) {
    EXPECT_EQ(vdso_seen_by_constructor(), ::getauxval(AT_SYSINFO_EHDR));
}

// Not by PT_DYNAMIC but by the section headers, as some runtimes do.
TEST(PreloadDevice, VdsoHasItsSymbolsAsSections) {
    const uint64_t image = ::getauxval(AT_SYSINFO_EHDR);
    const auto& header = *reinterpret_cast<const Elf64_Ehdr*>(image);
    ASSERT_EQ(header.e_shentsize, sizeof(Elf64_Shdr));
    ASSERT_LT(header.e_shstrndx, header.e_shnum);
    const auto* sections = reinterpret_cast<const Elf64_Shdr*>(image + header.e_shoff);
    const auto find = [&](std::string_view name) -> const Elf64_Shdr* {
        const uint64_t names = image + sections[header.e_shstrndx].sh_offset;
        for (size_t i = 0; i < header.e_shnum; ++i) {
            if (name == reinterpret_cast<const char*>(names + sections[i].sh_name)) {
                return sections + i;
            }
        }
        return nullptr;
    };
    const Elf64_Shdr* symbols = find(".dynsym");
    const Elf64_Shdr* strings = find(".dynstr");
    ASSERT_NE(symbols, nullptr);
    ASSERT_NE(strings, nullptr);
    ASSERT_EQ(symbols->sh_entsize, sizeof(Elf64_Sym));
    EXPECT_EQ(sections + symbols->sh_link, strings);
    const auto* table = reinterpret_cast<const Elf64_Sym*>(image + symbols->sh_offset);
    const auto* text = reinterpret_cast<const char*>(image + strings->sh_offset);
    size_t found = 0;
    for (size_t i = 0; i < symbols->sh_size / sizeof(Elf64_Sym); ++i) {
        const char* name = text + table[i].st_name;
        if (table[i].st_name == 0) continue;
        ++found;
        EXPECT_EQ(reinterpret_cast<void*>(image + table[i].st_value), vdso_symbol(name)) << name;
    }
    EXPECT_GE(found, 2u);
    EXPECT_NE(vdso_symbol("__vdso_sgx_enter_enclave"), nullptr);
}

TEST(PreloadDevice, EnclaveMemoryDoesNotMove) {
    TestEnclave enclave;
    void* at = reinterpret_cast<void*>(enclave.data(1));
    EXPECT_EQ(::mremap(at, page, 2 * page, MREMAP_MAYMOVE), MAP_FAILED);
    EXPECT_EQ(errno, EFAULT);
    EXPECT_EQ(::mmap(nullptr, page, PROT_READ, MAP_PRIVATE, enclave.fd, 0), MAP_FAILED);
    EXPECT_EQ(errno, EINVAL);
}

}  // namespace
}  // namespace sgxemu_test
