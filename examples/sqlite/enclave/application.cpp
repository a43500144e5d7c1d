// The SQLite enclave: which calls it answers. SQLite itself comes as a module.
#include "examples/sqlite/enclave/base.hpp"

namespace {

using namespace sgxdl::sqlite;

constexpr sgxdl::EcallRow rows[] = {
    sgxdl::bind<Start, start_sqlite>(),  sgxdl::bind<Open, open_session>(),
    sgxdl::bind<Execute, execute_sql>(), sgxdl::bind<Fetch, fetch_rows>(),
    sgxdl::bind<Close, close_session>(), sgxdl::bind<Speedtest, run_speedtest>(),
};

}  // namespace

constinit const sgxdl::Application sgxdl::application = {.ecalls = rows, .start = nullptr};

void* sgxdl::sqlite::find(const char* module, const char* name) {
    return sgxdl_sym(module, name);
}
