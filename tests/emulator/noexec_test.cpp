// ADD_PAGES takes no page from a mapping that could not be made executable (deny noexec).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {
namespace {

// Exit codes of the child.
constexpr int cannot_mount = 77;

// A file of two pages on a file system of our own, mounted with these flags, mapped twice in a row:
// an anonymous page before it.
uint8_t* map_source(unsigned long mount_flags) {
    const std::string folder = std::filesystem::temp_directory_path().string();
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", folder.c_str(), "tmpfs", mount_flags, nullptr) != 0) {
        ::_exit(cannot_mount);
    }
    const int file = ::open((folder + "/pages").c_str(), O_RDWR | O_CREAT, 0600);
    if (file < 0 || ::ftruncate(file, 2 * page) != 0) ::_exit(cannot_mount);
    auto* at = static_cast<uint8_t*>(
        ::mmap(nullptr, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (::mmap(at + page, 2 * page, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED) {
        ::_exit(cannot_mount);
    }
    return at;
}

// In a child: adds three pages; 0 when the result and the progress are these.
int add(unsigned long mount_flags, int wanted, uint64_t wanted_count) {
    const auto* source = map_source(mount_flags);
    const int fd = sgxemu::open();
    constexpr size_t size = 64 * page;
    void* area = ::mmap(nullptr, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const uint64_t base = (reinterpret_cast<uint64_t>(area) + size - 1) & ~(size - 1);
    sgx_secs secs{};
    secs.size = size;
    secs.base = base;
    secs.ssa_frame_size = 1;
    secs.attributes = {SGX_ATTR_MODE64BIT, 3};
    sgx_enclave_create create{reinterpret_cast<uint64_t>(&secs)};
    if (sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_CREATE, &create) != 0) return 1;
    sgx_secinfo secinfo{};
    secinfo.flags = SGX_SECINFO_REG | SGX_SECINFO_R;
    sgx_enclave_add_pages p{};
    p.src = reinterpret_cast<uint64_t>(source);
    p.length = 3 * page;
    p.secinfo = reinterpret_cast<uint64_t>(&secinfo);
    if (sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, &p) != wanted) return 2;
    return p.count == wanted_count ? 0 : 3;
}

int in_child(unsigned long mount_flags, int wanted, uint64_t wanted_count) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(add(mount_flags, wanted, wanted_count));
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
    return WEXITSTATUS(status);
}

TEST(Noexec, SourceOnAFileSystemWithoutExecution) {
    const int result = in_child(MS_NOEXEC, -EACCES, page);
    if (result == cannot_mount) GTEST_SKIP() << "may not mount a file system here";
    EXPECT_EQ(result, 0);
    EXPECT_EQ(in_child(0, 0, 3 * page), 0);
}

}  // namespace
}  // namespace sgxemu_test
