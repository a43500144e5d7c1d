// The same enclave with speedtest1 and SQLite linked in, for the overhead benchmark: what loaded
// code is compared with.
#include <cstring>

#include "examples/sqlite/enclave/base.hpp"

extern "C" {
int speedtest_main(int argc, char** argv);
int enclave_sqlite_start(void);
}

namespace {

using namespace sgxdl::sqlite;

constexpr sgxdl::EcallRow rows[] = {sgxdl::bind<Speedtest, run_speedtest>()};

}  // namespace

constinit const sgxdl::Application sgxdl::application = {.ecalls = rows, .start = nullptr};

void* sgxdl::sqlite::find(const char*, const char* name) {
    if (std::strcmp(name, "speedtest_main") == 0) return reinterpret_cast<void*>(&speedtest_main);
    if (std::strcmp(name, "enclave_sqlite_start") == 0) {
        return reinterpret_cast<void*>(&enclave_sqlite_start);
    }
    return nullptr;
}
