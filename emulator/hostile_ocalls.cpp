#include "emulator/hostile_ocalls.hpp"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "emulator/hostile.hpp"
#include "emulator/usercopy.hpp"

namespace sgxemu {

namespace {

using Bytes = std::vector<uint8_t>;

struct PerThread {
    Bytes before;  // the memory at the last entry
    Bytes answer;  // the last answer
    bool again = false;
};

// Entries come from ordinary code, one at a time on a TCS.
std::mutex lock;
OcallAnswers where;
std::map<uint64_t, PerThread> threads;  // by TCS
Bytes first_answer;
std::atomic<bool> active{false};

void spoil(Misbehaviour what, uint64_t tcs, Bytes& bytes) {
    PerThread& thread = threads[tcs];
    if (thread.again) {
        thread.again = false;
        bytes = thread.answer;
        return;
    }
    const Bytes answer = bytes;
    switch (what) {
        case Misbehaviour::drop:
            if (!thread.before.empty()) bytes = thread.before;
            break;
        case Misbehaviour::refuse:
            std::memset(bytes.data(), 0xff, 8);
            break;
        case Misbehaviour::repeat:
            thread.again = true;
            break;
        case Misbehaviour::swap:
            for (auto& [other_tcs, other] : threads) {
                if (other_tcs != tcs && !other.answer.empty()) bytes = other.answer;
            }
            break;
        case Misbehaviour::replay:
            if (!first_answer.empty()) bytes = first_answer;
            break;
        case Misbehaviour::none:
        case Misbehaviour::delay:
            break;
    }
    if (first_answer.empty()) first_answer = answer;
    thread.answer = answer;
}

}  // namespace

int spoil_ocalls(const OcallAnswers& answers) {
    if (answers.size < 8 || answers.size > max_ocall_answer) return -EINVAL;
    const std::lock_guard guard(lock);
    where = answers;
    threads.clear();
    first_answer.clear();
    active.store(true, std::memory_order_release);
    return 0;
}

bool are_ocalls_spoiled() {
    return active.load(std::memory_order_acquire);
}

void spoil_ocall_answer(uint64_t tcs, uint64_t rdi, uint64_t rsi) {
    Misbehaviour what = Misbehaviour::none;
    OcallAnswers at;
    {
        const std::lock_guard guard(lock);
        at = where;
        if (rdi == at.entry) what = misbehaviour_of(Operation::ocall);
    }
    if (what == Misbehaviour::delay) dawdle();
    const std::lock_guard guard(lock);
    Bytes bytes(at.size);
    if (!copy_from_program(bytes.data(), rsi + at.offset, bytes.size())) return;
    if (rdi == at.entry) {
        spoil(what, tcs, bytes);
        static_cast<void>(copy_to_program(rsi + at.offset, bytes.data(), bytes.size()));
    }
    threads[tcs].before = std::move(bytes);
}

}  // namespace sgxemu
