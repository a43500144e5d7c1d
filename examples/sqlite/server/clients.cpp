#include "examples/sqlite/server/clients.hpp"

#include <algorithm>
#include <stdexcept>

namespace sgxdl::sqlite {

std::vector<CheckedQuery> checked_client_queries(std::span<const Expected> states) {
    std::vector<CheckedQuery> out;
    for (const Query& query : client_queries()) {
        const std::string& text = states.front().of(query.name);
        for (const Expected& other : states) {
            if (other.of(query.name) == text) continue;
            throw std::runtime_error("states " + states.front().state + " and " + other.state +
                                     " answer " + query.name + " differently");
        }
        out.push_back({query, {text}});
    }
    return out;
}

Clients::Clients(unsigned count, const Connect& connect, std::span<const CheckedQuery> queries)
    : queries_(queries) {
    for (unsigned client = 0; client < count; ++client) {
        threads_.emplace_back([this, client, connect] { run(client, connect); });
    }
}

Clients::~Clients() {
    stop();
}

void Clients::stop() {
    stopping_ = true;
    for (std::thread& thread : threads_) {
        if (thread.joinable()) thread.join();
    }
}

ClientCounts Clients::counts() const {
    const std::lock_guard lock(mutex_);
    return counts_;
}

void Clients::run(unsigned client, const Connect& connect) {
    try {
        const std::unique_ptr<Connection> connection = connect(client);
        std::vector<char> buffer(16 << 10);
        // Clients go through the corpus from different places, so that different queries meet.
        size_t next = client * queries_.size() / 2;
        while (!stopping_) {
            const CheckedQuery& query = queries_[next++ % queries_.size()];
            check(query, answer(*connection, query.query.sql, buffer));
        }
    } catch (const std::exception& error) {
        const std::lock_guard lock(mutex_);
        ++counts_.failed_queries;
        if (counts_.first_trouble.empty()) counts_.first_trouble = error.what();
    }
}

void Clients::check(const CheckedQuery& query, const std::string& text) {
    const bool right = std::ranges::find(query.right, text) != query.right.end();
    const std::lock_guard lock(mutex_);
    ++counts_.queries;
    if (right) return;
    // An error where none is expected is a failed query; a text that differs a wrong answer.
    uint64_t& count = text.starts_with("error: ") ? counts_.failed_queries : counts_.wrong_answers;
    ++count;
    if (counts_.first_trouble.empty()) {
        counts_.first_trouble = query.query.name + " answered '" + text.substr(0, 200) +
                                "' instead of '" + query.right.front().substr(0, 200) + "'";
    }
}

}  // namespace sgxdl::sqlite
