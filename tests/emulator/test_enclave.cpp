// Building and signing the test enclave, and MRENCLAVE computed from the SDM alone.
#include "tests/emulator/test_enclave.hpp"

#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ostream>

extern "C" {
extern const uint8_t enclave_code_begin[];
extern const uint8_t enclave_code_end[];
extern const uint8_t enclave_code_entry[];
extern const uint8_t enclave_code_give_up[];
int call_enter_enclave(sgx_enclave_run* run, void* op, unsigned int function);
}

namespace sgxemu_test {

namespace {

struct Segment {
    size_t first = 0, count = 0;
    uint64_t flags = 0;
};

constexpr size_t nssa_pages = 4;
constexpr uint64_t reg_rw = SGX_SECINFO_REG | SGX_SECINFO_R | SGX_SECINFO_W;

std::vector<Segment> segments_of(const Options& options) {
    std::vector<Segment> segments = {
        {0, 1, SGX_SECINFO_REG | SGX_SECINFO_R | SGX_SECINFO_X},
        {1, 4, reg_rw},
        {5, 1, SGX_SECINFO_REG | SGX_SECINFO_R},
    };
    for (size_t t = 0; t < options.threads; ++t) {
        segments.push_back({8 + 8 * t, 1, SGX_SECINFO_TCS});
        segments.push_back({9 + 8 * t, nssa_pages, reg_rw});
        segments.push_back({14 + 8 * t, 1, reg_rw});
    }
    return segments;
}

std::vector<uint8_t> make_image(const Options& options) {
    std::vector<uint8_t> image(TestEnclave::dynamic_page * page);
    std::copy(enclave_code_begin, enclave_code_end, image.begin());
    for (size_t i = 0; i < page; ++i)
        image[5 * page + i] = static_cast<uint8_t>(i * 7);
    for (size_t t = 0; t < options.threads; ++t) {
        sgx_tcs tcs{};
        tcs.ossa = (9 + 8 * t) * page;
        tcs.nssa = options.nssa;
        tcs.oentry = static_cast<uint64_t>(enclave_code_entry - enclave_code_begin);
        tcs.ofs_base = (14 + 8 * t) * page + 0x800;
        tcs.ogs_base = (14 + 8 * t) * page + 0xc00;
        tcs.fs_limit = tcs.gs_limit = 0xffffffff;
        std::memcpy(&image[(8 + 8 * t) * page], &tcs, sizeof(tcs));
    }
    if (options.edit_image) options.edit_image(image);
    return image;
}

// MRENCLAVE as the SDM's tables say, byte by byte; nothing of the emulator's own code.
class Mrenclave {
 public:
    Mrenclave() { SHA256_Init(&state_); }
    void record(const char* tag, std::initializer_list<std::pair<uint64_t, size_t>> fields) {
        std::array<uint8_t, 64> r{};
        std::copy_n(tag, std::strlen(tag), r.begin());
        size_t at = 8;
        for (const auto& [value, size] : fields) {
            for (size_t i = 0; i < size; ++i)
                r[at++] = static_cast<uint8_t>(value >> (8 * i));
        }
        SHA256_Update(&state_, r.data(), r.size());
    }
    void bytes(const uint8_t* p, size_t n) { SHA256_Update(&state_, p, n); }
    std::array<uint8_t, 32> value() {
        std::array<uint8_t, 32> digest{};
        SHA256_Final(digest.data(), &state_);
        return digest;
    }

 private:
    SHA256_CTX state_;
};

}  // namespace

sgx_sigstruct make_sigstruct(const Options& options, const std::array<uint8_t, 32>& mrenclave) {
    sgx_sigstruct s{};
    const uint8_t header[16] = {6, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0};
    const uint8_t header2[16] = {1, 1, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 1, 0, 0, 0};
    std::copy_n(header, 16, s.header);
    std::copy_n(header2, 16, s.header2);
    s.date = 0x20250101;
    s.miscselect = options.miscselect;
    s.miscmask = ~0u;
    s.attributes = {options.attributes, options.xfrm};
    s.attributes_mask = {~uint64_t{0}, ~uint64_t{0}};
    s.isv_prod_id = 7;
    s.isv_svn = 3;
    std::copy(mrenclave.begin(), mrenclave.end(), s.enclave_hash);
    return s;
}

void sign(sgx_sigstruct& s, const char* key_file) {
    std::FILE* file = std::fopen(key_file, "r");
    ASSERT_NE(file, nullptr) << key_file;
    EVP_PKEY* key = PEM_read_PrivateKey(file, nullptr, nullptr, nullptr);
    std::fclose(file);
    ASSERT_NE(key, nullptr);
    std::vector<uint8_t> message(256);
    const auto* raw = reinterpret_cast<const uint8_t*>(&s);
    std::copy_n(raw, 128, message.begin());
    std::copy_n(raw + 900, 128, message.begin() + 128);
    std::array<uint8_t, 384> signature{};
    size_t size = signature.size();
    EVP_MD_CTX* md = EVP_MD_CTX_new();
    ASSERT_EQ(EVP_DigestSignInit(md, nullptr, EVP_sha256(), nullptr, key), 1);
    ASSERT_EQ(EVP_DigestSign(md, signature.data(), &size, message.data(), message.size()), 1);
    EVP_MD_CTX_free(md);

    BIGNUM* n = nullptr;
    ASSERT_EQ(EVP_PKEY_get_bn_param(key, "n", &n), 1);
    EVP_PKEY_free(key);
    BN_CTX* ctx = BN_CTX_new();
    BIGNUM* sig = BN_bin2bn(signature.data(), 384, nullptr);
    BIGNUM *square = BN_new(), *q1 = BN_new(), *r = BN_new(), *q2 = BN_new();
    BN_sqr(square, sig, ctx);
    BN_div(q1, r, square, n, ctx);
    BN_mul(square, r, sig, ctx);
    BN_div(q2, nullptr, square, n, ctx);
    s.exponent = 3;
    BN_bn2lebinpad(n, s.modulus, 384);
    BN_bn2lebinpad(sig, s.signature, 384);
    BN_bn2lebinpad(q1, s.q1, 384);
    BN_bn2lebinpad(q2, s.q2, 384);
    for (BIGNUM* b : {n, sig, square, q1, r, q2})
        BN_free(b);
    BN_CTX_free(ctx);
}

TestEnclave::TestEnclave(const Options& options) {
    build(options);
}

void TestEnclave::build(const Options& options) {
    fd = sgxemu::open();
    ASSERT_GE(fd, 0);
    const size_t size = options.pages * page;
    elrange_size = size;
    void* area = sgxemu::mmap(nullptr, 2 * size, PROT_NONE, MAP_SHARED, fd, 0);
    ASSERT_NE(area, MAP_FAILED);
    const auto begin = reinterpret_cast<uint64_t>(area);
    base = (begin + size - 1) & ~(size - 1);
    if (base != begin) {
        ASSERT_EQ(sgxemu::munmap(area, base - begin), 0);
    }
    if (const uint64_t rest = begin + size - base) {
        ASSERT_EQ(sgxemu::munmap(reinterpret_cast<void*>(base + size), rest), 0);
    }

    sgx_secs secs{};
    secs.size = size;
    secs.base = base;
    secs.ssa_frame_size = 1;
    secs.miscselect = options.miscselect;
    secs.attributes = {options.attributes, options.xfrm};
    sgx_enclave_create create{reinterpret_cast<uint64_t>(&secs)};
    ASSERT_EQ(sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_CREATE, &create), 0);

    const std::vector<uint8_t> image = make_image(options);
    auto* pages = static_cast<uint8_t*>(std::aligned_alloc(page, image.size()));
    std::copy(image.begin(), image.end(), pages);
    Mrenclave measured;
    measured.record("ECREATE", {{secs.ssa_frame_size, 4}, {size, 8}});
    for (const Segment& segment : segments_of(options)) {
        sgx_secinfo secinfo{};
        secinfo.flags = segment.flags;
        sgx_enclave_add_pages add{};
        add.src = reinterpret_cast<uint64_t>(pages + segment.first * page);
        add.offset = segment.first * page;
        add.length = segment.count * page;
        add.secinfo = reinterpret_cast<uint64_t>(&secinfo);
        add.flags = SGX_PAGE_MEASURE;
        ASSERT_EQ(sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, &add), 0);
        ASSERT_EQ(add.count, add.length);
        for (size_t i = segment.first; i < segment.first + segment.count; ++i) {
            measured.record("EADD", {{i * page, 8}, {segment.flags, 8}});
            for (size_t chunk = 0; chunk < page; chunk += 256) {
                measured.record("EEXTEND", {{i * page + chunk, 8}});
                measured.bytes(pages + i * page + chunk, 256);
            }
        }
        const bool is_tcs = segment.flags == SGX_SECINFO_TCS;
        const int wish = is_tcs ? PROT_READ | PROT_WRITE
                                : static_cast<int>(segment.flags & 7);  // R, W, X are PROT_*'s bits
        ASSERT_NE(sgxemu::mmap(reinterpret_cast<void*>(at(segment.first)), segment.count * page,
                               wish, MAP_SHARED | MAP_FIXED, fd, 0),
                  MAP_FAILED);
    }
    std::free(pages);
    if (options.pages > dynamic_page) {
        ASSERT_NE(
            sgxemu::mmap(reinterpret_cast<void*>(dynamic()), (options.pages - dynamic_page) * page,
                         options.dynamic_protection, MAP_SHARED | MAP_FIXED, fd, 0),
            MAP_FAILED);
    }
    mrenclave = measured.value();
    sgx_sigstruct sigstruct = make_sigstruct(options, mrenclave);
    if (options.before_signing) options.before_signing(sigstruct);
    sign(sigstruct, options.key_file);
    if (options.after_signing) options.after_signing(sigstruct);
    if (options.provision_fd >= 0) {
        sgx_enclave_provision provision{static_cast<uint64_t>(options.provision_fd)};
        ASSERT_EQ(sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_PROVISION, &provision), 0);
    }
    sgx_enclave_init init{reinterpret_cast<uint64_t>(&sigstruct)};
    init_error = sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_INIT, &init);
    if (!options.expect_refusal) {
        ASSERT_EQ(init_error, 0);
    }
}

TestEnclave::~TestEnclave() {
    if (fd >= 0) sgxemu::close(fd);
    // The mappings hold the enclave, too.
    if (base != 0) sgxemu::munmap(reinterpret_cast<void*>(base), elrange_size);
}

uint64_t TestEnclave::entry_offset() const {
    return static_cast<uint64_t>(enclave_code_entry - enclave_code_begin);
}

Entry TestEnclave::enter_at(uint64_t tcs_address, Op& op, uint32_t function) {
    Entry entry;
    entry.run.tcs = tcs_address;
    entry.returned = call_enter_enclave(&entry.run, &op, function);
    return entry;
}

Entry TestEnclave::enter_with_handler(Op& op, size_t thread, sgx_enclave_user_handler_t handler,
                                      uint64_t user_data) {
    Entry entry;
    entry.run.tcs = tcs(thread);
    entry.run.user_handler = reinterpret_cast<uint64_t>(handler);
    entry.run.user_data = user_data;
    entry.returned = call_enter_enclave(&entry.run, &op, SGX_ENCLU_EENTER);
    return entry;
}

Entry TestEnclave::enter(Op& op, size_t thread, uint32_t function) {
    return enter_at(tcs(thread), op, function);
}

void TestEnclave::give_up(size_t thread) {
    const auto offset = static_cast<uint64_t>(enclave_code_give_up - enclave_code_begin);
    Op op{.code = OpCode::write, .a = gprsgx(thread, 0, SGX_GPRSGX_RIP), .b = code() + offset};
    ASSERT_TRUE(enter(op, thread).exited());
    ASSERT_TRUE(enter(op, thread, SGX_ENCLU_ERESUME).exited());
}

uint64_t TestEnclave::read(uint64_t address) {
    Op op{.code = OpCode::read, .a = address};
    EXPECT_TRUE(enter(op).exited()) << std::hex << address;
    return op.rax;
}

void TestEnclave::write(uint64_t address, uint64_t value) {
    Op op{.code = OpCode::write, .a = address, .b = value};
    EXPECT_TRUE(enter(op).exited()) << std::hex << address;
}

void TestEnclave::copy_in(uint64_t address, const void* bytes, size_t size) {
    Op op{.code = OpCode::copy, .a = address, .b = reinterpret_cast<uint64_t>(bytes), .c = size};
    EXPECT_TRUE(enter(op).exited());
}

void TestEnclave::copy_out(void* bytes, uint64_t address, size_t size) {
    Op op{.code = OpCode::copy, .a = reinterpret_cast<uint64_t>(bytes), .b = address, .c = size};
    EXPECT_TRUE(enter(op).exited());
}

Entry TestEnclave::enclu(Op& op, uint64_t leaf, uint64_t rbx, uint64_t rcx, uint64_t rdx,
                         size_t thread) {
    op = Op{.code = OpCode::enclu, .a = leaf, .b = rbx, .c = rcx, .d = rdx};
    return enter(op, thread);
}

uint64_t TestEnclave::put_secinfo(uint64_t flags) {
    sgx_secinfo secinfo{};
    secinfo.flags = flags;
    copy_in(data(), &secinfo, sizeof(secinfo));
    return data();
}

Entry TestEnclave::eaccept(Op& op, uint64_t address, uint64_t flags) {
    return enclu(op, SGX_ENCLU_EACCEPT, put_secinfo(flags), address);
}

Entry TestEnclave::eacceptcopy(Op& op, uint64_t to, uint64_t from, uint64_t flags) {
    return enclu(op, SGX_ENCLU_EACCEPTCOPY, put_secinfo(flags), to, from);
}

Entry TestEnclave::emodpe(Op& op, uint64_t address, uint64_t flags) {
    return enclu(op, SGX_ENCLU_EMODPE, put_secinfo(flags), address);
}

void TestEnclave::commit(uint64_t address) {
    Op op;
    ASSERT_TRUE(eaccept(op, address, reg_rw | SGX_SECINFO_PENDING).exited());
    ASSERT_EQ(op.rax, uint64_t{SGX_SUCCESS});
}

int TestEnclave::restrict(uint64_t address, uint64_t permissions, size_t count) {
    sgx_enclave_restrict_permissions p{};
    p.offset = address - base;
    p.length = count * page;
    p.permissions = permissions;
    const int error = sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, &p);
    last_result = p.result;
    last_count = p.count;
    return error;
}

int TestEnclave::modify_type(uint64_t address, uint64_t type, size_t count) {
    sgx_enclave_modify_types p{};
    p.offset = address - base;
    p.length = count * page;
    p.page_type = type;
    const int error = sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_MODIFY_TYPES, &p);
    last_result = p.result;
    last_count = p.count;
    return error;
}

int TestEnclave::remove(uint64_t address, size_t count) {
    sgx_enclave_remove_pages p{};
    p.offset = address - base;
    p.length = count * page;
    const int error = sgxemu::ioctl(fd, SGX_IOC_ENCLAVE_REMOVE_PAGES, &p);
    last_count = p.count;
    return error;
}

std::ostream& operator<<(std::ostream& out, const Fault& fault) {
    return out << "vector " << fault.vector << " error 0x" << std::hex << fault.error_code
               << " at 0x" << fault.address << std::dec;
}

Fault fault_of(const Entry& entry) {
    if (entry.exited()) return {};
    return {entry.run.exception_vector, entry.run.exception_error_code, entry.run.exception_addr};
}

Fault gp() {
    return {13, 0, 0};
}

Fault epcm_fault(uint64_t address, unsigned access_bits) {
    return {14, SGX_PFEC_SGX | SGX_PFEC_P | SGX_PFEC_U | access_bits, address & ~(page - 1)};
}

Fault os_fault(uint64_t address, unsigned bits) {
    return {14, SGX_PFEC_U | bits, address & ~(page - 1)};
}

std::array<uint8_t, page> code_page(uint32_t value) {
    std::array<uint8_t, page> bytes{};
    // mov $value, %eax; jmp *%r13
    bytes[0] = 0xb8;
    std::memcpy(&bytes[1], &value, sizeof(value));
    bytes[5] = 0x41;
    bytes[6] = 0xff;
    bytes[7] = 0xe5;
    return bytes;
}

}  // namespace sgxemu_test
