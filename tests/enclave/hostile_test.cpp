// Our runtime and loader under a system that misbehaves at every moment that can be told apart.
// Whatever it does, an operation succeeds or fails with a status, the enclave goes on answering or
// says that it has crashed, and by the emulator's own records no page is accepted twice, none is
// writable and executable, and no instruction runs from a page that was not committed as code.
//
// The table of docs/emulator.md that says what each misbehaviour comes to is computed here.
#include <fstream>
#include <sstream>

#include "host/call_outcome.hpp"
#include "sgxdl/arch/sgx.h"
#include "tests/enclave/fixture.hpp"

// host/enter.S
extern "C" int sgxdl_host_enter(uint64_t rdi, uint64_t rsi, uint64_t rdx, unsigned function,
                                sgx_enclave_run* run, vdso_sgx_enter_enclave_t enter);

namespace sgxdl::test {
namespace {

using sgxemu::Misbehaviour;
using sgxemu::Operation;

constexpr std::string_view module_name{"counter", 8};
constexpr std::string_view advance_name{"advance", 8};

host::EnclaveOptions quiet() {
    host::EnclaveOptions options;
    options.housekeeping = false;
    options.on_output = [](int, std::string_view) {};
    return options;
}

// Ends all misbehaviour with the test, however it ends.
struct Hostile : testing::Test {
    Hostile() {
        sgxemu::watch_pages(true);
        constexpr uint64_t begin = offsetof(HostArea, ocall) + offsetof(OcallFrame, result);
        EXPECT_EQ(sgxemu::spoil_ocalls({static_cast<uint64_t>(Entry::ocall_return), begin,
                                        sizeof(HostArea) - begin}),
                  0);
    }
    ~Hostile() override {
        sgxemu::behave();
        sgxemu::single_step(0);
        sgxemu::watch_pages(false);
    }
};

// Everything that changes pages: load, patch, rollback, unload, reclaim, heap; then again. Goes on
// after failures, as a stubborn operator would.
class Life {
 public:
    explicit Life(host::Enclave& enclave) : enclave_(enclave) {}

    // What was noticed first; "unaffected" if nothing was. `wrong` when an answer was not what the
    // code that is current gives.
    std::string run() {
        for (int round = 0; round < 2; ++round) {
            if (operate("load", enclave_.load_module(SGXDL_TEST_MODULE))) step_ = 1;
            call();
            if (operate("patch", enclave_.apply_patch(SGXDL_TEST_PATCH))) step_ = 10;
            call();
            if (operate("rollback", enclave_.rollback("counter"))) step_ = 1;
            call();
            if (operate("unload", enclave_.unload("counter", {}, true))) step_ = 0;
            enclave_.reclaim_now();
            const auto commit = enclave_.call<Commit>(40u);
            if (!commit) {
                notice("heap", host::status_text(commit.status));
            } else if (!commit.value) {
                notice("heap", "out of memory");
            }
            enclave_.reclaim_now();
        }
        const auto counters = enclave_.call<GetCounters>();
        if (counters && counters.value.pages_set_aside != 0) {
            return noticed_.empty() ? "pages set aside" : noticed_ + "; pages set aside";
        }
        return noticed_.empty() ? "unaffected" : noticed_;
    }
    bool wrong = false;

 private:
    void notice(const std::string& where, const std::string& what) {
        if (noticed_.empty()) noticed_ = where + ": " + what;
    }
    bool operate(const char* name, const host::OperationReport& report) {
        if (!report) notice(name, host::status_text(report.status));
        return static_cast<bool>(report);
    }
    void call() {
        const auto answer = enclave_.call<CallLoaded>(module_name, advance_name, 5);
        if (!answer) {
            notice("call", host::status_text(answer.status));
        } else {
            wrong |= answer.value != 5 + step_;
        }
    }
    host::Enclave& enclave_;
    int step_ = 0;  // of the code that is current; 0: none is loaded
    std::string noticed_;
};

void expect_sound(host::Enclave& enclave, const Life& life) {
    EXPECT_FALSE(life.wrong) << "an answer was wrong";
    const sgxemu::PageAudit audit = sgxemu::page_audit(enclave.descriptor());
    EXPECT_GT(audit.accepted, 0u);
    EXPECT_EQ(audit.accepted_twice, 0u);
    EXPECT_GT(audit.executed, 0u);
    EXPECT_EQ(audit.executed_uncommitted, 0u);
    EXPECT_EQ(sgxemu::epc_count(enclave.descriptor()).writable_executable, 0u);
    const auto answer = enclave.call<Empty>();
    EXPECT_TRUE(answer || answer.status == Status::crashed) << answer.message();
}

constexpr std::pair<Operation, const char*> operations[] = {
    {Operation::add_pages, "ADD_PAGES"},       {Operation::modify_types, "MODIFY_TYPES"},
    {Operation::remove_pages, "REMOVE_PAGES"}, {Operation::eaug, "page fault (EAUG)"},
    {Operation::ocall, "ocall answers"},
};
constexpr std::pair<Misbehaviour, const char*> behaviours[] = {
    {Misbehaviour::drop, "drop"},     {Misbehaviour::refuse, "refuse"},
    {Misbehaviour::repeat, "repeat"}, {Misbehaviour::delay, "delay"},
    {Misbehaviour::swap, "swap"},     {Misbehaviour::replay, "replay"},
};

bool makes_sense(Operation operation, Misbehaviour what) {
    return operation == Operation::ocall || what != Misbehaviour::replay;
}

// What comes of an enclave whose pages the system adds as it likes: MRENCLAVE is the witness.
std::string built(Misbehaviour what) {
    sgxemu::misbehave(Operation::add_pages, what, 0,
                      what == Misbehaviour::delay ? 2 : sgxemu::forever);
    try {
        host::Enclave enclave(SGXDL_TEST_IMAGE, quiet());
        sgxemu::behave();
        Life life(enclave);
        const std::string outcome = life.run();
        expect_sound(enclave, life);
        return outcome + " | " + (enclave.crash() ? "crashed" : "answers");
    } catch (const host::Error&) {
        sgxemu::behave();
        return "creation: refused | there is none";
    }
}

std::string table() {
    std::string text =
        "| operation | behaviour | outcome | enclave afterwards |\n|---|---|---|---|\n";
    for (const auto& [operation, name] : operations) {
        for (const auto& [what, what_name] : behaviours) {
            if (!makes_sense(operation, what)) continue;
            SCOPED_TRACE(std::string(name) + " " + what_name);
            if (operation == Operation::add_pages) {
                text += std::string("| ") + name + " | " + what_name + " | " + built(what) + " |\n";
                continue;
            }
            host::Enclave enclave(SGXDL_TEST_IMAGE, quiet());
            EXPECT_TRUE(enclave.call<Empty>());
            sgxemu::misbehave(operation, what, 0,
                              what == Misbehaviour::delay ? 5 : sgxemu::forever);
            Life life(enclave);
            const std::string outcome = life.run();
            sgxemu::behave();
            expect_sound(enclave, life);
            text += std::string("| ") + name + " | " + what_name + " | " + outcome + " | " +
                    (enclave.crash() ? "crashed" : "answers") + " |\n";
        }
    }
    return text;
}

TEST_F(Hostile, MatrixIsAsDocumented) {
    const std::string found = table();
    std::ifstream file(SGXDL_DOCUMENT);
    ASSERT_TRUE(file) << SGXDL_DOCUMENT;
    std::stringstream document;
    document << file.rdbuf();
    EXPECT_NE(document.str().find(found), std::string::npos)
        << SGXDL_DOCUMENT << " must contain this table:\n"
        << found;
}

// One occurrence, and all from it on, at moments that grow like Fibonacci numbers until the life
// has no more of them; the enclave's start is spoiled, too.
class Moments : public Hostile, public testing::WithParamInterface<size_t> {};

TEST_P(Moments, AreSurvived) {
    const auto& [operation, name] = operations[GetParam()];
    size_t lives = 0;
    for (const auto& [what, what_name] : behaviours) {
        if (!makes_sense(operation, what) || what == Misbehaviour::delay) continue;
        uint64_t next = 1;
        for (uint64_t first = 0, reached = 1; reached > first;
             first = std::exchange(next, first + next + 1)) {
            for (const uint64_t count : {uint64_t{1}, sgxemu::forever}) {
                SCOPED_TRACE(std::string(name) + " " + what_name + " at " + std::to_string(first) +
                             (count == 1 ? "" : " and later"));
                host::Enclave enclave(SGXDL_TEST_IMAGE, quiet());
                sgxemu::misbehave(operation, what, first, count);
                Life life(enclave);
                static_cast<void>(life.run());
                reached = sgxemu::occurrences(operation);
                sgxemu::behave();
                // A start that failed accepted nothing.
                if (enclave.crash() && sgxemu::page_audit(enclave.descriptor()).accepted == 0)
                    continue;
                expect_sound(enclave, life);
                ++lives;
            }
        }
    }
    EXPECT_GT(lives, 20u);
    std::cout << name << ": " << lives << " lives\n";
}

INSTANTIATE_TEST_SUITE_P(Every, Moments, testing::Range(size_t{1}, std::size(operations)));

// --- Entries by a host of the tests' own ---------------------------------------------------------

// One thread slot, entered without the host library's loop.
class Raw {
 public:
    Raw(host::Enclave& enclave, uint32_t thread)
        : tcs_(reinterpret_cast<uint64_t>(enclave.base()) + enclave.tcs_offset(thread)) {}

    // The enclave leaves with the stack pointer that it was entered with: ERESUME must come from
    // the same function as the EENTER.
    __attribute__((noinline)) sgx_enclave_run enter(Entry entry,
                                                    unsigned function = SGX_ENCLU_EENTER) {
        sgx_enclave_run run = {};
        run.tcs = tcs_;
        if (function == SGX_ENCLU_EENTER) area.exit_reason = static_cast<uint64_t>(Exit::none);
        EXPECT_EQ(sgxdl_host_enter(static_cast<uint64_t>(entry), reinterpret_cast<uint64_t>(&area),
                                   reinterpret_cast<uint64_t>(&frame), function, &run,
                                   sgxemu::sgxemu_enter_enclave),
                  0);
        return run;
    }
    Exit reason() const { return static_cast<Exit>(area.exit_reason); }
    Status refusal() const { return static_cast<Status>(area.refusal); }
    template <class Call>
    void prepare(std::initializer_list<uint64_t> arguments = {}) {
        frame = {};
        frame.id = Call::id;
        frame.status = static_cast<uint64_t>(Status::enter_failed);
        std::copy(arguments.begin(), arguments.end(), frame.arguments);
    }
    bool done() const { return reason() == Exit::done && frame.status == 0; }

    HostArea area{};
    CallFrame frame{};

 private:
    uint64_t tcs_;
};

bool exited(const sgx_enclave_run& run) {
    return run.function == SGX_ENCLU_EEXIT;
}

// At CSSA 1 nothing is pending: every kind of entry is refused, and changes nothing but the host's
// own area, where the interrupted entry may have said already that it is done.
void expect_refused_at_cssa_1(Raw& raw) {
    const uint64_t said = raw.area.exit_reason;
    for (const auto entry : {Entry::exception, Entry::ecall, Entry::ocall_return, Entry{77}}) {
        ASSERT_TRUE(exited(raw.enter(entry)));
        ASSERT_EQ(raw.reason(), Exit::refused);
        ASSERT_EQ(raw.refusal(), Status::nothing_pending);
    }
    raw.area.exit_reason = said;
}

// Interrupts `entry` after each of its instructions in turn, and enters again there. `prepare`
// makes the situation anew; `check` looks at what the resumed entry came to. Returns their number.
template <class Prepare, class Check>
uint64_t reenter_at_every_instruction(Raw& raw, Entry entry, Prepare prepare, Check check) {
    for (uint64_t at = 1;; ++at) {
        prepare();
        sgxemu::single_step(at);
        const sgx_enclave_run run = raw.enter(entry);
        sgxemu::single_step(0);
        if (exited(run)) {
            check(at);
            return at;
        }
        EXPECT_EQ(run.exception_vector, sgxemu::step_vector);
        expect_refused_at_cssa_1(raw);
        EXPECT_TRUE(exited(raw.enter(Entry::ecall, SGX_ENCLU_ERESUME)));
        check(at);
        if (testing::Test::HasFailure() || at > 20'000) return at;
    }
}

TEST_F(Hostile, ReentryAtEveryInstructionOfAnEcall) {
    host::Enclave enclave(SGXDL_TEST_IMAGE, quiet());
    ASSERT_TRUE(enclave.call<Empty>());
    auto raw = std::make_unique<Raw>(enclave, 1);
    raw->prepare<Empty>();
    ASSERT_TRUE(exited(raw->enter(Entry::ecall)));  // the thread's own start
    const uint64_t instructions = reenter_at_every_instruction(
        *raw, Entry::ecall, [&] { raw->prepare<Empty>(); },
        [&](uint64_t at) { ASSERT_TRUE(raw->done()) << at; });
    EXPECT_GT(instructions, 100u);
    std::cout << instructions << " instructions\n";
    EXPECT_TRUE(enclave.call<Empty>());
}

TEST_F(Hostile, ReentryAtEveryInstructionOfAnOcallsReturn) {
    host::Enclave enclave(SGXDL_TEST_IMAGE, quiet());
    ASSERT_TRUE(enclave.call<Empty>());
    auto raw = std::make_unique<Raw>(enclave, 1);
    const uint64_t instructions = reenter_at_every_instruction(
        *raw, Entry::ocall_return,
        [&] {
            raw->prepare<Relay>({0, 5});
            ASSERT_TRUE(exited(raw->enter(Entry::ecall)));
            ASSERT_EQ(raw->reason(), Exit::ocall);
            // An ecall on this thread is refused: the ocall does not allow it.
            ASSERT_TRUE(exited(raw->enter(Entry::ecall)));
            ASSERT_EQ(raw->refusal(), Status::nested_refused);
            raw->area.ocall.result = 41;
        },
        [&](uint64_t at) {
            ASSERT_TRUE(raw->done()) << at;
            ASSERT_EQ(raw->frame.result[0], 41u) << at;
        });
    EXPECT_GT(instructions, 50u);
    // The answer once more: nobody waits for it.
    ASSERT_TRUE(exited(raw->enter(Entry::ocall_return)));
    EXPECT_EQ(raw->reason(), Exit::refused);
    EXPECT_EQ(raw->refusal(), Status::no_ocall);
}

TEST_F(Hostile, InterruptAfterEveryInstruction) {
    host::Enclave enclave(SGXDL_TEST_IMAGE, quiet());
    ASSERT_TRUE(enclave.load_module(SGXDL_TEST_MODULE));
    const auto executed = [&] { return sgxemu::page_audit(enclave.descriptor()).executed; };
    sgxemu::single_step(sgxemu::forever);
    EXPECT_TRUE(enclave.call<Empty>());
    const uint64_t before = executed();
    EXPECT_GT(before, 10u);
    const auto answer = enclave.call<CallLoaded>(module_name, advance_name, 5);
    EXPECT_TRUE(answer) << answer.message();
    EXPECT_EQ(answer.value, 6);
    EXPECT_GT(executed(), before) << "the loaded code's page, at least";
    const host::OperationReport patch = enclave.apply_patch(SGXDL_TEST_PATCH);
    EXPECT_TRUE(patch) << patch.message();
    EXPECT_EQ(enclave.call<CallLoaded>(module_name, advance_name, 5).value, 15);
    std::cout << sgxemu::steps() << " interrupts\n";
    sgxemu::single_step(0);
    const sgxemu::PageAudit audit = sgxemu::page_audit(enclave.descriptor());
    EXPECT_EQ(audit.executed_uncommitted, 0u);
    EXPECT_EQ(audit.accepted_twice, 0u);
}

// A thread that is never resumed costs its slot, nothing else. What it holds stays held: a thread
// that is kept out in a loader operation is not in this test.
TEST_F(Hostile, NeverResumed) {
    uint64_t stopped = 0;
    for (uint64_t at = 1; at < 500; at += 37) {
        SCOPED_TRACE(at);
        host::Enclave enclave(SGXDL_TEST_IMAGE, quiet());
        ASSERT_TRUE(enclave.call<Empty>());
        auto raw = std::make_unique<Raw>(enclave, enclave.thread_count() - 1);
        raw->prepare<Empty>();
        ASSERT_TRUE(exited(raw->enter(Entry::ecall)));  // the thread's own start
        raw->prepare<Empty>();
        sgxemu::single_step(at);
        const sgx_enclave_run run = raw->enter(Entry::ecall);
        sgxemu::single_step(0);
        ASSERT_FALSE(exited(run));
        ++stopped;
        ASSERT_TRUE(enclave.call<Empty>());
        ASSERT_TRUE(enclave.load_module(SGXDL_TEST_MODULE));
        ASSERT_EQ(enclave.call<CallLoaded>(module_name, advance_name, 5).value, 6);
        ASSERT_TRUE(enclave.apply_patch(SGXDL_TEST_PATCH));
        ASSERT_EQ(enclave.call<CallLoaded>(module_name, advance_name, 5).value, 15);
        expect_sound(enclave, Life(enclave));
    }
    EXPECT_GT(stopped, 10u);
}

// Taken out in the exception handler, too: there is no third frame to enter with.
TEST_F(Hostile, InterruptAtEveryInstructionOfTheExceptionHandler) {
    host::Enclave enclave(SGXDL_TEST_IMAGE, quiet());
    ASSERT_TRUE(enclave.call<Empty>());
    auto raw = std::make_unique<Raw>(enclave, 1);
    raw->prepare<Empty>();
    ASSERT_TRUE(exited(raw->enter(Entry::ecall)));  // the thread's own start
    constexpr uint16_t general_protection = 13;
    uint64_t at = 1;
    for (bool ended = false; !ended; ++at) {
        SCOPED_TRACE(at);
        raw->prepare<Empty>();
        sgxemu::single_step(40);
        ASSERT_FALSE(exited(raw->enter(Entry::ecall)));
        sgxemu::single_step(at);
        sgx_enclave_run run = raw->enter(Entry::exception);
        sgxemu::single_step(0);
        ended = exited(run);
        if (!ended) {
            ASSERT_EQ(run.exception_vector, sgxemu::step_vector);
            run = raw->enter(Entry::exception);
            ASSERT_FALSE(exited(run));
            ASSERT_EQ(run.exception_vector, general_protection);
            ASSERT_TRUE(exited(raw->enter(Entry::exception, SGX_ENCLU_ERESUME)));
        }
        ASSERT_TRUE(exited(raw->enter(Entry::ecall, SGX_ENCLU_ERESUME)));
        ASSERT_TRUE(raw->done());
    }
    EXPECT_GT(at, 30u);
}

}  // namespace
}  // namespace sgxdl::test
