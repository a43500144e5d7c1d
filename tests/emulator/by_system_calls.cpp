// The emulator's functions as any program has them: system calls on /dev/sgx_enclave and the vDSO's
// entry function. With this file the tests of the linked form become tests of the preload form.
#include <elf.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "emulator/sgxemu.hpp"
#include "tests/emulator/vdso_symbol.hpp"

namespace sgxemu {

namespace {

int result_of(int value) {
    return value < 0 ? -errno : value;
}

}  // namespace

}  // namespace sgxemu

// As tools/testing/selftests/vDSO/parse_vdso.c of the kernel reads it.
void* sgxemu_test::vdso_symbol(const char* name) {
    const auto base = static_cast<uint64_t>(::getauxval(AT_SYSINFO_EHDR));
    const auto* header = reinterpret_cast<const Elf64_Ehdr*>(base);
    const auto* segment = reinterpret_cast<const Elf64_Phdr*>(base + header->e_phoff);
    const Elf64_Sym* symbols = nullptr;
    const char* strings = nullptr;
    const Elf64_Word* hash = nullptr;
    for (size_t i = 0; i < header->e_phnum; ++i) {
        if (segment[i].p_type != PT_DYNAMIC) continue;
        const auto* entry = reinterpret_cast<const Elf64_Dyn*>(base + segment[i].p_offset);
        for (; entry->d_tag != DT_NULL; ++entry) {
            const auto* at = reinterpret_cast<const void*>(base + entry->d_un.d_ptr);
            if (entry->d_tag == DT_SYMTAB) symbols = static_cast<const Elf64_Sym*>(at);
            if (entry->d_tag == DT_STRTAB) strings = static_cast<const char*>(at);
            if (entry->d_tag == DT_HASH) hash = static_cast<const Elf64_Word*>(at);
        }
    }
    if (symbols == nullptr || strings == nullptr || hash == nullptr) return nullptr;
    for (size_t i = 1; i < hash[1]; ++i) {
        if (std::strcmp(strings + symbols[i].st_name, name) == 0) {
            return reinterpret_cast<void*>(base + symbols[i].st_value);
        }
    }
    return nullptr;
}

namespace sgxemu {

// call_enter.S jumps through it.
extern "C" {
extern void* const vdso_sgx_enter_enclave;
void* const vdso_sgx_enter_enclave = sgxemu_test::vdso_symbol("__vdso_sgx_enter_enclave");
}

asm(R"(
    .text
    .globl sgxemu_enter_enclave
    .type sgxemu_enter_enclave, @function
sgxemu_enter_enclave:
    jmpq *vdso_sgx_enter_enclave(%rip)
    .size sgxemu_enter_enclave, . - sgxemu_enter_enclave
)");

int open(int flags) {
    return result_of(::open("/dev/sgx_enclave", O_RDWR | flags));
}

int open_provision(int flags) {
    return result_of(::open("/dev/sgx_provision", flags));
}

int close(int fd) {
    return result_of(::close(fd));
}

int ioctl(int fd, unsigned long request, void* argument) {
    return result_of(::ioctl(fd, request, argument));
}

void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
    return ::mmap(address, length, protection, flags, fd, offset);
}

int mprotect(void* address, size_t length, int protection) {
    return ::mprotect(address, length, protection);
}

int munmap(void* address, size_t length) {
    return ::munmap(address, length);
}

}  // namespace sgxemu
