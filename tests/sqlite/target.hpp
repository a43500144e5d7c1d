// Where SQLite runs in a test: in the enclave, or in this process by the same loader core on its
// hosted platform. The tests are written once against this.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "examples/sqlite/server/clients.hpp"
#include "tests/sqlite/rearm.hpp"

namespace sgxdl::sqlite::test {

// What must not grow with the number of patches.
struct Footprint {
    uint64_t pages = 0;  // present, the heap's not counted; from the emulator's EPCM if it is one
    uint64_t code_pages = 0;   // of these, executable
    uint64_t heap_blocks = 0;  // in use
    uint64_t stubs = 0;
    uint64_t units = 0;        // linked copies
    uint64_t generations = 0;  // live
    bool operator==(const Footprint&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Footprint& footprint);

// What one load, patch or rollback did.
struct Change {
    std::string error;  // empty: done
    uint32_t functions = 0, changed = 0, closure = 0, relocations = 0, slices = 0;
    uint64_t text_bytes = 0, generation = 0;
    bool ok() const { return error.empty(); }
};

class Target {
 public:
    virtual ~Target() = default;
    // Applies a bundle file: a module or a patch. With names: only these functions of a module.
    virtual Change apply(const std::string& bundle_file,
                         const std::vector<std::string>& names = {}) = 0;
    virtual Change rollback(const std::string& module) = 0;
    // Loads more functions of a module whose bundle is here already; unloads functions.
    virtual Change extend(const std::string& module, const std::vector<std::string>& names) = 0;
    virtual Change unload(const std::string& module, const std::vector<std::string>& names,
                          bool force) = 0;
    // True when the module has a canonical address for that name.
    virtual bool has_symbol(const std::string& module, const std::string& name) = 0;
    // Looks SQLite up and starts it, once, after the module was loaded. SQLite's message or "".
    virtual std::string start() = 0;
    virtual std::unique_ptr<Connection> connect(unsigned session, const std::string& database,
                                                int column_limit) = 0;
    // Calls the rearm module's armed callbacks, if it is loaded.
    virtual Ticks tick() = 0;
    // Holds the next SELECT of that session inside sqlite3_prepare, below sqlite3Select, until
    // unpark(). wait_until_parked() returns when a thread is held.
    virtual void park_next_select(unsigned session) = 0;
    virtual void wait_until_parked() = 0;
    virtual void unpark() = 0;
    // Runs speedtest1 from the module of that name; what it printed.
    virtual std::string speedtest(const std::string& module, const std::string& arguments) = 0;
    // Frees everything that can be freed now.
    virtual void reclaim() = 0;
    virtual Footprint footprint() = 0;
};

// A fresh target. Each test program is linked with one kind: enclave_target.cpp or
// hosted_target.cpp.
std::unique_ptr<Target> make_target();

}  // namespace sgxdl::sqlite::test
