// The example's enclave with a few calls more, for tests.
#include <atomic>

#include "examples/sqlite/enclave/base.hpp"
#include "tests/sqlite/enclave/interface.hpp"

namespace {

using namespace sgxdl::sqlite;
using namespace sgxdl::sqlite::test;

constexpr int action_select = 21;  // SQLITE_SELECT in sqlite3.h

void* find_in_rearm(const char* name) {
    return sgxdl_sym("rearm", name);
}

Ticks tick_module() {
    return tick(find_in_rearm);
}

std::atomic<bool> park{false};

// SQLite asks at the beginning of sqlite3Select() whether a SELECT is allowed.
int authorizer(void*, int action, const char*, const char*, const char*, const char*) {
    if (action == action_select && park.exchange(false)) (void)sgxdl::ocall<Parked>();
    return result_ok;
}

Reply park_next_select(uint32_t number) {
    Session* const target = session(number);
    if (target == nullptr) return {.result = result_misuse};
    park = true;
    return target->set_authorizer(authorizer, nullptr);
}

constexpr sgxdl::EcallRow rows[] = {
    sgxdl::bind<Start, start_sqlite>(),     sgxdl::bind<Open, open_session>(),
    sgxdl::bind<Execute, execute_sql>(),    sgxdl::bind<Fetch, fetch_rows>(),
    sgxdl::bind<Close, close_session>(),    sgxdl::bind<Speedtest, run_speedtest>(),
    sgxdl::bind<TickModule, tick_module>(), sgxdl::bind<ParkNextSelect, park_next_select>(),
};

}  // namespace

constinit const sgxdl::Application sgxdl::application = {.ecalls = rows, .start = nullptr};

void* sgxdl::sqlite::find(const char* module, const char* name) {
    return sgxdl_sym(module, name);
}
