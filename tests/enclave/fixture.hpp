// What the enclave tests share.
#pragma once

#include <gtest/gtest.h>

#include "emulator/sgxemu.hpp"
#include "sgxdl/host.hpp"
#include "tests/enclave/image/interface.hpp"

namespace sgxdl::test {

// SGXDL_TEST_IMAGE is set by CMake: the signed test enclave.
class EnclaveTest : public testing::Test {
 protected:
    static host::EnclaveOptions quiet() {
        host::EnclaveOptions options;
        options.housekeeping = false;
        return options;
    }
    host::Enclave enclave{SGXDL_TEST_IMAGE, quiet()};
};

// EPCM pages of an enclave, by the emulator's own count; skips where there is no emulator.
#define SGXDL_NEED_EMULATOR(enclave)                                             \
    if (!(enclave).platform().starts_with("emulator")) {                         \
        GTEST_SKIP() << "counts pages in the emulator; this is a kernel device"; \
    }

}  // namespace sgxdl::test
