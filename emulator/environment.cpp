#include "emulator/environment.hpp"

#include <charconv>
#include <cstdlib>
#include <cstring>

#include "emulator/costs.hpp"
#include "emulator/sgxemu.hpp"

namespace sgxemu {

namespace {

bool parse_ocall_answers(const char* text, OcallAnswers& answers) {
    const char* const end = text + std::strlen(text);
    for (uint64_t* const number : {&answers.entry, &answers.offset, &answers.size}) {
        const auto [stop, error] = std::from_chars(text, end, *number);
        if (error != std::errc() || (stop != end && *stop != ':')) return false;
        if ((stop == end) != (number == &answers.size)) return false;
        text = stop + 1;
    }
    return true;
}

std::string apply() {
    if (const char* text = std::getenv("SGXEMU_HOSTILE")) {
        if (std::string error = misbehave_as(text); !error.empty())
            return "SGXEMU_HOSTILE: " + error;
    }
    if (const char* text = std::getenv("SGXEMU_COSTS")) {
        if (charge_costs(text) != 0) {
            std::string error = "SGXEMU_COSTS: there is no table '" + std::string(text) + "', only";
            for (const CostTable& table : cost_tables())
                error += std::string(" ") + table.name;
            return error;
        }
    }
    if (const char* text = std::getenv("SGXEMU_OCALLS")) {
        OcallAnswers answers;
        if (!parse_ocall_answers(text, answers) || spoil_ocalls(answers) != 0)
            return "SGXEMU_OCALLS must be ENTRY:OFFSET:SIZE in decimal, SIZE from 8 to 1048576";
    }
    return {};
}

}  // namespace

const std::string& apply_environment() {
    static const std::string error = apply();
    return error;
}

}  // namespace sgxemu
