// The main job, step by step: see `./run demo` and examples/sqlite/README.md.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "examples/sqlite/server/figures.hpp"
#include "examples/sqlite/server/gap.hpp"
#include "examples/sqlite/server/service.hpp"

namespace sgxdl::sqlite {

struct DemoOptions {
    std::string sgxdl;     // the command
    std::string image;     // signed enclave image
    std::string key;       // vendor's secret key (PEM); its public half is in the image
    std::string objects;   // folder with a/, b/ and c/ of scripts/sqlite-objects
    std::string expected;  // folder with expected.{a,b,c}.json
    std::string work;      // folder for bundles and the control socket
    GapOptions gap;
    unsigned seconds = 2;  // how long clients run between two steps
};

class Demo {
 public:
    explicit Demo(const DemoOptions& options);
    ~Demo();

    // Runs all steps; throws std::runtime_error at the first that does not do what it must. The
    // figures measured so far stay.
    void run();
    const Figures& figures() const { return figures_; }

 private:
    void make_bundles();
    void start_service();
    void start_clients();
    void stop_clients();
    void let_clients_run();
    void expect_terms(const char* state);
    void patch(const char* title, const std::string& file, bool record);
    void rollback(const char* title);
    void rollback_refused();
    void measure();
    void restart();
    void say(const char* topic, const std::string& text) const;
    // Runs a verb of sgxdl that makes a bundle; its JSON, and "seconds".
    nlohmann::json make(const std::string& name, std::vector<std::string> arguments);
    void pack(const char* state);
    void diff(const std::string& name, const char* from, const char* to,
              const std::vector<std::string>& base, const std::vector<std::string>& more);
    std::vector<std::string> objects_of(const char* state) const;
    std::string path(const std::string& name) const { return options_.work + "/" + name; }

    DemoOptions options_;
    Figures figures_;
    std::vector<Expected> expected_;
    std::vector<CheckedQuery> queries_;
    std::unique_ptr<Service> service_;
    std::unique_ptr<Clients> clients_;
    double longest_change_ms_ = 0;
    ClientCounts total_;  // of clients that were stopped, and of single checks
};

}  // namespace sgxdl::sqlite
