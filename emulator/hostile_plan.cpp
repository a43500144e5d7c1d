#include "emulator/hostile_plan.hpp"

#include <algorithm>
#include <charconv>

namespace sgxemu {

namespace {

struct OperationName {
    std::string_view text;
    Operation operation;
};
constexpr OperationName operation_names[] = {
    {"add", Operation::add_pages},       {"restrict", Operation::restrict_permissions},
    {"retype", Operation::modify_types}, {"remove", Operation::remove_pages},
    {"fault", Operation::eaug},          {"ocall", Operation::ocall},
};

struct BehaviourName {
    std::string_view text;
    Misbehaviour what;
};
constexpr BehaviourName behaviour_names[] = {
    {"drop", Misbehaviour::drop},     {"refuse", Misbehaviour::refuse},
    {"repeat", Misbehaviour::repeat}, {"delay", Misbehaviour::delay},
    {"swap", Misbehaviour::swap},     {"replay", Misbehaviour::replay},
};

std::string wrong(std::string_view part, const char* instead) {
    return "'" + std::string(part) + "': " + instead;
}

// A whole number from 1 on.
bool read_number(std::string_view text, uint64_t& number) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    return error == std::errc() && stop == end && number != 0;
}

// Cuts text at the first `separator`; what is behind it, if there was one.
std::optional<std::string_view> cut(std::string_view& text, char separator) {
    const size_t at = text.find(separator);
    if (at == std::string_view::npos) return std::nullopt;
    const std::string_view rest = text.substr(at + 1);
    text = text.substr(0, at);
    return rest;
}

std::string parse_steps(std::string_view part, std::string_view value, HostilePlan& plan) {
    uint64_t number = forever;
    if (value != "every" && !read_number(value, number))
        return wrong(part, "'every' or a number of instructions stands after 'step:'");
    if (plan.steps) return wrong(part, "'step' stands twice");
    plan.steps = number;
    return {};
}

std::string parse_order(std::string_view part, HostilePlan& plan) {
    std::string_view name = part;
    const auto value = cut(name, ':');
    if (!value) return wrong(part, "not OPERATION:BEHAVIOUR");
    if (name == "step") return parse_steps(part, *value, plan);
    const auto* operation = std::ranges::find(operation_names, name, &OperationName::text);
    if (operation == std::end(operation_names)) {
        return wrong(name, "an operation is add, restrict, retype, remove, fault, ocall or step");
    }
    HostileOrder order;
    order.operation = operation->operation;
    std::string_view behaviour = *value;
    if (const auto from = cut(behaviour, '@')) {
        std::string_view first = *from;
        const auto count = cut(first, 'x');
        if (!read_number(first, order.first))
            return wrong(part, "a number from 1 on stands after '@'");
        --order.first;
        if (count && !read_number(*count, order.count))
            return wrong(part, "a number from 1 on stands after 'x'");
    }
    const auto* what = std::ranges::find(behaviour_names, behaviour, &BehaviourName::text);
    if (what == std::end(behaviour_names)) {
        return wrong(behaviour, "a behaviour is drop, refuse, repeat, delay, swap or replay");
    }
    order.what = what->what;
    if (order.what == Misbehaviour::replay && order.operation != Operation::ocall)
        return wrong(part, "only ocalls have answers to replay");
    if (std::ranges::count(plan.orders, order.operation, &HostileOrder::operation) != 0)
        return wrong(name, "has an order already");
    plan.orders.push_back(order);
    return {};
}

}  // namespace

std::string parse_hostile_plan(std::string_view text, HostilePlan& plan) {
    std::optional<std::string_view> rest = text;
    while (rest) {
        std::string_view part = *rest;
        rest = cut(part, ',');
        if (std::string error = parse_order(part, plan); !error.empty()) return error;
    }
    return {};
}

}  // namespace sgxemu
