// A small enclave for tests: built, measured and signed here, one operation per entry.
//
// Layout (pages of 4 KiB from the base): 0 code (R-X), 1 to 4 data (RW-), 5 constant (R--),
// 8 + 8t the TCS of thread t, then its SSA frames (4), two spare, and its save page; from
// dynamic_page on nothing: pages come by EAUG. enclave_code.S is what runs.
#pragma once

#include <asm/sgx.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <vector>

#include "emulator/sgxemu.hpp"
#include "sgxdl/arch/sgx.h"

namespace sgxemu_test {

inline constexpr size_t page = 4096;

enum class OpCode : uint64_t {
    nothing,
    enclu,
    read,
    write,
    call,
    copy,
    registers,
    undefined,
    breakpoint,
    divide,
    bases,
    count,
    halt,
    enclu_loop,
    enclu_registers,
};

struct Op {
    OpCode code = OpCode::nothing;
    uint64_t a = 0, b = 0, c = 0, d = 0;
    uint64_t rax = 0;
    uint64_t flags = 0;  // CF | ZF << 1 | SF << 2 | OF << 3 after an ENCLU
    uint64_t done = 0;   // 1 when the operation came to its end
    uint64_t registers[8] = {};
};

inline constexpr uint64_t flag_zf = 2;

// The result of one entry.
struct Entry {
    int returned = 0;
    sgx_enclave_run run = {};
    bool exited() const { return returned == 0 && run.function == SGX_ENCLU_EEXIT; }
};

struct Options {
    size_t threads = 1;
    uint32_t nssa = 2;
    uint32_t miscselect = 0;
    uint64_t attributes = SGX_ATTR_MODE64BIT | SGX_ATTR_DEBUG;
    uint64_t xfrm = 7;
    size_t pages = 256;          // ELRANGE
    int dynamic_protection = 7;  // PROT_* wish of the pages from dynamic_page on
    // Changes the SIGSTRUCT before and after it is signed.
    std::function<void(sgx_sigstruct&)> before_signing = {};
    std::function<void(sgx_sigstruct&)> after_signing = {};
    const char* key_file = SGXEMU_TEST_KEY;
    // The test looks at init_error itself.
    bool expect_refusal = false;
    // Shown to SGX_IOC_ENCLAVE_PROVISION before INIT, unless negative.
    int provision_fd = -1;
    // Changes the pages before they are added.
    std::function<void(std::vector<uint8_t>&)> edit_image = {};
};

// Signs: fills modulus, exponent, signature, q1, q2 with the key of a PEM file.
void sign(sgx_sigstruct& sigstruct, const char* key_file = SGXEMU_TEST_KEY);

// A SIGSTRUCT that fits the options and this measurement, unsigned.
sgx_sigstruct make_sigstruct(const Options& options, const std::array<uint8_t, 32>& mrenclave);

class TestEnclave {
 public:
    static constexpr size_t dynamic_page = 128;

    explicit TestEnclave(const Options& options = {});
    ~TestEnclave();
    TestEnclave(const TestEnclave&) = delete;

    // What INIT returned; everything before it has succeeded (or the constructor has failed the
    // test).
    int init_error = 0;

    int fd = -1;
    uint64_t base = 0;
    size_t elrange_size = 0;
    std::array<uint8_t, 32> mrenclave{};  // computed here

    uint64_t at(size_t page_index, size_t offset = 0) const {
        return base + page_index * page + offset;
    }
    uint64_t data(size_t i = 0, size_t offset = 0) const { return at(1 + i, offset); }
    uint64_t constant() const { return at(5); }
    uint64_t code() const { return at(0); }
    uint64_t dynamic(size_t i = 0) const { return at(dynamic_page + i); }
    uint64_t tcs(size_t thread = 0) const { return at(8 + 8 * thread); }
    uint64_t ssa(size_t thread, size_t frame) const { return at(9 + 8 * thread + frame); }
    uint64_t gprsgx(size_t thread, size_t frame, size_t field) const {
        return ssa(thread, frame) + page - SGX_GPRSGX_SIZE + field;
    }

    uint64_t entry_offset() const;

    // Enters with the operation.
    Entry enter(Op& op, size_t thread = 0, uint32_t function = SGX_ENCLU_EENTER);
    Entry enter_at(uint64_t tcs, Op& op, uint32_t function = SGX_ENCLU_EENTER);

    Entry enter_with_handler(Op& op, size_t thread, sgx_enclave_user_handler_t handler,
                             uint64_t user_data);

    // After an exception in thread 0: ends the interrupted operation (at CSSA 1 rewrites its RIP,
    // then resumes it), so that the thread can be entered anew. The operation must still exist.
    void give_up(size_t thread = 0);

    // Operations that must not fault; they fail the test if they do.
    uint64_t read(uint64_t address);
    void write(uint64_t address, uint64_t value);
    void copy_in(uint64_t address, const void* bytes, size_t size);
    void copy_out(void* bytes, uint64_t address, size_t size);

    // ENCLU leaf; the entry tells whether it faulted, `op` what it returned.
    Entry enclu(Op& op, uint64_t leaf, uint64_t rbx, uint64_t rcx, uint64_t rdx = 0,
                size_t thread = 0);
    // With a SECINFO of these flags, put at data(0, 0).
    Entry eaccept(Op& op, uint64_t address, uint64_t flags);
    Entry eacceptcopy(Op& op, uint64_t to, uint64_t from, uint64_t flags);
    Entry emodpe(Op& op, uint64_t address, uint64_t flags);
    // EACCEPT of an absent page as a fresh RW one; fails the test if that fails.
    void commit(uint64_t address);
    uint64_t put_secinfo(uint64_t flags);

    // Driver operations on one page or more.
    int restrict(uint64_t address, uint64_t permissions, size_t count = 1);
    int modify_type(uint64_t address, uint64_t type, size_t count = 1);
    int remove(uint64_t address, size_t count = 1);
    uint64_t last_result = 0;  // SGX error code of the last restrict or modify_type
    uint64_t last_count = 0;   // bytes

 private:
    void build(const Options& options);
};

// What an exception was: compared and printed as a whole.
struct Fault {
    unsigned vector = 0;
    unsigned error_code = 0;
    uint64_t address = 0;
    bool operator==(const Fault&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Fault& fault);

// The exception of an entry that ended by AEX; all zero when it did not.
Fault fault_of(const Entry& entry);

// #GP(0); #PF by the EPCM (SGX bit); #PF by page tables or driver. Addresses come page aligned.
Fault gp();
Fault epcm_fault(uint64_t address, unsigned access_bits);
Fault os_fault(uint64_t address, unsigned bits);
inline constexpr unsigned on_read = 0, on_write = SGX_PFEC_W, on_fetch = SGX_PFEC_I;

// A host page with a code sequence: mov $value, %rax; jmp *%r13.
std::array<uint8_t, page> code_page(uint32_t value);

}  // namespace sgxemu_test
