// A case for every row of the table of rules (emulator/leaves/rules.cpp): a situation in which just
// this row decides, and what the enclave or the program then sees. The last test makes sure that no
// row is without one.
#include <gtest/gtest.h>
#include <setjmp.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <set>
#include <string>

#include "tests/emulator/after_segv.hpp"
#include "tests/emulator/test_enclave.hpp"
#include "tests/emulator/waiter.hpp"

namespace sgxemu_test {
namespace {

struct Operands {
    uint64_t rbx = 0, rcx = 0, rdx = 0;
};

// What must come of it.
enum class Ends {
    gp,
    os_fault,
    epcm_fault,
    mismatch,
    bad_name,
    bad_attribute,
    bad_cpusvn,
    bad_isvsvn
};

constexpr uint64_t reg = SGX_SECINFO_REG, r = SGX_SECINFO_R, w = SGX_SECINFO_W, x = SGX_SECINFO_X,
                   pending = SGX_SECINFO_PENDING, modified = SGX_SECINFO_MODIFIED,
                   fresh = reg | r | w | pending;

void unmap(uint64_t address) {
    ASSERT_EQ(sgxemu::munmap(reinterpret_cast<void*>(address), page), 0);
}

uint64_t unmapped(TestEnclave& e) {
    unmap(e.dynamic(40));
    return e.dynamic(40);
}

uint64_t beyond(TestEnclave& e) {
    return e.base + e.elrange_size;
}

// A page that EAUG added and nobody accepted: present, and denied to everyone.
uint64_t unaccepted(TestEnclave& e) {
    return e.dynamic(41);
}

uint64_t committed(TestEnclave& e, size_t i = 42) {
    e.commit(e.dynamic(i));
    return e.dynamic(i);
}

sgx_keyrequest seal_request() {
    sgx_keyrequest request{};
    request.key_name = SGX_KEY_SEAL;
    request.key_policy = SGX_KEYPOLICY_MRENCLAVE;
    return request;
}

// Puts the request where RBX then points, the key goes to data(2).
Operands with_request(TestEnclave& e, const sgx_keyrequest& request) {
    e.copy_in(e.data(1), &request, sizeof(request));
    return {e.data(1), e.data(2), 0};
}

// --- Leaves inside ------------------------------------------------------------------------------

struct Case {
    uint32_t leaf;
    const char* condition;
    Ends ends;
    Operands (*prepare)(TestEnclave& e);
};

constexpr uint32_t eaccept = SGX_ENCLU_EACCEPT, eacceptcopy = SGX_ENCLU_EACCEPTCOPY,
                   emodpe = SGX_ENCLU_EMODPE, ereport = SGX_ENCLU_EREPORT,
                   egetkey = SGX_ENCLU_EGETKEY, eenter = SGX_ENCLU_EENTER,
                   eresume = SGX_ENCLU_ERESUME;
using E = TestEnclave;
using O = Operands;

const Case cases[] = {
    {eaccept, "SECINFO unaligned", Ends::gp,
     [](E& e) {
         return O{e.put_secinfo(fresh) + 8, e.dynamic(0), 0};
     }},
    {eaccept, "SECINFO outside ELRANGE", Ends::gp,
     [](E& e) {
         return O{beyond(e), e.dynamic(0), 0};
     }},
    {eaccept, "SECINFO does not resolve", Ends::os_fault,
     [](E& e) {
         return O{unmapped(e), e.dynamic(0), 0};
     }},
    {eaccept, "SECINFO not readable", Ends::epcm_fault,
     [](E& e) {
         return O{unaccepted(e), e.dynamic(0), 0};
     }},
    {eaccept, "SECINFO reserved bits", Ends::gp,
     [](E& e) {
         return O{e.put_secinfo(fresh | 1 << 6), e.dynamic(0), 0};
     }},
    {eaccept, "page unaligned", Ends::gp,
     [](E& e) {
         return O{e.put_secinfo(fresh), e.dynamic(0) + 64, 0};
     }},
    {eaccept, "page outside ELRANGE", Ends::gp,
     [](E& e) {
         return O{e.put_secinfo(fresh), beyond(e), 0};
     }},
    {eaccept, "page does not resolve", Ends::os_fault,
     [](E& e) {
         return O{e.put_secinfo(fresh), unmapped(e), 0};
     }},
    {eaccept, "request not acceptable", Ends::gp,
     [](E& e) {
         return O{e.put_secinfo(reg | r | w), e.dynamic(0), 0};
     }},
    {eaccept, "page differs from request", Ends::mismatch,
     [](E& e) {
         return O{e.put_secinfo(fresh | x), e.dynamic(0), 0};
     }},
    {eaccept, "TCS not acceptable", Ends::gp,
     [](E& e) {
         const uint64_t page = committed(e);
         e.write(page + offsetof(sgx_tcs, reserved) + 8, 1);
         EXPECT_EQ(e.modify_type(page, SGX_PT_TCS), 0);
         // The driver caps a TCS at read-write.
         EXPECT_EQ(sgxemu::mprotect(reinterpret_cast<void*>(page), sgxemu_test::page,
                                    PROT_READ | PROT_WRITE),
                   0);
         return O{e.put_secinfo(SGX_SECINFO_TCS | modified), page, 0};
     }},

    {eacceptcopy, "SECINFO unaligned", Ends::gp,
     [](E& e) {
         return O{e.put_secinfo(reg | r) + 8, e.dynamic(0), e.data(1)};
     }},
    {eacceptcopy, "page unaligned", Ends::gp,
     [](E& e) {
         return O{e.put_secinfo(reg | r), e.dynamic(0) + 8, e.data(1)};
     }},
    {eacceptcopy, "source unaligned", Ends::gp,
     [](E& e) {
         return O{e.put_secinfo(reg | r), e.dynamic(0), e.data(1, 8)};
     }},
    {eacceptcopy, "SECINFO outside ELRANGE", Ends::gp,
     [](E& e) {
         return O{beyond(e), e.dynamic(0), e.data(1)};
     }},
    {eacceptcopy, "page outside ELRANGE", Ends::gp,
     [](E& e) {
         return O{e.put_secinfo(reg | r), beyond(e), e.data(1)};
     }},
    {eacceptcopy, "source outside ELRANGE", Ends::gp,
     [](E& e) {
         return O{e.put_secinfo(reg | r), e.dynamic(0), beyond(e)};
     }},
    {eacceptcopy, "SECINFO does not resolve", Ends::os_fault,
     [](E& e) {
         return O{unmapped(e), e.dynamic(0), e.data(1)};
     }},
    {eacceptcopy, "page does not resolve", Ends::os_fault,
     [](E& e) {
         return O{e.put_secinfo(reg | r), unmapped(e), e.data(1)};
     }},
    {eacceptcopy, "source does not resolve", Ends::os_fault,
     [](E& e) {
         return O{e.put_secinfo(reg | r), e.dynamic(0), unmapped(e)};
     }},
    {eacceptcopy, "SECINFO not readable", Ends::epcm_fault,
     [](E& e) {
         return O{unaccepted(e), e.dynamic(0), e.data(1)};
     }},
    {eacceptcopy, "SECINFO reserved bits", Ends::gp,
     [](E& e) {
         return O{e.put_secinfo(reg | r | 1 << 7), e.dynamic(0), e.data(1)};
     }},
    {eacceptcopy, "SECINFO W without R", Ends::gp,
     [](E& e) {
         return O{e.put_secinfo(reg | w), e.dynamic(0), e.data(1)};
     }},
    {eacceptcopy, "SECINFO not of a regular page", Ends::gp,
     [](E& e) {
         return O{e.put_secinfo(SGX_SECINFO_TCS | r), e.dynamic(0), e.data(1)};
     }},
    {eacceptcopy, "source not readable", Ends::epcm_fault,
     [](E& e) {
         return O{e.put_secinfo(reg | r), e.dynamic(0), unaccepted(e)};
     }},
    // Accepted twice: the page keeps what it has.
    {eacceptcopy, "page not as EAUG left it", Ends::mismatch,
     [](E& e) {
         return O{e.put_secinfo(reg | r), committed(e, 0), e.data(1)};
     }},

    {emodpe, "SECINFO unaligned", Ends::gp,
     [](E& e) {
         return O{e.put_secinfo(reg | x) + 8, e.data(1), 0};
     }},
    {emodpe, "page unaligned", Ends::gp,
     [](E& e) {
         return O{e.put_secinfo(reg | x), e.data(1, 8), 0};
     }},
    {emodpe, "SECINFO outside ELRANGE", Ends::gp,
     [](E& e) {
         return O{beyond(e), e.data(1), 0};
     }},
    {emodpe, "page outside ELRANGE", Ends::gp,
     [](E& e) {
         return O{e.put_secinfo(reg | x), beyond(e), 0};
     }},
    {emodpe, "SECINFO does not resolve", Ends::os_fault,
     [](E& e) {
         return O{unmapped(e), e.data(1), 0};
     }},
    {emodpe, "page does not resolve", Ends::os_fault,
     [](E& e) {
         return O{e.put_secinfo(reg | x), unmapped(e), 0};
     }},
    {emodpe, "SECINFO not readable", Ends::epcm_fault,
     [](E& e) {
         return O{unaccepted(e), e.data(1), 0};
     }},
    {emodpe, "SECINFO reserved bits", Ends::gp,
     [](E& e) {
         return O{e.put_secinfo(reg | x | 1 << 6), e.data(1), 0};
     }},
    {emodpe, "page not regular and settled", Ends::epcm_fault,
     [](E& e) {
         return O{e.put_secinfo(reg | x), unaccepted(e), 0};
     }},
    {emodpe, "would be W without R", Ends::gp,
     [](E& e) {
         const uint64_t page = committed(e);
         EXPECT_EQ(e.restrict(page, 0), 0);
         Op op;
         EXPECT_TRUE(e.eaccept(op, page, reg | SGX_SECINFO_PR).exited());
         EXPECT_EQ(op.rax, 0u);
         return O{e.put_secinfo(reg | w), page, 0};
     }},

    {ereport, "TARGETINFO unaligned", Ends::gp,
     [](E& e) {
         return O{e.data(1, 128), e.data(2), e.data(3)};
     }},
    {ereport, "REPORTDATA unaligned", Ends::gp,
     [](E& e) {
         return O{e.data(1), e.data(2, 64), e.data(3)};
     }},
    {ereport, "REPORT unaligned", Ends::gp,
     [](E& e) {
         return O{e.data(1), e.data(2), e.data(3, 256)};
     }},
    {ereport, "TARGETINFO outside ELRANGE", Ends::gp,
     [](E& e) {
         return O{beyond(e), e.data(2), e.data(3)};
     }},
    {ereport, "REPORTDATA outside ELRANGE", Ends::gp,
     [](E& e) {
         return O{e.data(1), beyond(e), e.data(3)};
     }},
    {ereport, "REPORT outside ELRANGE", Ends::gp,
     [](E& e) {
         return O{e.data(1), e.data(2), beyond(e)};
     }},
    {ereport, "TARGETINFO does not resolve", Ends::os_fault,
     [](E& e) {
         return O{unmapped(e), e.data(2), e.data(3)};
     }},
    {ereport, "TARGETINFO not readable", Ends::epcm_fault,
     [](E& e) {
         return O{unaccepted(e), e.data(2), e.data(3)};
     }},
    {ereport, "REPORTDATA does not resolve", Ends::os_fault,
     [](E& e) {
         return O{e.data(1), unmapped(e), e.data(3)};
     }},
    {ereport, "REPORTDATA not readable", Ends::epcm_fault,
     [](E& e) {
         return O{e.data(1), unaccepted(e), e.data(3)};
     }},
    {ereport, "REPORT does not resolve", Ends::os_fault,
     [](E& e) {
         return O{e.data(1), e.data(2), e.constant()};
     }},
    {ereport, "REPORT not writable", Ends::epcm_fault,
     [](E& e) {
         return O{e.data(1), e.data(2), unaccepted(e)};
     }},
    {ereport, "TARGETINFO reserved bits", Ends::gp,
     [](E& e) {
         e.write(e.data(1, offsetof(sgx_targetinfo, reserved3)), 1);
         return O{e.data(1), e.data(2), e.data(3)};
     }},

    {egetkey, "KEYREQUEST unaligned", Ends::gp,
     [](E& e) {
         return O{e.data(1, 256), e.data(2), 0};
     }},
    {egetkey, "KEYREQUEST outside ELRANGE", Ends::gp,
     [](E& e) {
         return O{beyond(e), e.data(2), 0};
     }},
    {egetkey, "KEYREQUEST does not resolve", Ends::os_fault,
     [](E& e) {
         return O{unmapped(e), e.data(2), 0};
     }},
    {egetkey, "KEYREQUEST not readable", Ends::epcm_fault,
     [](E& e) {
         return O{unaccepted(e), e.data(2), 0};
     }},
    {egetkey, "key unaligned", Ends::gp,
     [](E& e) {
         return O{e.data(1), e.data(2, 8), 0};
     }},
    {egetkey, "key outside ELRANGE", Ends::gp,
     [](E& e) {
         return O{e.data(1), beyond(e), 0};
     }},
    {egetkey, "key does not resolve", Ends::os_fault,
     [](E& e) {
         return O{e.data(1), e.constant(), 0};
     }},
    {egetkey, "key not writable", Ends::epcm_fault,
     [](E& e) {
         return O{e.data(1), unaccepted(e), 0};
     }},
    {egetkey, "KEYREQUEST reserved bits", Ends::gp,
     [](E& e) {
         auto request = seal_request();
         request.reserved2[9] = 1;
         return with_request(e, request);
     }},
    {egetkey, "KEYREQUEST needs KSS", Ends::gp,
     [](E& e) {
         auto request = seal_request();
         request.key_policy |= SGX_KEYPOLICY_CONFIGID;
         return with_request(e, request);
     }},
    {egetkey, "unknown key name", Ends::bad_name,
     [](E& e) {
         auto request = seal_request();
         request.key_name = SGX_KEY_SEAL + 1;
         return with_request(e, request);
     }},
    {egetkey, "attribute missing", Ends::bad_attribute,
     [](E& e) {
         auto request = seal_request();
         request.key_name = SGX_KEY_PROVISION;
         return with_request(e, request);
     }},
    {egetkey, "CPUSVN beyond", Ends::bad_cpusvn,
     [](E& e) {
         auto request = seal_request();
         std::memset(request.cpu_svn, 0xff, sizeof(request.cpu_svn));
         return with_request(e, request);
     }},
    {egetkey, "ISVSVN beyond", Ends::bad_isvsvn,
     [](E& e) {
         auto request = seal_request();
         request.isv_svn = 0xffff;
         return with_request(e, request);
     }},
    // (For an enclave with KSS, see kss().)
    {egetkey, "CONFIGSVN beyond", Ends::bad_isvsvn,
     [](E& e) {
         auto request = seal_request();
         request.config_svn = 0xffff;
         return with_request(e, request);
     }},
};

Options kss(const Case& c) {
    Options options;
    if (std::string(c.condition) == "CONFIGSVN beyond") options.attributes |= SGX_ATTR_KSS;
    return options;
}

// --- The table's counters -----------------------------------------------------------------------

std::string name_of(uint32_t leaf, const char* condition) {
    return std::to_string(leaf) + ": " + condition;
}

using Counts = std::map<std::string, uint64_t>;

Counts counts() {
    Counts found;
    for (size_t i = 0; sgxemu::rule_record(i).condition != nullptr; ++i) {
        const auto row = sgxemu::rule_record(i);
        EXPECT_TRUE(found.emplace(name_of(row.leaf, row.condition), row.decided).second)
            << "two rows named " << row.condition;
    }
    return found;
}

std::set<std::string>& rows_tested() {
    static std::set<std::string> names;
    return names;
}

// Runs `act`; afterwards just this row has decided. (Twice where a leaf that faulted without a trap
// was executed again by one.)
template <class F>
void expect_decided_by(uint32_t leaf, const char* condition, F act) {
    const std::string name = name_of(leaf, condition);
    SCOPED_TRACE(name);
    const Counts before = counts();
    ASSERT_TRUE(before.count(name)) << "there is no such row";
    act();
    for (const auto& [row, count] : counts()) {
        if (row != name) {
            EXPECT_EQ(count, before.at(row)) << row;
        }
    }
    EXPECT_GT(counts().at(name), before.at(name));
    rows_tested().insert(name);
}

void expect_fault(Ends ends, const Fault& fault) {
    if (ends == Ends::gp) {
        EXPECT_EQ(fault, gp());
    }
    if (ends == Ends::os_fault) {
        EXPECT_EQ(fault.vector, 14u);
        EXPECT_EQ(fault.error_code & SGX_PFEC_SGX, 0u);
    }
    if (ends == Ends::epcm_fault) {
        EXPECT_EQ(fault.vector, 14u);
        EXPECT_EQ(fault.error_code & SGX_PFEC_SGX, unsigned{SGX_PFEC_SGX});
    }
}

uint64_t code_of(Ends ends) {
    switch (ends) {
        case Ends::mismatch:
            return SGX_PAGE_ATTRIBUTES_MISMATCH;
        case Ends::bad_name:
            return SGX_INVALID_KEYNAME;
        case Ends::bad_attribute:
            return SGX_INVALID_ATTRIBUTE;
        case Ends::bad_cpusvn:
            return SGX_INVALID_CPUSVN;
        case Ends::bad_isvsvn:
            return SGX_INVALID_ISVSVN;
        default:
            return 0;
    }
}

void try_leaves_inside() {
    for (const Case& c : cases) {
        TestEnclave enclave(kss(c));
        const Operands operands = c.prepare(enclave);
        expect_decided_by(c.leaf, c.condition, [&] {
            Op op;
            const Entry entry = enclave.enclu(op, c.leaf, operands.rbx, operands.rcx, operands.rdx);
            if (const uint64_t code = code_of(c.ends)) {
                EXPECT_TRUE(entry.exited());
                EXPECT_EQ(op.rax, code);
                EXPECT_EQ(op.flags & flag_zf, flag_zf);
            } else {
                expect_fault(c.ends, fault_of(entry));
            }
        });
    }
}

void try_without_sgx2() {
    ASSERT_EQ(sgxemu::configure({.sgx2 = false}), 0);
    for (const uint32_t leaf : {eaccept, eacceptcopy, emodpe}) {
        TestEnclave enclave;
        expect_decided_by(leaf, "no SGX2", [&] {
            Op op;
            EXPECT_EQ(fault_of(enclave.enclu(op, leaf, enclave.data(0), enclave.data(1),
                                             enclave.data(2))),
                      gp());
        });
    }
    EXPECT_EQ(sgxemu::configure({}), 0);
}

// --- EENTER and ERESUME -------------------------------------------------------------------------

// A TCS that is changed before it is added.
Options with_tcs(void (*change)(sgx_tcs&)) {
    Options options;
    options.edit_image = [change](std::vector<uint8_t>& image) {
        sgx_tcs tcs;
        std::memcpy(&tcs, image.data() + 8 * page, sizeof(tcs));
        change(tcs);
        std::memcpy(image.data() + 8 * page, &tcs, sizeof(tcs));
    };
    return options;
}

void expect_entry(TestEnclave& enclave, uint32_t leaf, const char* condition, Ends ends,
                  uint64_t tcs) {
    expect_decided_by(leaf, condition, [&] {
        Op op;
        expect_fault(ends, fault_of(enclave.enter_at(tcs, op, leaf)));
    });
}

void try_tcs(uint32_t leaf) {
    {
        TestEnclave e;
        expect_entry(e, leaf, "TCS unaligned", Ends::gp, e.tcs() + 8);
        expect_entry(e, leaf, "not a settled TCS", Ends::epcm_fault, e.data(1));
        ASSERT_EQ(sgxemu::mprotect(reinterpret_cast<void*>(e.tcs()), page, PROT_NONE), 0);
        expect_entry(e, leaf, "TCS does not resolve", Ends::os_fault, e.tcs());
    }
    {
        Options options;
        options.after_signing = [](sgx_sigstruct& s) { s.signature[0] ^= 1; };
        options.expect_refusal = true;
        TestEnclave e(options);
        expect_entry(e, leaf, "enclave not initialised", Ends::gp, e.tcs());
    }
    {
        TestEnclave e(with_tcs([](sgx_tcs& tcs) { tcs.ossa += 8; }));
        expect_entry(e, leaf, "OSSA unaligned", Ends::gp, e.tcs());
    }
    {
        TestEnclave e(with_tcs([](sgx_tcs& tcs) { tcs.ogs_base = uint64_t{1} << 47; }));
        expect_entry(e, leaf, "targets not canonical", Ends::gp, e.tcs());
    }
    {
        TestEnclave e;
        Waiter waiter(e, 0);
        expect_entry(e, leaf, "TCS busy", Ends::gp, e.tcs());
    }
}

// The vDSO's AEP is what it is: an ENCLU of the program's own, whose #GP is the kernel's SIGSEGV.
void try_aep(uint32_t leaf) {
    TestEnclave e;
    expect_decided_by(leaf, "AEP not canonical", [&] {
        if (sigsetjmp(after_segv, 1) != 0) return;
        asm volatile(".byte 0x0f, 0x01, 0xd7"
                     :
                     : "a"(leaf), "b"(e.tcs()), "c"(uint64_t{1} << 47)
                     : "memory");
        ADD_FAILURE() << "the ENCLU did something";
    });
}

void try_ssa_of_eenter() {
    {
        TestEnclave e(with_tcs([](sgx_tcs& tcs) { tcs.nssa = 0; }));
        expect_entry(e, eenter, "no free SSA frame", Ends::gp, e.tcs());
    }
    {
        TestEnclave e(with_tcs([](sgx_tcs& tcs) { tcs.ossa = uint64_t{1} << 40; }));
        expect_entry(e, eenter, "SSA frame outside ELRANGE", Ends::gp, e.tcs());
    }
    {
        TestEnclave e;
        unmap(e.ssa(0, 0));
        expect_entry(e, eenter, "SSA frame does not resolve", Ends::os_fault, e.tcs());
    }
    {
        TestEnclave e;
        ASSERT_EQ(e.restrict(e.ssa(0, 0), SGX_SECINFO_R), 0);
        expect_entry(e, eenter, "SSA frame not writable", Ends::epcm_fault, e.tcs());
    }
}

void try_ssa_of_eresume() {
    TestEnclave fresh_one;
    expect_entry(fresh_one, eresume, "nothing to resume", Ends::gp, fresh_one.tcs());
    const auto interrupted = [](TestEnclave& e) {
        Op op{.code = OpCode::undefined};
        ASSERT_EQ(fault_of(e.enter(op)).vector, 6u);
    };
    {
        TestEnclave e;
        interrupted(e);
        unmap(e.ssa(0, 0));
        expect_entry(e, eresume, "SSA frame does not resolve", Ends::os_fault, e.tcs());
    }
    {
        TestEnclave e;
        interrupted(e);
        ASSERT_EQ(e.restrict(e.ssa(0, 0), SGX_SECINFO_R), 0);
        expect_entry(e, eresume, "SSA frame not writable", Ends::epcm_fault, e.tcs());
    }
    {
        TestEnclave e;
        interrupted(e);
        Op write{
            .code = OpCode::write, .a = e.gprsgx(0, 0, SGX_GPRSGX_RIP), .b = uint64_t{1} << 47};
        ASSERT_TRUE(e.enter(write).exited());  // at CSSA 1
        expect_entry(e, eresume, "saved state not canonical", Ends::gp, e.tcs());
    }
}

TEST(Rules, LeavesInside) {
    try_leaves_inside();
}

TEST(Rules, MachineWithoutSgx2) {
    try_without_sgx2();
}

TEST(Rules, Eenter) {
    try_tcs(eenter);
    try_aep(eenter);
    try_ssa_of_eenter();
}

TEST(Rules, Eresume) {
    try_tcs(eresume);
    try_aep(eresume);
    try_ssa_of_eresume();
}

// All of them again in one process: no row of the table was left out.
TEST(Rules, EveryRowHasDecided) {
    try_leaves_inside();
    try_without_sgx2();
    for (const uint32_t leaf : {eenter, eresume}) {
        try_tcs(leaf);
        try_aep(leaf);
    }
    try_ssa_of_eenter();
    try_ssa_of_eresume();
    const Counts rows = counts();
    for (const auto& [row, count] : rows)
        EXPECT_TRUE(rows_tested().count(row)) << row << " has no case";
    std::printf("%zu rules, each with its case\n", rows.size());
    EXPECT_GT(rows.size(), 80u);
}

}  // namespace
}  // namespace sgxemu_test
