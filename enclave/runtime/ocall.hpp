// Ocalls from trusted code: `ocall<Clock>(id)` leaves the enclave, has the host serve the call and
// comes back on the same thread. Buffers travel through the scratch area that the host lent for the
// length of the ecall; the host's answer is copied in once and range-checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "enclave/interface/call.hpp"

namespace sgxdl {

namespace detail {

// One buffer of an ocall in flight.
struct OcallBuffer {
    const void* to_host = nullptr;
    void* from_host = nullptr;
    size_t bytes = 0;
    size_t slot = 0;  // the slot that gets the buffer's offset in the scratch area
};

// Does the call. Returns false when the scratch area is too small or the host's answer is out of
// [lowest, highest]; the answer otherwise.
bool do_ocall(uint64_t id, bool nested_allowed, uint64_t* slots, size_t slot_count,
              std::span<OcallBuffer> buffers, int64_t lowest, int64_t highest, int64_t& answer);

template <class P>
struct OcallParameter {
    using Argument = P;
    static constexpr size_t buffers = 0;
    static void fill(P value, uint64_t* slots, size_t& slot, OcallBuffer*, size_t&) {
        slots[slot++] = static_cast<uint64_t>(value);
    }
};

template <class T, size_t max>
struct OcallParameter<In<T, max>> {
    using Argument = std::span<const T>;
    static constexpr size_t buffers = 1;
    static void fill(Argument value, uint64_t* slots, size_t& slot, OcallBuffer* list, size_t& n) {
        const size_t count = value.size() < max ? value.size() : max;
        list[n] = {.to_host = value.data(), .bytes = count * sizeof(T), .slot = slot};
        ++n;
        slots[slot + 1] = count;
        slot += 2;
    }
};

// The host fills the whole buffer; how much of it counts is what the call's answer says.
template <class T, size_t max>
struct OcallParameter<Out<T, max>> {
    using Argument = std::span<T>;
    static constexpr size_t buffers = 1;
    static void fill(Argument value, uint64_t* slots, size_t& slot, OcallBuffer* list, size_t& n) {
        const size_t count = value.size() < max ? value.size() : max;
        list[n] = {.from_host = value.data(), .bytes = count * sizeof(T), .slot = slot};
        ++n;
        slots[slot + 1] = count;
        slot += 2;
    }
};

template <class Call>
struct Ocaller;

template <uint32_t number, int64_t low, int64_t high, class... P, Nested nested>
struct Ocaller<Ocall<number, Answer<low, high>(P...), nested>> {
    using Call = Ocall<number, Answer<low, high>(P...), nested>;
    static bool run(int64_t& answer, typename OcallParameter<P>::Argument... arguments) {
        constexpr size_t buffer_count = (size_t{0} + ... + OcallParameter<P>::buffers);
        uint64_t slots[Call::slots + 1] = {};
        OcallBuffer buffers[buffer_count + 1] = {};
        [[maybe_unused]] size_t slot = 0;
        [[maybe_unused]] size_t n = 0;
        (OcallParameter<P>::fill(arguments, slots, slot, buffers, n), ...);
        return do_ocall(Call::id, nested == Nested::allowed, slots, Call::slots,
                        std::span<OcallBuffer>(buffers, buffer_count), low, high, answer);
    }
};

}  // namespace detail

// What came of an ocall: `ok` is false when the host broke the call's contract.
struct OcallAnswer {
    bool ok;
    int64_t value;
};

template <class Call, class... Arguments>
OcallAnswer ocall(Arguments... arguments) {
    OcallAnswer answer{false, 0};
    answer.ok = detail::Ocaller<Call>::run(answer.value, arguments...);
    return answer;
}

}  // namespace sgxdl
