// The signed image: measurement, tampering, and the audit of what is linked.

#include <fstream>
#include <iterator>

#include "tests/enclave/fixture.hpp"
#include "tool/signer/audit.hpp"
#include "tool/signer/elf_image.hpp"

namespace sgxdl::test {

namespace {

std::vector<char> read(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

std::string write(const char* name, const std::vector<char>& bytes) {
    const std::string path = testing::TempDir() + name;
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<long>(bytes.size()));
    return path;
}

signer::AuditReport audit_of(signer::ElfImage image) {
    return signer::audit(image);
}

// Overwrites the beginning of a function in the image.
signer::ElfImage with_code(const std::string& function, std::vector<uint8_t> code) {
    signer::ElfImage image = signer::read_elf_image(SGXDL_TEST_ELF);
    const uint64_t at = image.address_of(function);
    for (signer::Segment& segment : image.segments) {
        if (at >= segment.address && at < segment.address + segment.bytes.size()) {
            std::copy(code.begin(), code.end(),
                      segment.bytes.begin() + static_cast<long>(at - segment.address));
        }
    }
    return image;
}

}  // namespace

TEST(Image, SignersMeasurementIsTheMachines) {
    host::Enclave enclave(test_image());
    SGXDL_NEED_EMULATOR(enclave);
    uint8_t measured[32];
    ASSERT_EQ(sgxemu::measurement(enclave.descriptor(), measured), 0);
    std::string text;
    for (const uint8_t byte : measured) {
        char digits[3];
        snprintf(digits, sizeof(digits), "%02x", byte);
        text += digits;
    }
    EXPECT_EQ(text, enclave.mrenclave());
}

TEST(Image, ChangedContentIsRefused) {
    std::vector<char> image = read(test_image());
    image[image.size() - 5000] ^= 1;
    const std::string path = write("changed.signed", image);
    try {
        host::Enclave enclave(path);
        FAIL() << "an image that was changed after signing was accepted";
    } catch (const host::Error& error) {
        EXPECT_NE(std::string(error.what()).find("do not match"), std::string::npos)
            << error.what();
    }
}

TEST(Image, BrokenFilesAreRefusedWithAReason) {
    const std::vector<char> image = read(test_image());
    for (const size_t size : {size_t{0}, size_t{10}, size_t{200}, image.size() / 2}) {
        const std::string path =
            write("short.signed", {image.begin(), image.begin() + static_cast<long>(size)});
        EXPECT_THROW(host::Enclave enclave(path), host::Error) << size;
    }
    // Every 8-byte field of the header, set to a huge value.
    for (size_t at = 0; at + 8 <= 144; at += 8) {
        std::vector<char> broken = image;
        std::fill_n(broken.begin() + static_cast<long>(at), 8, '\xff');
        const std::string path = write("broken.signed", broken);
        if (at >= 112) continue;  // only MRENCLAVE's copy for people
        EXPECT_THROW(host::Enclave enclave(path), host::Error) << "field at " << at;
    }
    EXPECT_THROW(host::Enclave enclave("/nonexistent"), host::Error);
}

TEST(Image, SigningTwiceGivesTheSameMeasurement) {
    const std::string first = testing::TempDir() + "first.signed";
    const std::string command = std::string(SGXDL_SIGNER) + " sign-enclave " SGXDL_TEST_ELF
                                                            " --key " SGXDL_SIGN_KEY
                                                            " --product test --output ";
    ASSERT_EQ(system((command + first + " >/dev/null").c_str()), 0);
    const std::string second = testing::TempDir() + "second.signed";
    ASSERT_EQ(system((command + second + " >/dev/null").c_str()), 0);
    EXPECT_EQ(read(first), read(second));
    // Another product is another measurement: it is part of the image.
    const std::string other = testing::TempDir() + "other.signed";
    ASSERT_EQ(system((command + other + " --product other >/dev/null 2>&1").c_str()) == 0, false);
}

TEST(Audit, TheTestEnclaveIsClean) {
    const signer::AuditReport report = audit_of(signer::read_elf_image(SGXDL_TEST_ELF));
    EXPECT_TRUE(report.findings.empty()) << report.findings[0];
    EXPECT_GT(report.instructions, 10'000u);
    EXPECT_GE(report.enclu_sites, 4u);
}

struct Planted {
    const char* name;
    std::vector<uint8_t> code;
    const char* finding;
};

class AuditFinds : public testing::TestWithParam<Planted> {};

TEST_P(AuditFinds, PlantedInstruction) {
    const signer::AuditReport report = audit_of(with_code("sgxdl_sym", GetParam().code));
    ASSERT_EQ(report.findings.size(), 1u);
    EXPECT_NE(report.findings[0].find("sgxdl_sym+0x0"), std::string::npos) << report.findings[0];
    EXPECT_NE(report.findings[0].find(GetParam().finding), std::string::npos) << report.findings[0];
}

INSTANTIATE_TEST_SUITE_P(
    All, AuditFinds,
    testing::Values(Planted{"syscall", {0x0f, 0x05, 0x90, 0x90}, "syscall"},
                    Planted{"sysenter", {0x0f, 0x34, 0x90, 0x90}, "sysenter"},
                    Planted{"cpuid", {0x0f, 0xa2, 0x90, 0x90}, "cpuid"},
                    Planted{"int80", {0xcd, 0x80, 0x90, 0x90}, "int"},
                    Planted{"in", {0xe4, 0x60, 0x90, 0x90}, "in"},
                    Planted{"out", {0xee, 0x90, 0x90, 0x90}, "out"},
                    Planted{"hlt", {0xf4, 0x90, 0x90, 0x90}, "hlt"},
                    Planted{"iret", {0x48, 0xcf, 0x90, 0x90}, "iret"},
                    Planted{"farret", {0xcb, 0x90, 0x90, 0x90}, "ret"},
                    Planted{"enclu", {0x0f, 0x01, 0xd7, 0x90}, "enclu"},
                    Planted{"wrfsbase", {0xf3, 0x48, 0x0f, 0xae, 0xd0, 0x90}, "wrfsbase"},
                    Planted{"avx512", {0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc0, 0x90}, "AVX-512"}),
    [](const testing::TestParamInfo<Planted>& info) { return std::string(info.param.name); });

TEST(Audit, WritableCodeIsFound) {
    signer::ElfImage image = signer::read_elf_image(SGXDL_TEST_ELF);
    for (signer::Segment& segment : image.segments) {
        if ((segment.flags & PF_X) != 0) segment.flags |= PF_W;
    }
    const signer::AuditReport report = audit_of(image);
    ASSERT_FALSE(report.findings.empty());
    EXPECT_NE(report.findings[0].find("writable and executable"), std::string::npos);
}

TEST(Audit, RelocationsOfCodeAndUnknownOnesAreFound) {
    signer::ElfImage image = signer::read_elf_image(SGXDL_TEST_ELF);
    ASSERT_FALSE(image.relocations.empty());
    Elf64_Rela in_code = image.relocations[0];
    in_code.r_offset = image.address_of("sgxdl_sym");
    Elf64_Rela other_type = image.relocations[0];
    other_type.r_info = ELF64_R_INFO(0, R_X86_64_IRELATIVE);
    image.relocations = {in_code, other_type};
    EXPECT_EQ(audit_of(image).findings.size(), 2u);
}

TEST(Audit, UndefinedSymbolsAreFound) {
    signer::ElfImage image = signer::read_elf_image(SGXDL_TEST_ELF);
    image.symbols.push_back({"missing_function", 0, 0, STT_NOTYPE, STB_GLOBAL, false});
    const signer::AuditReport report = audit_of(image);
    ASSERT_EQ(report.findings.size(), 1u);
    EXPECT_NE(report.findings[0].find("missing_function"), std::string::npos);
}

// The command itself: a W+X image does not get signed.
TEST(Audit, TheSignerRefusesWhatTheAuditFinds) {
    std::vector<char> elf = read(SGXDL_TEST_ELF);
    Elf64_Ehdr header;
    memcpy(&header, elf.data(), sizeof(header));
    for (int i = 0; i < header.e_phnum; ++i) {
        const size_t at = header.e_phoff + static_cast<size_t>(i) * sizeof(Elf64_Phdr);
        Elf64_Phdr segment;
        memcpy(&segment, elf.data() + at, sizeof(segment));
        segment.p_flags |= PF_W | PF_X;
        memcpy(elf.data() + at, &segment, sizeof(segment));
    }
    const std::string path = write("wx.elf", elf);
    const std::string out = testing::TempDir() + "wx.signed";
    const std::string command = std::string(SGXDL_SIGNER) + " sign-enclave " + path + " --key " +
                                SGXDL_SIGN_KEY + " --product p --output " + out + " 2>/dev/null";
    const int status = system(command.c_str());
    EXPECT_EQ(WEXITSTATUS(status), 1);
    EXPECT_FALSE(std::ifstream(out).good());
}

}  // namespace sgxdl::test
