#include "host/device.hpp"

#include <cstdlib>

namespace sgxdl::host {

std::shared_ptr<SgxDevice> choose_device(std::string* reason) {
    std::string why_not;
    // Under the emulator's preload form the device looks like the kernel's.
    const char* const costs = std::getenv("SGXEMU_COSTS");
    const std::string charged = costs == nullptr ? "" : std::string(", cost model ") + costs;
    if (std::shared_ptr<SgxDevice> kernel = make_kernel_device(&why_not)) {
        if (reason != nullptr) *reason = "SGX device of the kernel" + charged;
        return kernel;
    }
    if (reason != nullptr) *reason = "emulator, which protects nothing (" + why_not + ")" + charged;
    return make_emulator_device();
}

}  // namespace sgxdl::host
