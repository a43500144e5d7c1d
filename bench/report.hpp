// What every benchmark does with its samples: median and spread, a table for people, JSON for
// programs.
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sgxdl::bench {

using Clock = std::chrono::steady_clock;

// Wall-clock milliseconds since `begin`.
double ms_since(Clock::time_point begin);

// Samples of one quantity. `key` names it in the JSON, unit included: direct_ns.
struct Series {
    std::string key;
    std::vector<double> samples;
};

struct Summary {
    double median = 0, low = 0, high = 0;  // low, high: 10th and 90th percentile
    size_t count = 0;
};
Summary summarise(std::vector<double> samples);

class Report {
 public:
    explicit Report(std::string name) : json_{{"benchmark", std::move(name)}} {}
    // A quantity with its spread: KEY, KEY_low, KEY_high in the JSON (under `group`, if given).
    void add(const Series& series, const std::string& group = "");
    // A single fact, e.g. the platform or a count.
    template <class T>
    void note(const std::string& key, const T& value, const std::string& group = "") {
        place(group)[key] = value;
    }
    // Prints the table, and writes the JSON if `json_path` is not empty. False, with a message on
    // standard error, when it cannot be written.
    bool finish(const std::string& json_path) const;

 private:
    nlohmann::ordered_json& place(const std::string& group) {
        return group.empty() ? json_ : json_[group];
    }
    struct Row {
        std::string group, key;
        Summary summary;
    };
    nlohmann::ordered_json json_;
    std::vector<Row> rows_;
};

// The options that every benchmark takes.
struct Options {
    std::string json;
    bool smoke = false;  // few rounds, small sizes: only that it works
    size_t rounds = 0;   // 0: the benchmark's own number
};

// Parses the command line and runs `body`. Exit codes: 0, 1 (error, named on standard error), 2
// usage.
int run(int argc, char** argv, const std::string& name, const std::string& description,
        const std::function<void(const Options&, Report&)>& body);

}  // namespace sgxdl::bench
