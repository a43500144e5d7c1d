#include "tests/enclave/image/interface.hpp"

#include <cstring>

#include "sgxdl/enclave.hpp"

namespace sgxdl {

namespace test {

namespace {

uint64_t echo(std::span<const char> text, OutBuffer<char>& reply) {
    reply.count = text.size() < reply.storage.size() ? text.size() : reply.storage.size();
    memcpy(reply.storage.data(), text.data(), reply.count);
    return text.size();
}

void empty() {}

constexpr EcallRow rows[] = {
    bind<Echo, echo>(),
    bind<Empty, empty>(),
};

}  // namespace

}  // namespace test

constinit const Application application = {.ecalls = test::rows, .start = nullptr};

}  // namespace sgxdl
