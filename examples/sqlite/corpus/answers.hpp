// Answers as text, and the files of expected ones that native builds wrote.
#pragma once

#include <map>
#include <span>
#include <string>

#include "examples/sqlite/enclave/session.hpp"

namespace sgxdl::sqlite {

// Executes and fetches until the statement is done. `session` has execute(sql, text) and
// fetch(text) as Session has. The answer is all rows, or "error: " and SQLite's message.
template <class S>
std::string answer(S& session, const std::string& sql, std::span<char> buffer) {
    std::string out;
    Reply reply = session.execute(std::span<const char>(sql), buffer);
    while (reply.result == result_row) {
        out.append(buffer.data(), reply.size);
        reply = session.fetch(buffer);
    }
    if (reply.result == result_done) return out.append(buffer.data(), reply.size);
    return "error: " + std::string(buffer.data(), reply.size);
}

// What one state of the source answers, by query name.
struct Expected {
    std::string state;  // "a", "b" or "c"
    std::map<std::string, std::string> answers;

    // Reads a file that native/native.cpp wrote. Throws std::runtime_error naming the file.
    static Expected read(const std::string& file);
    void write(const std::string& file) const;
    // The answer; throws std::out_of_range naming the query.
    const std::string& of(const std::string& query) const;
};

}  // namespace sgxdl::sqlite
