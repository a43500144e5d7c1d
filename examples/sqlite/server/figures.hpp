// The figures of a demo run: only what was measured has a value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace sgxdl::sqlite {

struct Figures {
    std::optional<uint64_t> queries, wrong_answers, failed_queries;
    std::optional<uint64_t> changed_functions, closure_functions;  // of the fix of CVE-2025-6965
    std::optional<double> build_ms, activate_us;
    std::optional<double> gap_ms_without_patch, gap_ms_with_patch, probe_interval_ms;
    std::optional<double> restart_ms;
    std::optional<bool> w_xor_x;
    std::string mrenclave;

    // For people, with the meaning of every figure.
    std::string table() const;
    // Keys as the members' names; figures that were not measured are left out.
    std::string json() const;
};

}  // namespace sgxdl::sqlite
