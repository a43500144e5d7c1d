// The addresses of the rearm module's functions as they are taken in different places, and what a
// callback that arms itself again answers. The same code in the test enclave and in this process.
#pragma once

#include <cstdint>

namespace sgxdl::sqlite::test {

// Addresses as numbers; `version` is what the armed callback returned.
struct Ticks {
    uint64_t global_in_code = 0, global_in_data = 0, global_by_itself = 0, global_by_symbol = 0;
    uint64_t local_in_code = 0, local_in_data = 0, local_by_itself = 0;
    int32_t global_version = 0, local_version = 0;
    uint32_t found = 0;  // 1: the module is loaded

    // All four, and all three, are the same.
    bool canonical() const {
        return found == 1 && global_in_code == global_in_data &&
               global_in_code == global_by_itself && global_in_code == global_by_symbol &&
               local_in_code == local_in_data && local_in_code == local_by_itself;
    }
    bool operator==(const Ticks&) const = default;
};

// What the module imports.
extern "C" void rearm_register(int (*next)(void));

// Calls both armed callbacks (arms them at the first call) and looks at all addresses.
// find(name): the address of a symbol of the module.
Ticks tick(void* (*find)(const char* name));

}  // namespace sgxdl::sqlite::test
