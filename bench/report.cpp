#include "bench/report.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace sgxdl::bench {

double ms_since(Clock::time_point begin) {
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

Summary summarise(std::vector<double> samples) {
    Summary summary;
    summary.count = samples.size();
    if (samples.empty()) return summary;
    std::ranges::sort(samples);
    const auto at = [&](double part) {
        // Linear between the two nearest samples.
        const double place = part * static_cast<double>(samples.size() - 1);
        const auto below = static_cast<size_t>(place);
        const size_t above = std::min(below + 1, samples.size() - 1);
        const double rest = place - static_cast<double>(below);
        return samples[below] * (1 - rest) + samples[above] * rest;
    };
    summary.median = at(0.5);
    summary.low = at(0.1);
    summary.high = at(0.9);
    return summary;
}

void Report::add(const Series& series, const std::string& group) {
    const Summary summary = summarise(series.samples);
    rows_.push_back({group, series.key, summary});
    nlohmann::ordered_json& json = place(group);
    json[series.key] = summary.median;
    json[series.key + "_low"] = summary.low;
    json[series.key + "_high"] = summary.high;
    json[series.key + "_samples"] = summary.count;
}

bool Report::finish(const std::string& json_path) const {
    for (const auto& [key, value] : json_.items()) {
        if (!value.is_string() || key == "benchmark") continue;
        fmt::print("{}: {}\n", key, value.get<std::string>());
    }
    fmt::print("{:34} {:>12} {:>12} {:>12} {:>8}\n", "", "median", "10 %", "90 %", "samples");
    for (const Row& row : rows_) {
        fmt::print("{:34} {:12.3f} {:12.3f} {:12.3f} {:8}\n",
                   row.group.empty() ? row.key : row.group + "." + row.key, row.summary.median,
                   row.summary.low, row.summary.high, row.summary.count);
    }
    if (json_path.empty()) return true;
    std::ofstream out(json_path);
    out << json_.dump(2) << '\n';
    out.close();
    if (!out) {
        fmt::print(stderr, "bench: cannot write {}\n", json_path);
        return false;
    }
    return true;
}

int run(int argc, char** argv, const std::string& name, const std::string& description,
        const std::function<void(const Options&, Report&)>& body) {
    CLI::App app{description, "bench-" + name};
    Options options;
    app.add_option("--json", options.json, "Also writes the figures to FILE")->type_name("FILE");
    app.add_option("--rounds", options.rounds, "Samples per figure (default: the benchmark's own)");
    app.add_flag("--smoke", options.smoke, "Few rounds, small sizes: only that it works");
    app.footer("Example: ./run bench " + name + " --json " + name +
               ".json\nExit codes: 0 ok, 1 error, 2 usage.");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    Report report(name);
    if (const char* model = std::getenv("SGXEMU_COSTS")) report.note("cost_model", model);
    try {
        body(options, report);
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench-{}: {}\n", name, error.what());
        return 1;
    }
    return report.finish(options.json) ? 0 : 1;
}

}  // namespace sgxdl::bench
