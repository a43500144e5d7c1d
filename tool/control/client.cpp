#include "tool/control/client.hpp"

#include <asio.hpp>
#include <stdexcept>

namespace sgxdl::control {

nlohmann::json ask(const std::string& socket, const nlohmann::json& request) {
    asio::io_context context;
    asio::local::stream_protocol::socket connection(context);
    std::error_code error;
    try {
        connection.connect(asio::local::stream_protocol::endpoint(socket), error);
    } catch (const std::system_error& failure) {
        error = failure.code();  // a path that is too long for a socket
    }
    if (error) throw std::runtime_error(socket + ": " + error.message());
    asio::write(connection, asio::buffer(request.dump() + "\n"), error);
    std::string line;
    if (!error) asio::read_until(connection, asio::dynamic_buffer(line), '\n', error);
    if (error) throw std::runtime_error(socket + ": no answer: " + error.message());
    nlohmann::json answer = nlohmann::json::parse(line, nullptr, false);
    if (!answer.is_object()) throw std::runtime_error(socket + ": the answer is not JSON");
    if (!answer.value("ok", false)) {
        throw std::runtime_error(answer.value("error", "the operation failed"));
    }
    answer.erase("ok");
    return answer;
}

}  // namespace sgxdl::control
