// The image with static pages, for machines without SGX2: what the measurement says about pages
// whose content it does not cover, what the host may have put there, and which machine takes which
// image.

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

#include "emulator/settings.hpp"
#include "enclave/loader/result.hpp"
#include "sgxdl/arch/sgx.h"
#include "sgxdl/signed_image.h"
#include "tests/enclave/fixture.hpp"
#include "tests/loader/workspace.hpp"
#include "tool/front/pack.hpp"

namespace sgxdl::test {

namespace {

constexpr size_t arena_size = 2u << 20, heap_size = 6u << 20;

// A signed image file that can be changed.
struct Image {
    std::vector<char> bytes;
    sgxdl_image_header header;
    std::vector<sgxdl_image_segment> segments;

    explicit Image(const std::string& path) {
        std::ifstream stream(path, std::ios::binary);
        bytes.assign(std::istreambuf_iterator<char>(stream), {});
        memcpy(&header, bytes.data(), sizeof(header));
        segments.resize(header.segment_count);
        memcpy(segments.data(), bytes.data() + header.segments_at,
               segments.size() * sizeof(segments[0]));
    }
    std::string write(const char* name) {
        header.segment_count = static_cast<uint32_t>(segments.size());
        memcpy(bytes.data(), &header, sizeof(header));
        memcpy(bytes.data() + header.segments_at, segments.data(),
               segments.size() * sizeof(segments[0]));
        const std::string path = testing::TempDir() + name;
        std::ofstream(path, std::ios::binary)
            .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        return path;
    }
    sgxdl_image_segment& arena() {
        return *std::find_if(segments.begin(), segments.end(), [](const sgxdl_image_segment& s) {
            return (s.secinfo & SGX_SECINFO_W) != 0 && (s.secinfo & SGX_SECINFO_X) != 0;
        });
    }
};

std::string refusal(const std::string& path) {
    try {
        host::Enclave enclave(path);
        return "";
    } catch (const host::Error& error) {
        return error.what();
    }
}

class StaticImage : public testing::Test {
 protected:
    static void SetUpTestSuite() {
        path = testing::TempDir() + "static" + std::to_string(getpid()) + ".signed";
        const std::string command = std::string(SGXDL_SIGNER) +
                                    " sign-enclave " SGXDL_TEST_ELF " --key " SGXDL_SIGN_KEY
                                    " --product test --vendor-key " SGXDL_VENDOR_KEY
                                    " --static-arena 2M --static-heap 6M --output " +
                                    path + " >/dev/null";
        ASSERT_EQ(system(command.c_str()), 0);
    }
    static inline std::string path;
    Image image{path};
};

}  // namespace

// The host may fill these pages as it likes: EINIT does not see it. The enclave sees nothing of it.
TEST_F(StaticImage, NothingThatTheHostPutThereIsSeen) {
    size_t filled = 0;
    for (sgxdl_image_segment& segment : image.segments) {
        if (segment.measured != 0) continue;
        segment.contents_at = image.bytes.size();
        image.bytes.resize(image.bytes.size() + segment.size, '\x5a');
        filled += segment.size;
    }
    EXPECT_GE(filled, arena_size + heap_size);
    host::EnclaveOptions options;
    options.housekeeping = false;
    host::Enclave enclave(image.write("filled.signed"), options);
    SGXDL_NEED_EMULATOR(enclave);  // reads the enclave's memory
    ASSERT_TRUE(enclave.call<Empty>());
    const uint8_t* const arena = static_cast<const uint8_t*>(enclave.base()) + image.arena().offset;
    EXPECT_EQ(std::count(arena, arena + arena_size, 0x5a), 0) << "the arena is wiped at the start";
    const size_t in_use = static_cast<size_t>(static_cast<ptrdiff_t>(arena_size) -
                                              std::count(arena, arena + arena_size, 0xcc));
    EXPECT_LT(in_use, arena_size / 8) << "what is not in use is traps";
    // Loaded data are zero where they should be, code runs, the heap's records are sound.
    for (int round = 0; round < 3; ++round) {
        ASSERT_TRUE(enclave.load_module(SGXDL_TEST_MODULE));
        const std::string_view module("counter", 8), advance("advance", 8), count("call_count", 11);
        EXPECT_EQ(enclave.call<CallLoaded>(module, advance, 5).value, 6);
        EXPECT_EQ(enclave.call<CallLoaded>(module, count, 0).value, 1);
        ASSERT_TRUE(enclave.unload("counter", {}, true));
        enclave.reclaim_now();
        EXPECT_EQ(enclave.call<Churn>(uint64_t{7}, uint64_t{2000}).value, 0u);
    }
    // What was unloaded is gone; numbers of stubs that were used are not used again.
    EXPECT_LT(static_cast<size_t>(static_cast<ptrdiff_t>(arena_size) -
                                  std::count(arena, arena + arena_size, 0xcc)),
              in_use + 3 * 4096);
}

// Addresses and permissions are measured: no page less, more, or of another kind.
TEST_F(StaticImage, WhatThePagesMayDoIsMeasured) {
    ASSERT_EQ(refusal(path), "");
    Image executable_only = image;
    executable_only.arena().secinfo &= ~uint64_t{SGX_SECINFO_W};
    EXPECT_NE(refusal(executable_only.write("kind.signed")).find("do not match"),
              std::string::npos);
    Image one_less = image;
    one_less.arena().size -= 4096;
    EXPECT_NE(refusal(one_less.write("less.signed")).find("do not match"), std::string::npos);
    Image content_too = image;
    content_too.arena().measured = 1;
    EXPECT_NE(refusal(content_too.write("more.signed")).find("do not match"), std::string::npos);
}

TEST_F(StaticImage, NoPageComesOrGoes) {
    host::Enclave enclave(path);
    SGXDL_NEED_EMULATOR(enclave);
    const sgxemu::EpcCount before = sgxemu::epc_count(enclave.descriptor());
    EXPECT_EQ(before.writable_executable, arena_size / 4096);
    ASSERT_TRUE(enclave.load_module(SGXDL_TEST_MODULE));
    ASSERT_TRUE(enclave.apply_patch(SGXDL_TEST_PATCH));
    enclave.reclaim_now();
    const sgxemu::EpcCount after = sgxemu::epc_count(enclave.descriptor());
    EXPECT_EQ(after.valid, before.valid);
    EXPECT_EQ(after.writable_executable, before.writable_executable);
    EXPECT_FALSE(enclave.w_xor_x());
    EXPECT_EQ(enclave.info().value.w_xor_x, 0u);
}

// The ends of arena and heap are errors like any other.
TEST_F(StaticImage, WhatDoesNotFitIsRefused) {
    host::EnclaveOptions options;
    options.housekeeping = false;
    host::Enclave enclave(path, options);
    Workspace work;
    const front::PackOptions pack{"test", "large", "1.0", 1,
                                  front::read_secret_key(SGXDL_TEST_KEY)};
    const auto large = front::pack_objects(
        {work.compile("large.c", "char ballast[2 << 20]; int run(int x) { return ballast[x]; }")},
        pack);
    const host::OperationReport report = enclave.load_bundle(large);
    EXPECT_EQ(report.status, static_cast<Status>(Code::no_arena)) << report.message();
    ASSERT_TRUE(enclave.load_module(SGXDL_TEST_MODULE));
    EXPECT_FALSE(enclave.call<Commit>(uint64_t{heap_size / 4096}).value);
    ASSERT_TRUE(enclave.apply_patch(SGXDL_TEST_PATCH));
    const std::string_view module("counter", 8), advance("advance", 8);
    EXPECT_EQ(enclave.call<CallLoaded>(module, advance, 1).value, 11);
}

// Refused by the host library, which names the reason, before there is an enclave.
TEST(DynamicImage, NeedsAMachineWithSgx2) {
    sgxemu::MachineConfig machine;
    ASSERT_EQ(sgxemu::read_settings(machine), nullptr);
    const std::string text = refusal(SGXDL_TEST_IMAGE);
    if (machine.sgx2) {
        EXPECT_EQ(text, "");
    } else {
        EXPECT_NE(text.find("needs SGX2"), std::string::npos) << text;
        EXPECT_NE(text.find("--static-arena"), std::string::npos) << text;
        EXPECT_NE(text.find(SGXDL_TEST_IMAGE), std::string::npos) << text;
    }
}

TEST(StaticOptions, AreCheckedByTheSigner) {
    const auto sign = [](const std::string& options) {
        const std::string command = std::string(SGXDL_SIGNER) +
                                    " sign-enclave " SGXDL_TEST_ELF " --key " SGXDL_SIGN_KEY
                                    " --product test --output /dev/null " +
                                    options + " >/dev/null 2>&1";
        return WEXITSTATUS(system(command.c_str()));
    };
    EXPECT_EQ(sign("--static-arena 2M --static-heap 6M"), 0);
    EXPECT_EQ(sign("--static-arena 2M"), 2) << "both or none";
    EXPECT_EQ(sign("--static-heap 2M"), 2);
    EXPECT_EQ(sign("--static-arena 2M --static-heap 6M --arena-mib 4"), 2);
    EXPECT_EQ(sign("--static-arena 512K --static-heap 6M"), 1) << "too small";
    EXPECT_EQ(sign("--static-arena 2M --static-heap 2G"), 1) << "larger than the range";
    EXPECT_EQ(sign("--static-arena 2M --static-heap 6000001"), 1) << "not whole pages";
}

}  // namespace sgxdl::test
