// Places of ENCLU that are hard to rewrite: next to each other, across pages, in pages that become
// writable or go, executed by many threads at once, under a debugger.
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <thread>
#include <vector>

#include "tests/emulator/both_entries.hpp"
#include "tests/emulator/test_enclave.hpp"

namespace sgxemu_test {
namespace {

class EncluSites : public BothEntries {
 protected:
    // EMODPE of a page that has what it asks for changes nothing, and RAX says so.
    static void ask_for_emodpe(TestEnclave& enclave) { enclave.put_secinfo(reg_rw); }
    template <size_t size>
    static Code<size>& emodpe(TestEnclave& enclave, Code<size>& code) {
        return code.rbx(enclave.data()).rcx(enclave.data(1)).rax(SGX_ENCLU_EMODPE);
    }
    // As executable pages dynamic(first)…; what was built is in the pages before scratch.
    template <size_t size>
    static void install(TestEnclave& enclave, const Code<size>& code, size_t first) {
        constexpr size_t scratch = 60;
        for (size_t i = 0; i < size / page; ++i) {
            enclave.commit(enclave.dynamic(scratch + first + i));
            enclave.copy_in(enclave.dynamic(scratch + first + i), &code.bytes[i * page], page);
            Op op;
            ASSERT_TRUE(enclave
                            .eacceptcopy(op, enclave.dynamic(first + i),
                                         enclave.dynamic(scratch + first + i), reg_rx)
                            .exited());
            ASSERT_EQ(op.rax, uint64_t{SGX_SUCCESS});
        }
    }
    static uint64_t call(TestEnclave& enclave, uint64_t address, size_t thread = 0) {
        Op op{.code = OpCode::call, .a = address};
        return enclave.enter(op, thread).exited() ? op.rax : ~uint64_t{0};
    }
    static uint8_t byte_at(TestEnclave& enclave, uint64_t address) {
        return static_cast<uint8_t>(enclave.read(address));
    }
    static void expect_jump(TestEnclave& enclave, uint64_t site) {
        if (is_fast()) {
            EXPECT_EQ(byte_at(enclave, site), 0xe9);
        }
    }
};

INSTANTIATE_TEST_SUITE_P(Ways, EncluSites, both_entries, name_of);

// A jump's displacement reaches into the two bytes behind the ENCLU, which must not change then.
TEST_P(EncluSites, EnclusNextToEachOther) {
    for (const size_t between : {0u, 1u, 2u}) {
        SCOPED_TRACE(between);
        TestEnclave enclave;
        Code<> code;
        emodpe(enclave, code);
        for (int i = 0; i < 4; ++i) {
            code.enclu();
            for (size_t k = 0; k < between; ++k)
                code.put({0x90});
        }
        code.come_back();
        install(enclave, code, 0);
        ask_for_emodpe(enclave);
        for (int i = 0; i < 2 * rounds; ++i)
            ASSERT_EQ(call(enclave, enclave.dynamic(0)), uint64_t{SGX_ENCLU_EMODPE});
        expect_jump(enclave, enclave.dynamic(0) + code.at - 6 - between);
    }
}

TEST_P(EncluSites, EnclusAtTheEndOfAPage) {
    TestEnclave enclave;
    for (size_t offset = page - 6; offset <= page; ++offset) {
        SCOPED_TRACE(offset);
        const size_t first = 2 * (offset - (page - 6));
        Code<2 * page> code;
        code.at = offset - 25;
        emodpe(enclave, code);
        ASSERT_EQ(code.at, offset);
        code.enclu().come_back();
        install(enclave, code, first);
        ask_for_emodpe(enclave);
        const uint64_t begin = enclave.dynamic(first) + offset - 25;
        for (int i = 0; i < rounds; ++i)
            ASSERT_EQ(call(enclave, begin), uint64_t{SGX_ENCLU_EMODPE});
        const bool crosses = offset + 5 > page && offset < page;
        const uint8_t expected = is_fast() && !crosses ? 0xe9 : 0xf4;
        EXPECT_EQ(byte_at(enclave, begin + 25), expected);
    }
}

// Whoever comes to what follows an ENCLU without it finds the enclave's own instructions.
TEST_P(EncluSites, JumpsBehindAnEncluAreUnharmed) {
    TestEnclave enclave;
    Code<> code;
    const size_t site = emodpe(enclave, code).at;
    code.enclu().rax(77).come_back();
    install(enclave, code, 0);
    ask_for_emodpe(enclave);
    for (int i = 0; i < rounds; ++i) {
        ASSERT_EQ(call(enclave, enclave.dynamic(0)), 77u);
        ASSERT_EQ(call(enclave, enclave.dynamic(0) + site + 3), 77u);
    }
    expect_jump(enclave, enclave.dynamic(0) + site);
}

// With the alignment check on, as enclave code may have it.
TEST_P(EncluSites, AlignmentChecksAreTheEnclavesOwn) {
    TestEnclave enclave;
    Code<> code;
    emodpe(enclave, code);
    code.put({0x9c, 0x81, 0x0c, 0x24, 0, 0, 4, 0, 0x9d});  // pushfq; orl $AC, (%rsp); popfq
    const size_t site = code.at;
    code.enclu();
    code.put({0x9c, 0x59, 0x51});                                // pushfq; pop %rcx; push %rcx
    code.put({0x81, 0x24, 0x24, 0xff, 0xff, 0xfb, 0xff, 0x9d});  // andl $~AC, (%rsp); popfq
    code.put({0x48, 0x89, 0xc8}).come_back();                    // mov %rcx, %rax
    install(enclave, code, 0);
    ask_for_emodpe(enclave);
    for (int i = 0; i < rounds; ++i)
        ASSERT_EQ(call(enclave, enclave.dynamic(0)) & 0x40000, 0x40000u);
    expect_jump(enclave, enclave.dynamic(0) + site);
}

// The page goes, and another comes: nothing is left of the jump; often, without using up places for
// stubs.
TEST_P(EncluSites, RemovedPageComesBackAsAnother) {
    TestEnclave enclave;
    for (uint32_t turn = 0; turn < 300; ++turn) {
        Code<> code;
        const size_t site = emodpe(enclave, code).at;
        // The second time there is no ENCLU. What follows one is part of its jump, and stays.
        if (turn % 2 == 0) code.enclu().put({0x90, 0x90});
        code.rax(100 + turn).come_back();
        install(enclave, code, 0);
        ask_for_emodpe(enclave);
        for (int i = 0; i < rounds; ++i)
            ASSERT_EQ(call(enclave, enclave.dynamic(0)), 100 + turn);
        if (turn % 2 == 0) expect_jump(enclave, enclave.dynamic(0) + site);
        for (const uint64_t address : {enclave.dynamic(0), enclave.dynamic(60)}) {
            ASSERT_EQ(enclave.modify_type(address, SGX_PT_TRIM), 0);
            Op op;
            ASSERT_TRUE(
                enclave.eaccept(op, address, SGX_SECINFO_TRIM | SGX_SECINFO_MODIFIED).exited());
            ASSERT_EQ(op.rax, uint64_t{SGX_SUCCESS});
            ASSERT_EQ(enclave.remove(address), 0);
        }
    }
}

TEST_P(EncluSites, PagesWithJumpsLeaveTheEpcAndComeBack) {
    ASSERT_EQ(sgxemu::configure({.epc_pages = 64, .entry = GetParam()}), 0);
    TestEnclave enclave({.pages = 512});
    Code<> code;
    const size_t site = emodpe(enclave, code).at;
    code.enclu().rax(55).come_back();
    install(enclave, code, 0);
    ask_for_emodpe(enclave);
    for (int turn = 0; turn < 5; ++turn) {
        const uint64_t before = sgxemu::paging_count().brought_back;
        for (int i = 0; i < rounds; ++i)
            ASSERT_EQ(call(enclave, enclave.dynamic(0)), 55u);
        expect_jump(enclave, enclave.dynamic(0) + site);
        for (size_t i = 70; i < 134; ++i) {
            if (turn == 0) {
                enclave.commit(enclave.dynamic(i));
            } else {
                enclave.read(enclave.dynamic(i));
            }
        }
        ask_for_emodpe(enclave);
        if (turn != 0) {
            EXPECT_GT(sgxemu::paging_count().brought_back, before);
        }
    }
}

// One enclave after the other, where the first one was: none finds the other's jumps.
TEST_P(EncluSites, EnclavesAtTheSameAddress) {
    uint64_t last = 0;
    int same = 0;
    for (int i = 0; i < 20; ++i) {
        TestEnclave enclave;
        same += enclave.base == last;
        last = enclave.base;
        for (uint64_t k = 0; k < rounds; ++k) {
            enclave.write(enclave.data(1), k);
            ASSERT_EQ(enclave.read(enclave.data(1)), k);
        }
    }
    EXPECT_GT(same, 0);
}

// --- Threads ------------------------------------------------------------------------------------

// All find the ENCLUs as they were measured, and rewrite them at the same time.
TEST_P(EncluSites, ThreadsRewriteTheSameSites) {
    constexpr size_t threads = 4;
    std::atomic<uint64_t> wrong{0};
    for (int i = 0; i < 50; ++i) {
        TestEnclave enclave({.threads = threads});
        std::barrier start(threads);
        std::vector<std::thread> running;
        for (size_t t = 0; t < threads; ++t) {
            running.emplace_back([&, t] {
                start.arrive_and_wait();
                for (uint64_t k = 0; k < 20; ++k) {
                    Op write{.code = OpCode::write, .a = enclave.data(1, 8 * t), .b = k};
                    Op read{.code = OpCode::read, .a = enclave.data(1, 8 * t)};
                    wrong += !enclave.enter(write, t).exited();
                    wrong += !enclave.enter(read, t).exited() || read.rax != k;
                }
            });
        }
        for (auto& thread : running)
            thread.join();
    }
    EXPECT_EQ(wrong, 0u);
}

// One thread gives the page write permission and takes it again, which puts back the enclave's own
// bytes; the others run through its ENCLUs meanwhile.
TEST_P(EncluSites, PagesBecomeWritableWhileTheirCodeRuns) {
    constexpr size_t threads = 3;
    TestEnclave enclave({.threads = threads});
    Code<> code;
    emodpe(enclave, code);
    for (int i = 0; i < 4; ++i)
        code.enclu().put({0x90, 0x90});
    code.come_back();
    install(enclave, code, 0);
    ask_for_emodpe(enclave);
    // data(0) stays what the others' EMODPE asks for.
    sgx_secinfo writable{}, settled{};
    writable.flags = reg_rx | SGX_SECINFO_W;
    settled.flags = reg_rx | SGX_SECINFO_PR;
    enclave.copy_in(enclave.data(2), &writable, sizeof(writable));
    enclave.copy_in(enclave.data(3), &settled, sizeof(settled));
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> calls{0}, wrong{0};
    std::vector<std::thread> running;
    for (size_t t = 1; t < threads; ++t) {
        running.emplace_back([&, t] {
            while (!stop) {
                wrong += call(enclave, enclave.dynamic(0), t) != SGX_ENCLU_EMODPE;
                calls += 1;
            }
        });
    }
    for (int i = 0; i < 500 && !HasFatalFailure(); ++i) {
        const uint64_t before = calls;
        Op op;
        EXPECT_TRUE(
            enclave.enclu(op, SGX_ENCLU_EMODPE, enclave.data(2), enclave.dynamic(0)).exited());
        if (i % 50 == 0) {
            std::array<uint8_t, page> bytes{};
            enclave.copy_out(bytes.data(), enclave.dynamic(0), page);
            EXPECT_EQ(bytes, code.bytes);
        }
        EXPECT_EQ(enclave.restrict(enclave.dynamic(0), SGX_SECINFO_R | SGX_SECINFO_X), 0);
        EXPECT_TRUE(
            enclave.enclu(op, SGX_ENCLU_EACCEPT, enclave.data(3), enclave.dynamic(0)).exited());
        EXPECT_EQ(op.rax, uint64_t{SGX_SUCCESS});
        while (calls < before + 8)
            std::this_thread::yield();
    }
    stop = true;
    for (auto& thread : running)
        thread.join();
    EXPECT_EQ(wrong, 0u);
    for (int i = 0; i < rounds; ++i)
        ASSERT_EQ(call(enclave, enclave.dynamic(0)), uint64_t{SGX_ENCLU_EMODPE});
}

// --- Processes ----------------------------------------------------------------------------------

bool lives_well(TestEnclave& enclave) {
    for (uint64_t i = 0; i < rounds; ++i) {
        Op op{.code = OpCode::write, .a = enclave.data(1), .b = i};
        if (!enclave.enter(op).exited()) return false;
        op = Op{.code = OpCode::read, .a = enclave.data(1)};
        if (!enclave.enter(op).exited() || op.rax != i) return false;
    }
    return true;
}

// The child has jumps of its own.
TEST_P(EncluSites, ForkedProcessHasItsOwn) {
    TestEnclave enclave;
    ASSERT_TRUE(lives_well(enclave));
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        TestEnclave own;
        std::array<uint8_t, page> before{};
        own.copy_out(before.data(), own.code(), page);
        if (!lives_well(own)) ::_exit(1);
        Op op;
        own.put_secinfo(reg_rw);
        for (int i = 0; i < rounds; ++i)
            own.enclu(op, SGX_ENCLU_EMODPE, own.data(), own.data(1));
        std::array<uint8_t, page> bytes{};
        own.copy_out(bytes.data(), own.code(), page);
        const bool has_jump = std::ranges::count(bytes, 0xe9) > std::ranges::count(before, 0xe9);
        ::_exit(HasFailure() ? 2 : is_fast() == has_jump ? 0 : 3);
    }
    ASSERT_TRUE(lives_well(enclave));
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    ASSERT_TRUE(lives_well(enclave));
}

// A debugger's breakpoint on the ENCLU itself, once that is a jump: hit each time, stepped over,
// set again, taken away.
TEST_P(EncluSites, BreakpointOnASite) {
    constexpr int calls = 10, hits_wanted = 5;
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        TestEnclave enclave;
        Code<> code;
        const size_t site = emodpe(enclave, code).at;
        code.enclu().rax(33).come_back();
        install(enclave, code, 0);
        ask_for_emodpe(enclave);
        for (int i = 0; i < rounds; ++i) {
            if (call(enclave, enclave.dynamic(0)) != 33) ::_exit(2);
        }
        expect_jump(enclave, enclave.dynamic(0) + site);
        if (HasFailure() || ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(3);
        // The tracer finds the site in RAX at the first stop.
        const uint64_t address = enclave.dynamic(0) + site;
        asm volatile("int3" : : "a"(address));
        for (int i = 0; i < calls; ++i) {
            if (call(enclave, enclave.dynamic(0)) != 33) ::_exit(4);
        }
        ::_exit(HasFailure() ? 5 : 0);
    }
    int status = 0;
    user_regs_struct r{};
    const auto wait = [&] { return ::waitpid(child, &status, 0) == child && WIFSTOPPED(status); };
    const auto registers = [&] { ::ptrace(PTRACE_GETREGS, child, 0, &r); };
    const auto word_at = [&](uint64_t address) {
        return ::ptrace(PTRACE_PEEKTEXT, child, address, nullptr);
    };
    // Everything that is not the tracer's goes to the program.
    const auto to_next_trap = [&] {
        int signal = 0;
        do {
            ::ptrace(PTRACE_CONT, child, 0, signal);
            if (!wait()) return false;
            signal = WSTOPSIG(status);
        } while (signal != SIGTRAP);
        return true;
    };
    ASSERT_TRUE(wait());
    registers();
    const uint64_t site = r.rax;
    const long original = word_at(site);
    const long broken = (original & ~0xffL) | 0xcc;
    for (int hit = 0; hit < hits_wanted; ++hit) {
        ASSERT_EQ(::ptrace(PTRACE_POKETEXT, child, site, broken), 0);
        ASSERT_TRUE(to_next_trap()) << status;
        registers();
        ASSERT_EQ(r.rip, site + 1);
        r.rip = site;
        ASSERT_EQ(::ptrace(PTRACE_SETREGS, child, 0, &r), 0);
        ASSERT_EQ(::ptrace(PTRACE_POKETEXT, child, site, original), 0);
        ASSERT_EQ(::ptrace(PTRACE_SINGLESTEP, child, 0, 0), 0);
        ASSERT_TRUE(wait());
        const int signal = WSTOPSIG(status);
        if (signal == SIGTRAP) continue;
        // It traps: the handler has not run yet.
        ASSERT_TRUE(signal == SIGSEGV || signal == SIGILL) << signal;
        ASSERT_EQ(::ptrace(PTRACE_SINGLESTEP, child, 0, signal), 0);
        ASSERT_TRUE(wait());
    }
    ASSERT_FALSE(to_next_trap());
    EXPECT_TRUE(WIFEXITED(status)) << status;
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace sgxemu_test
