// One request over a control socket.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace sgxdl::control {

// Sends the request to the process that serves `socket` and returns its answer. Throws
// std::runtime_error when nobody serves it, or with the answer's own error text.
nlohmann::json ask(const std::string& socket, const nlohmann::json& request);

}  // namespace sgxdl::control
