// The host's half of the calls' marshalling; sgxdl/host.hpp is made of it.
//
// The enclave reads and writes host memory in aligned 8-byte words: an input is handed over as it
// is (reading the rest of its first and last word is harmless), an output that is not made of whole
// aligned words goes through a buffer that is.
#pragma once

#include <cstring>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "enclave/interface/call.hpp"
#include "host/call_outcome.hpp"

namespace sgxdl::host::detail {

template <class P>
struct Marshalled {
    explicit Marshalled(P argument) : value(argument) {}
    P value;
    void fill(uint64_t* slots) const {
        if constexpr (std::is_signed_v<P>) {
            slots[0] = static_cast<uint64_t>(static_cast<int64_t>(value));
        } else {
            slots[0] = static_cast<uint64_t>(value);
        }
    }
    void collect(const uint64_t*) {}
};

template <class T, size_t max>
struct Marshalled<In<T, max>> {
    template <class A>
    explicit Marshalled(const A& argument) {
        if constexpr (std::is_same_v<T, char> && std::is_convertible_v<A, std::string_view>) {
            const std::string_view text = argument;
            view = {text.data(), text.size()};
        } else {
            view = argument;
        }
    }
    std::span<const T> view;
    void fill(uint64_t* slots) const {
        slots[0] = reinterpret_cast<uint64_t>(view.data());
        slots[1] = view.size();
    }
    void collect(const uint64_t*) {}
};

template <class T, size_t max>
struct Marshalled<Out<T, max>> {
    explicit Marshalled(OutTo<T>& argument) : target(argument) {
        const size_t bytes = target.storage.size_bytes();
        if (reinterpret_cast<uintptr_t>(target.storage.data()) % 8 != 0 || bytes % 8 != 0) {
            bounce.resize((bytes + 7) / 8);
        }
    }
    OutTo<T>& target;
    std::vector<uint64_t> bounce;
    void fill(uint64_t* slots) const {
        slots[0] = bounce.empty() ? reinterpret_cast<uint64_t>(target.storage.data())
                                  : reinterpret_cast<uint64_t>(bounce.data());
        slots[1] = target.storage.size();
    }
    void collect(const uint64_t* slots) {
        target.count = slots[1] < target.storage.size() ? slots[1] : target.storage.size();
        if (!bounce.empty() && target.count != 0) {
            memcpy(target.storage.data(), bounce.data(), target.count * sizeof(T));
        }
    }
};

// First slot of parameter `index`.
template <class... P>
constexpr size_t first_slot(size_t index) {
    const size_t widths[] = {sgxdl::detail::Parameter<P>::slots..., 0};
    size_t slot = 0;
    for (size_t p = 0; p < index; ++p)
        slot += widths[p];
    return slot;
}

template <class Call>
struct Caller;

template <uint32_t number, class R, class... P, Pin pin>
struct Caller<Ecall<number, R(P...), pin>> {
    using Call = Ecall<number, R(P...), pin>;
    using Indices = std::index_sequence_for<P...>;

    template <class Enter, class Context, class... A>
    static Reply<R> run(const Enter& enter, const Context& context, A&&... arguments) {
        static_assert(sizeof...(A) == sizeof...(P), "the call is declared with other parameters");
        return run_with(Indices{}, enter, context, std::forward<A>(arguments)...);
    }

    template <size_t... i, class Enter, class Context, class... A>
    static Reply<R> run_with(std::index_sequence<i...>, const Enter& enter, const Context& context,
                             A&&... arguments) {
        std::tuple<Marshalled<P>...> list{Marshalled<P>(arguments)...};
        CallFrame frame;
        frame.id = Call::id;
        frame.status = static_cast<uint64_t>(Status::enter_failed);
        frame.context[0] = 0;
        (std::get<i>(list).fill(frame.arguments + first_slot<P...>(i)), ...);
        Reply<R> reply;
        reply.status = enter(frame);
        if (reply.status != Status::ok) {
            reply.context = context(reply.status, frame);
            return reply;
        }
        (std::get<i>(list).collect(frame.arguments + first_slot<P...>(i)), ...);
        if constexpr (!std::is_void_v<R>) memcpy(&reply.value, frame.result, sizeof(R));
        return reply;
    }
};

// One parameter of an ocall as its server gets it. The offsets are the enclave's, which is trusted
// more than we are; they are checked against our own mistakes.
template <class P>
struct Served {
    static P get(const uint64_t* slots, uint64_t*) { return static_cast<P>(slots[0]); }
};
template <class T>
std::span<T> served_span(const uint64_t* slots, uint64_t* scratch) {
    const uint64_t bytes = host_scratch_words * 8;
    if (slots[0] > bytes || slots[1] > (bytes - slots[0]) / sizeof(T)) return {};
    return {reinterpret_cast<T*>(reinterpret_cast<char*>(scratch) + slots[0]), slots[1]};
}
template <class T, size_t max>
struct Served<In<T, max>> {
    static std::span<const T> get(const uint64_t* slots, uint64_t* scratch) {
        return served_span<T>(slots, scratch);
    }
};
template <class T, size_t max>
struct Served<Out<T, max>> {
    static std::span<T> get(const uint64_t* slots, uint64_t* scratch) {
        return served_span<T>(slots, scratch);
    }
};

template <class Call>
struct Server;

template <uint32_t number, int64_t low, int64_t high, class... P, Nested nested>
struct Server<Ocall<number, Answer<low, high>(P...), nested>> {
    template <class F>
    static auto wrap(F function) {
        return [function = std::move(function)](const uint64_t* slots, uint64_t* scratch) mutable {
            return run(function, std::index_sequence_for<P...>{}, slots, scratch);
        };
    }
    template <class F, size_t... i>
    static int64_t run(F& function, std::index_sequence<i...>,
                       [[maybe_unused]] const uint64_t* slots, [[maybe_unused]] uint64_t* scratch) {
        return function(Served<P>::get(slots + first_slot<P...>(i), scratch)...);
    }
};

}  // namespace sgxdl::host::detail
