// Client threads: each loops over the query corpus in its own session and checks every answer
// against those that native builds gave.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "examples/sqlite/corpus/answers.hpp"
#include "examples/sqlite/corpus/queries.hpp"
#include "examples/sqlite/reply.hpp"

namespace sgxdl::sqlite {

// A session somewhere: in the enclave (host side) or in this process.
class Connection {
 public:
    virtual ~Connection() = default;
    virtual Reply execute(std::span<const char> sql, std::span<char> text) = 0;
    virtual Reply fetch(std::span<char> text) = 0;
};

// Makes a connection for the calling thread; throws std::runtime_error when it cannot.
using Connect = std::function<std::unique_ptr<Connection>(unsigned client)>;

// One query with the answers that count as right.
struct CheckedQuery {
    Query query;
    std::vector<std::string> right;  // more than one while a patch may be in force or not
};

// The corpus with its expected answers; they must be the same in all states, or it throws.
std::vector<CheckedQuery> checked_client_queries(std::span<const Expected> states);

struct ClientCounts {
    uint64_t queries = 0;
    uint64_t wrong_answers = 0;
    uint64_t failed_queries = 0;
    std::string first_trouble;  // query, answer and expectation, for people
};

class Clients {
 public:
    // Starts `count` threads. `queries` outlives this object.
    Clients(unsigned count, const Connect& connect, std::span<const CheckedQuery> queries);
    ~Clients();
    Clients(const Clients&) = delete;

    // Stops the threads after their present query. The counts stay.
    void stop();
    // Sums over all clients so far.
    ClientCounts counts() const;

 private:
    void run(unsigned client, const Connect& connect);
    void check(const CheckedQuery& query, const std::string& text);

    std::span<const CheckedQuery> queries_;
    std::atomic<bool> stopping_ = false;
    mutable std::mutex mutex_;  // guards counts_
    ClientCounts counts_;
    std::vector<std::thread> threads_;
};

}  // namespace sgxdl::sqlite
