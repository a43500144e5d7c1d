// The kernel's SGX device.

#include <elf.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "host/device.hpp"

namespace sgxdl::host {

namespace {

constexpr const char* device_path = "/dev/sgx_enclave";

class KernelDevice final : public SgxDevice {
 public:
    explicit KernelDevice(vdso_sgx_enter_enclave_t enter) : enter_(enter) {}
    const char* name() const override { return "kernel"; }
    int open() override {
        const int descriptor = ::open(device_path, O_RDWR | O_CLOEXEC);
        return descriptor < 0 ? -errno : descriptor;
    }
    int close(int descriptor) override { return ::close(descriptor) == 0 ? 0 : -errno; }
    int ioctl(int descriptor, unsigned long request, void* argument) override {
        return ::ioctl(descriptor, request, argument) == 0 ? 0 : -errno;
    }
    void* mmap(void* address, size_t size, int protection, int flags, int descriptor) override {
        return ::mmap(address, size, protection, flags, descriptor, 0);
    }
    int munmap(void* address, size_t size) override { return ::munmap(address, size); }
    vdso_sgx_enter_enclave_t enter() const override { return enter_; }

 private:
    vdso_sgx_enter_enclave_t enter_;
};

}  // namespace

// The vDSO is a small shared object that the kernel maps; its dynamic symbols are the interface
// (Documentation/ABI/stable/vdso).
void* find_in_vdso(const char* name) {
    const unsigned long base = getauxval(AT_SYSINFO_EHDR);
    if (base == 0) return nullptr;
    const auto* header = reinterpret_cast<const Elf64_Ehdr*>(base);
    const auto* segments = reinterpret_cast<const Elf64_Phdr*>(base + header->e_phoff);
    unsigned long bias = 0;
    const Elf64_Dyn* dynamic = nullptr;
    for (int i = 0; i < header->e_phnum; ++i) {
        if (segments[i].p_type == PT_LOAD) {
            bias = base + segments[i].p_offset - segments[i].p_vaddr;
        } else if (segments[i].p_type == PT_DYNAMIC) {
            dynamic = reinterpret_cast<const Elf64_Dyn*>(base + segments[i].p_offset);
        }
    }
    if (dynamic == nullptr) return nullptr;
    const Elf64_Sym* symbols = nullptr;
    const char* strings = nullptr;
    const Elf64_Word* hash = nullptr;
    for (; dynamic->d_tag != DT_NULL; ++dynamic) {
        const unsigned long address = bias + dynamic->d_un.d_ptr;
        switch (dynamic->d_tag) {
            case DT_SYMTAB:
                symbols = reinterpret_cast<const Elf64_Sym*>(address);
                break;
            case DT_STRTAB:
                strings = reinterpret_cast<const char*>(address);
                break;
            case DT_HASH:
                hash = reinterpret_cast<const Elf64_Word*>(address);
                break;
            default:
                break;
        }
    }
    if (symbols == nullptr || strings == nullptr || hash == nullptr) return nullptr;
    const Elf64_Word count = hash[1];  // nchain: as many as there are symbols (gABI, hash table)
    for (Elf64_Word i = 0; i < count; ++i) {
        if (symbols[i].st_shndx != SHN_UNDEF && strcmp(strings + symbols[i].st_name, name) == 0) {
            return reinterpret_cast<void*>(bias + symbols[i].st_value);
        }
    }
    return nullptr;
}

std::shared_ptr<SgxDevice> make_kernel_device(std::string* why_not) {
    const int descriptor = ::open(device_path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0) {
        *why_not = std::string(device_path) + ": " + strerror(errno);
        return nullptr;
    }
    ::close(descriptor);
    void* const enter = find_in_vdso("__vdso_sgx_enter_enclave");
    if (enter == nullptr) {
        *why_not = "the vDSO has no __vdso_sgx_enter_enclave";
        return nullptr;
    }
    return std::make_shared<KernelDevice>(reinterpret_cast<vdso_sgx_enter_enclave_t>(enter));
}

}  // namespace sgxdl::host
