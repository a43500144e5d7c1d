#include "examples/sqlite/server/figures.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace sgxdl::sqlite {

namespace {

template <class T>
std::string text(const std::optional<T>& value, const char* unit) {
    if (!value) return "not measured";
    if constexpr (std::is_floating_point_v<T>) {
        return fmt::format("{:.3f} {}", *value, unit);
    } else {
        return fmt::format("{}{}{}", *value, *unit != 0 ? " " : "", unit);
    }
}

std::string line(const char* name, const std::string& value, const char* meaning) {
    return fmt::format("  {:<22} {:>14}  {}\n", name, value, meaning);
}

}  // namespace

std::string Figures::table() const {
    std::string out;
    if (w_xor_x && !*w_xor_x)
        out += line("W^X", "no W^X", "loaded code is writable (image for SGX1)");
    out += line("queries", text(queries, ""), "answered and checked, all clients");
    out += line("wrong_answers", text(wrong_answers, ""), "differ from the native builds' answers");
    out += line("failed_queries", text(failed_queries, ""), "errors where none is right");
    out += line("changed_functions", text(changed_functions, ""), "in the fix of CVE-2025-6965");
    out += line("closure_functions", text(closure_functions, ""), "linked again for it");
    out += line("build_ms", text(build_ms, "ms"),
                "from its first byte to its end, waits for other threads included");
    out += line("activate_us", text(activate_us, "us"), "the slice in which it became current");
    out += line("gap_ms_without_patch", text(gap_ms_without_patch, "ms"),
                "longest wait of a probe, median over windows");
    out += line("gap_ms_with_patch", text(gap_ms_with_patch, "ms"),
                "the same with one patch in each window");
    out += line("probe_interval_ms", text(probe_interval_ms, "ms"),
                "median time between a client's probes");
    out += line("restart_ms", text(restart_ms, "ms"),
                "last answer before to first after: enclave, module, data");
    if (gap_ms_with_patch && gap_ms_without_patch && restart_ms && probe_interval_ms) {
        // A patch's time without service counts as at least one probe interval.
        const double patch =
            std::max(*gap_ms_with_patch - *gap_ms_without_patch, *probe_interval_ms);
        out += line("restart / patch", fmt::format("{:.0f} x", *restart_ms / patch),
                    "time without service; the patch counts as at least one probe interval");
    }
    return out;
}

std::string Figures::json() const {
    nlohmann::ordered_json out;
    const auto put = [&](const char* name, const auto& value) {
        if (value) out[name] = *value;
    };
    put("queries", queries);
    put("wrong_answers", wrong_answers);
    put("failed_queries", failed_queries);
    put("changed_functions", changed_functions);
    put("closure_functions", closure_functions);
    put("build_ms", build_ms);
    put("activate_us", activate_us);
    put("gap_ms_without_patch", gap_ms_without_patch);
    put("gap_ms_with_patch", gap_ms_with_patch);
    put("probe_interval_ms", probe_interval_ms);
    put("restart_ms", restart_ms);
    put("w_xor_x", w_xor_x);
    if (!mrenclave.empty()) out["mrenclave"] = mrenclave;
    return out.dump(2) + "\n";
}

}  // namespace sgxdl::sqlite
