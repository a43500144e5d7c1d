// Declarations of calls between host and enclave. One line per call is all there is: both sides
// derive their marshalling from it.
//
//     using Echo = Ecall<64, uint64_t(In<char, 4096> text, Out<char, 4096> reply)>;
//     using Yield = Ocall<1, Answer<0, 0>()>;
//
// Parameters: integers, enumerations and bool travel in one 8-byte slot. In<T, n> is a buffer of at
// most n elements that goes to the callee, Out<T, n> one that the callee fills. T has no pointers
// and no padding that matters. An ecall returns void or a structure of plain data; its handler may
// return Result<R> instead of R. An ocall returns Answer<lowest, highest>: what the host answers
// outside these bounds never reaches the caller.
//
// A call's identity on the wire contains a fingerprint of its parameters: a host built with another
// declaration is refused instead of misunderstood.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "enclave/interface/abi.hpp"

namespace sgxdl {

// A buffer of at most `max` elements for the callee to read.
template <class T, size_t max>
struct In {
    static_assert(std::is_trivially_copyable_v<T>);
    using Element = T;
    static constexpr size_t max_count = max;
};

// A buffer of at most `max` elements for the callee to write.
template <class T, size_t max>
struct Out {
    static_assert(std::is_trivially_copyable_v<T>);
    using Element = T;
    static constexpr size_t max_count = max;
};

// What the host may answer to an ocall.
template <int64_t lowest_value, int64_t highest_value>
struct Answer {
    static constexpr int64_t lowest = lowest_value;
    static constexpr int64_t highest = highest_value;
};

// Whether an ecall runs pinned to a generation of the loaded code. Calls that manage the loader
// must not: they would hold what they replace.
enum class Pin : uint8_t { yes, no };

// Whether the host may make ecalls on the same thread while it serves the ocall.
enum class Nested : uint8_t { refused, allowed };

namespace detail {

template <class P>
struct Parameter {
    static_assert(std::is_integral_v<P> || std::is_enum_v<P>, "a scalar of at most 8 bytes");
    static constexpr size_t slots = 1;
    static constexpr uint32_t fingerprint = 1 + 16 * sizeof(P);
};
template <class T, size_t max>
struct Parameter<In<T, max>> {
    static constexpr size_t slots = 2;
    static constexpr uint32_t fingerprint = 2 + 16 * sizeof(T) + 4096 * static_cast<uint32_t>(max);
};
template <class T, size_t max>
struct Parameter<Out<T, max>> {
    static constexpr size_t slots = 2;
    static constexpr uint32_t fingerprint = 3 + 16 * sizeof(T) + 4096 * static_cast<uint32_t>(max);
};

constexpr uint32_t mix(uint32_t state, uint32_t value) {
    return (state ^ value) * 0x01000193u;  // FNV-1a's prime
}
template <class... P>
constexpr uint32_t fingerprint(uint32_t state) {
    ((state = mix(state, Parameter<P>::fingerprint)), ...);
    return state;
}

template <class R>
constexpr size_t result_size() {
    if constexpr (std::is_void_v<R>) {
        return 0;
    } else {
        static_assert(std::is_trivially_copyable_v<R>);
        return sizeof(R);
    }
}

}  // namespace detail

template <uint32_t number, class Signature, Pin pin = Pin::yes>
struct Ecall;

template <uint32_t number_, class R, class... P, Pin pin_>
struct Ecall<number_, R(P...), pin_> {
    static constexpr uint32_t number = number_;
    static constexpr Pin pin = pin_;
    static constexpr size_t slots = (size_t{0} + ... + detail::Parameter<P>::slots);
    static constexpr size_t result_words = (detail::result_size<R>() + 7) / 8;
    static constexpr uint64_t id =
        (uint64_t{detail::fingerprint<P...>(
             detail::mix(0x811c9dc5u, static_cast<uint32_t>(detail::result_size<R>())))}
         << 32) |
        number;
    static_assert(slots <= max_slots, "too many parameters");
    static_assert(result_words <= max_result_words, "return a buffer instead");
    using Return = R;
};

template <uint32_t number, class Signature, Nested nested = Nested::refused>
struct Ocall;

template <uint32_t number_, int64_t low, int64_t high, class... P, Nested nested_>
struct Ocall<number_, Answer<low, high>(P...), nested_> {
    static constexpr uint32_t number = number_;
    static constexpr Nested nested = nested_;
    static constexpr size_t slots = (size_t{0} + ... + detail::Parameter<P>::slots);
    static constexpr uint64_t id =
        (uint64_t{detail::fingerprint<P...>(0x811c9dc5u)} << 32) | number;
    static_assert(slots <= max_slots, "too many parameters");
    using Return = Answer<low, high>;
};

// The runtime's own calls are numbered below this; an application's from here to max_call - 1.
inline constexpr uint32_t first_application_call = 64;
inline constexpr uint32_t max_call = 256;

}  // namespace sgxdl
