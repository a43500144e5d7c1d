#include "examples/sqlite/server/enclave_connection.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace sgxdl::sqlite {

namespace {

// The enclave's reply, or why it gave none.
Reply result_of(const host::Reply<Reply>& reply, std::span<char> text) {
    if (reply) return reply.value;
    const std::string reason = reply.message();
    const size_t size = std::min(reason.size(), text.size());
    std::memcpy(text.data(), reason.data(), size);
    return {.result = result_error, .rows = 0, .size = size};
}

void must(const char* what, const Reply& reply, std::span<const char> text) {
    if (reply.result == result_ok) return;
    throw std::runtime_error(std::string(what) + ": " + std::string(text.data(), reply.size));
}

class EnclaveConnection : public Connection {
 public:
    EnclaveConnection(host::Enclave& enclave, uint32_t number, const std::string& database,
                      uint32_t column_limit)
        : enclave_(enclave), number_(number) {
        std::vector<char> buffer(256);
        host::OutTo<char> text{buffer};
        const auto reply =
            enclave_.call<Open>(number_, std::string_view(database), column_limit, text);
        must("open", result_of(reply, buffer), buffer);
    }
    ~EnclaveConnection() override { enclave_.call<Close>(number_); }

    Reply execute(std::span<const char> sql, std::span<char> text) override {
        host::OutTo<char> out{text.first(std::min(text.size(), max_text))};
        return result_of(enclave_.call<Execute>(number_, sql, out), text);
    }
    Reply fetch(std::span<char> text) override {
        host::OutTo<char> out{text.first(std::min(text.size(), max_text))};
        return result_of(enclave_.call<Fetch>(number_, out), text);
    }

 private:
    host::Enclave& enclave_;
    uint32_t number_;
};

}  // namespace

void start_sqlite(host::Enclave& enclave) {
    std::vector<char> buffer(256);
    host::OutTo<char> text{buffer};
    must("start", result_of(enclave.call<Start>(text), buffer), buffer);
}

std::unique_ptr<Connection> connect_to_enclave(host::Enclave& enclave, uint32_t number,
                                               const std::string& database, uint32_t column_limit) {
    return std::make_unique<EnclaveConnection>(enclave, number, database, column_limit);
}

}  // namespace sgxdl::sqlite
