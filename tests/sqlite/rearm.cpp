#include "tests/sqlite/rearm.hpp"

namespace sgxdl::sqlite::test {

namespace {

using Tick = int (*)();
Tick registered = nullptr;                           // by the call that is running
Tick armed_global = nullptr, armed_local = nullptr;  // kept from call to call

uint64_t number(Tick address) {
    return reinterpret_cast<uint64_t>(address);
}

}  // namespace

extern "C" void rearm_register(int (*next)(void)) {
    registered = next;
}

Ticks tick(void* (*find)(const char* name)) {
    Ticks out;
    const auto global_in_code = reinterpret_cast<Tick (*)()>(find("rearm_tick_in_code"));
    const auto local_in_code = reinterpret_cast<Tick (*)()>(find("rearm_local_in_code"));
    const auto global_in_data = static_cast<Tick*>(find("rearm_tick_in_data"));
    const auto local_in_data = static_cast<Tick*>(find("rearm_local_in_data"));
    const auto by_symbol = reinterpret_cast<Tick>(find("rearm_tick"));
    if (!global_in_code || !local_in_code || !global_in_data || !local_in_data || !by_symbol)
        return out;
    out.found = 1;
    out.global_in_code = number(global_in_code());
    out.local_in_code = number(local_in_code());
    out.global_in_data = number(*global_in_data);
    out.local_in_data = number(*local_in_data);
    out.global_by_symbol = number(by_symbol);
    if (armed_global == nullptr) armed_global = by_symbol;
    if (armed_local == nullptr) armed_local = *local_in_data;
    out.global_version = armed_global();
    armed_global = registered;
    out.global_by_itself = number(armed_global);
    out.local_version = armed_local();
    armed_local = registered;
    out.local_by_itself = number(armed_local);
    return out;
}

}  // namespace sgxdl::sqlite::test
