// What gdb-test debugs: makes one call of the test enclave, and says what came back.
#include <array>
#include <cstdio>
#include <string_view>

#include "sgxdl/host.hpp"
#include "tests/enclave/image/interface.hpp"

// A place to stop at when the enclave is there.
extern "C" __attribute__((noinline)) void enclave_is_there() {
    asm volatile("");
}

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    sgxdl::host::Enclave enclave(argv[1]);
    enclave_is_there();
    for (int i = 0; i < 5; ++i) {
        std::array<char, 64> storage{};
        sgxdl::host::OutTo<char> reply{storage};
        const auto outcome = enclave.call<sgxdl::test::Echo>(std::string_view("hello"), reply);
        if (!outcome || std::string_view(storage.data(), reply.count) != "hello") return 1;
    }
    std::puts("all calls came back");
    return 0;
}
