// Runs SQLite's speedtest1 from a loaded module and keeps what it prints.
//
// speedtest1 imports speedtest_output and speedtest_exit from here. One run at a time.
#include <setjmp.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "examples/sqlite/enclave/base.hpp"

namespace {

struct Run {
    std::span<char> text;
    size_t used = 0;
    jmp_buf end;
    int status = 0;
};

Run* current_run = nullptr;
std::atomic_flag running = ATOMIC_FLAG_INIT;

}  // namespace

extern "C" {

// What the module prints; more than fits is dropped.
void speedtest_output(const char* text, unsigned long size) {
    if (current_run == nullptr) return;
    Run& run = *current_run;
    const size_t part = std::min(size, run.text.size() - run.used);
    if (part != 0) std::memcpy(run.text.data() + run.used, text, part);
    run.used += part;
}

// speedtest1's exit(): back to where it was called. Loaded frames in between hold nothing.
[[noreturn]] void speedtest_exit(int status) {
    if (current_run == nullptr) __builtin_trap();
    current_run->status = status;
    longjmp(current_run->end, 1);
}
}

namespace sgxdl::sqlite {

Reply run_speedtest(std::span<const char> module, std::span<const char> arguments,
                    OutBuffer<char>& text) {
    static constexpr size_t max_arguments = 32;
    // acquire: the run before left current_run; partner: the release below.
    if (running.test_and_set(std::memory_order_acquire)) {
        return text_reply(result_busy, "speedtest1 is running already", text);
    }
    static char line[1025];
    static char* words[max_arguments + 2];
    static char program[] = "speedtest1";
    static Run run;
    char name[65] = {};
    std::copy_n(module.begin(), std::min(module.size(), sizeof name - 1), name);
    const size_t length = std::min(arguments.size(), sizeof line - 1);
    std::copy_n(arguments.begin(), length, line);
    line[length] = 0;
    int count = 0;
    words[count++] = program;
    for (char* word = std::strtok(line, " "); word != nullptr; word = std::strtok(nullptr, " ")) {
        if (count <= static_cast<int>(max_arguments)) words[count++] = word;
    }
    words[count] = nullptr;

    Reply reply;
    using Main = int (*)(int, char**);
    using StartSqlite = int (*)();
    const auto main = reinterpret_cast<Main>(find(name, "speedtest_main"));
    const auto begin = reinterpret_cast<StartSqlite>(find(name, "enclave_sqlite_start"));
    if (main == nullptr || begin == nullptr) {
        reply = text_reply(result_error, "the module has no speedtest_main", text);
    } else {
        run.text = text.storage;
        run.used = 0;
        current_run = &run;
        // speedtest1 configures SQLite itself before it initialises it: only the mutexes are ours,
        // and enclave_sqlite_start() answers "misuse" from the second run on, which is harmless.
        begin();
        if (setjmp(run.end) == 0) run.status = main(count, words);
        current_run = nullptr;
        text.count = run.used;
        reply = {.result = run.status, .rows = 0, .size = run.used};
    }
    running.clear(std::memory_order_release);  // partner: the acquire above
    return reply;
}

}  // namespace sgxdl::sqlite
