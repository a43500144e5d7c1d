// What the enclave tests share.
#pragma once

#include <gtest/gtest.h>

#include "emulator/sgxemu.hpp"
#include "sgxdl/host.hpp"
#include "tests/enclave/image/interface.hpp"
#include "tests/image_form.hpp"

namespace sgxdl::test {

// SGXDL_TEST_IMAGE and SGXDL_TEST_STATIC_IMAGE are set by CMake: the signed test enclave.
inline const char* test_image() {
    return static_form() ? SGXDL_TEST_STATIC_IMAGE : SGXDL_TEST_IMAGE;
}

// STATIC_ARENA in CMakeLists.txt, pages.
inline constexpr size_t static_arena_pages = (16u << 20) / 4096;

class EnclaveTest : public testing::Test {
 protected:
    static host::EnclaveOptions quiet() {
        host::EnclaveOptions options;
        options.housekeeping = false;
        return options;
    }
    host::Enclave enclave{test_image(), quiet()};
};

// EPCM pages of an enclave, by the emulator's own count; skips where there is no emulator.
#define SGXDL_NEED_EMULATOR(enclave)                                             \
    if (!(enclave).platform().starts_with("emulator")) {                         \
        GTEST_SKIP() << "counts pages in the emulator; this is a kernel device"; \
    }

}  // namespace sgxdl::test
