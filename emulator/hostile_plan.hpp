// A hostile system, described in one line: what SGXEMU_HOSTILE and `sgxdl emulate --hostile` take.
//
//     plan      = order {"," order}
//     order     = operation ":" behaviour ["@" first ["x" count]]
//               | "step:every" | "step:" instructions
//     operation = "add" | "restrict" | "retype" | "remove" | "fault" | "ocall"
//     behaviour = "drop" | "refuse" | "repeat" | "delay" | "swap" | "replay"
//
// first: the occurrence it begins with, from 1 (default 1); count: how many it spoils (default: all
// that follow). One order for each operation. "replay" is for ocalls only. "fault" is the page
// fault that adds a page. "step:every" interrupts after every instruction inside, "step:N" also
// keeps the thread outside after N of them. What the behaviours mean is at sgxemu::Misbehaviour
// and, for ocalls, in hostile_ocalls.hpp.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/sgxemu.hpp"

namespace sgxemu {

struct HostileOrder {
    Operation operation = Operation::count;
    Misbehaviour what = Misbehaviour::none;
    uint64_t first = 0, count = forever;  // first: from 0, as misbehave() has it
};

struct HostilePlan {
    std::vector<HostileOrder> orders;
    std::optional<uint64_t> steps;  // for single_step()
};

// Empty, or which part of the text is wrong and what may stand there. The plan is complete only if
// empty.
std::string parse_hostile_plan(std::string_view text, HostilePlan& plan);

}  // namespace sgxemu
