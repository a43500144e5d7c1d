#include "examples/sqlite/server/command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>

extern char** environ;

namespace sgxdl::sqlite {

namespace {

// A pipe whose reading end is ours.
struct Pipe {
    Pipe() {
        if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe: no descriptors");
    }
    ~Pipe() {
        for (const int end : ends) {
            if (end >= 0) close(end);
        }
    }
    Pipe(const Pipe&) = delete;
    void close_writer() {
        close(ends[1]);
        ends[1] = -1;
    }
    std::array<int, 2> ends{-1, -1};
};

// Reads both until both are closed, so that neither can fill up and block the program.
void drain(Pipe& first, std::string& first_text, Pipe& second, std::string& second_text) {
    std::array<pollfd, 2> polls = {{{first.ends[0], POLLIN, 0}, {second.ends[0], POLLIN, 0}}};
    std::array<std::string*, 2> texts = {&first_text, &second_text};
    char buffer[4096];
    for (size_t open = 2; open != 0;) {
        if (poll(polls.data(), polls.size(), -1) < 0 && errno != EINTR) return;
        for (size_t i = 0; i < polls.size(); ++i) {
            if (polls[i].fd < 0 || polls[i].revents == 0) continue;
            const ssize_t size = read(polls[i].fd, buffer, sizeof buffer);
            if (size > 0) {
                texts[i]->append(buffer, static_cast<size_t>(size));
            } else if (size == 0 || errno != EINTR) {
                polls[i].fd = -1;
                --open;
            }
        }
    }
}

}  // namespace

CommandResult run_command(const std::vector<std::string>& arguments) {
    Pipe output, errors;
    std::vector<char*> words;
    for (const std::string& argument : arguments)
        words.push_back(const_cast<char*>(argument.c_str()));
    words.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, output.ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, errors.ends[1], STDERR_FILENO);
    pid_t child = -1;
    const int failed = posix_spawn(&child, words[0], &actions, nullptr, words.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) throw std::runtime_error(arguments[0] + ": " + std::strerror(failed));
    output.close_writer();
    errors.close_writer();
    CommandResult result;
    drain(output, result.output, errors, result.errors);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return result;
}

std::string command_text(const std::vector<std::string>& arguments) {
    std::string out = std::filesystem::path(arguments[0]).filename();
    for (size_t i = 1; i < arguments.size(); ++i)
        out += " " + arguments[i];
    return out;
}

}  // namespace sgxdl::sqlite
