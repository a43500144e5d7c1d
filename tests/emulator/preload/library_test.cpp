// Libraries that a program under the preload form opens while it runs.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <array>

namespace {

using Cpuid = void(unsigned int, unsigned int, unsigned int*);

bool sees_sgx(Cpuid* cpuid) {
    std::array<unsigned int, 4> registers{};
    cpuid(0x12, 0, registers.data());
    return (registers[0] & 3) == 3;
}

// Before the device has been opened; and again after it went, wherever it comes then.
TEST(PreloadLibrary, CpuidInALibraryOpenedLaterHasSgx) {
    for (int i = 0; i < 3; ++i) {
        void* library = ::dlopen(SGXEMU_PLUGIN, RTLD_NOW | RTLD_LOCAL);
        ASSERT_NE(library, nullptr) << ::dlerror();
        auto* const cpuid = reinterpret_cast<Cpuid*>(::dlsym(library, "plugin_cpuid"));
        ASSERT_NE(cpuid, nullptr) << ::dlerror();
        EXPECT_TRUE(sees_sgx(cpuid));
        EXPECT_EQ(::dlclose(library), 0);
    }
}

// The caller decides what the pseudo handles mean, and errors are the C library's.
TEST(PreloadLibrary, DlsymIsTheCLibrarys) {
    void* const of_program = ::dlsym(RTLD_DEFAULT, "dlsym");
    void* const next = ::dlsym(RTLD_NEXT, "dlsym");
    EXPECT_NE(of_program, nullptr);
    EXPECT_EQ(next, of_program)
        << "the next after the program itself is the first of its libraries";
    EXPECT_EQ(::dlsym(RTLD_DEFAULT, "no_such_function"), nullptr);
    EXPECT_NE(::dlerror(), nullptr);
}

}  // namespace
