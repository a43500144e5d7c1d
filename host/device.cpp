#include "host/device.hpp"

namespace sgxdl::host {

std::shared_ptr<SgxDevice> choose_device(std::string* reason) {
    std::string why_not;
    if (std::shared_ptr<SgxDevice> kernel = make_kernel_device(&why_not)) {
        if (reason != nullptr) *reason = "SGX device of the kernel";
        return kernel;
    }
    if (reason != nullptr) *reason = "emulator, which protects nothing (" + why_not + ")";
    return make_emulator_device();
}

}  // namespace sgxdl::host
