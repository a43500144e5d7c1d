// The emulator in place of the kernel's SGX device.

#include "emulator/settings.hpp"
#include "emulator/sgxemu.hpp"
#include "host/device.hpp"
#include "sgxdl/host.hpp"

namespace sgxdl::host {

namespace {

class EmulatorDevice final : public SgxDevice {
 public:
    const char* name() const override { return "emulator"; }
    int open() override { return sgxemu::open(); }
    int close(int descriptor) override { return sgxemu::close(descriptor); }
    int ioctl(int descriptor, unsigned long request, void* argument) override {
        return sgxemu::ioctl(descriptor, request, argument);
    }
    void* mmap(void* address, size_t size, int protection, int flags, int descriptor) override {
        return sgxemu::mmap(address, size, protection, flags, descriptor, 0);
    }
    int munmap(void* address, size_t size) override { return sgxemu::munmap(address, size); }
    vdso_sgx_enter_enclave_t enter() const override { return sgxemu::sgxemu_enter_enclave; }
};

}  // namespace

std::shared_ptr<SgxDevice> make_emulator_device() {
    sgxemu::MachineConfig machine;
    if (const char* const error = sgxemu::read_settings(machine)) throw Error(error);
    return std::make_shared<EmulatorDevice>();
}

}  // namespace sgxdl::host
