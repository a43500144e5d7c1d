// The trusted half of an ecall's marshalling: copies the arguments in, calls the handler, copies
// the outputs out. `bind<Call, handler>()` is a row of a dispatch table.
//
// A handler takes scalars by value, In<T, n> as std::span<const T>, Out<T, n> as OutBuffer<T>&, and
// returns what the call declares or Result<> of it. It never sees host memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <tuple>
#include <utility>

#include "enclave/interface/call.hpp"
#include "enclave/loader/result.hpp"
#include "enclave/runtime/untrusted.hpp"

namespace sgxdl {

// Enclave memory that a handler fills for the host.
template <class T>
struct OutBuffer {
    std::span<T> storage;  // zeroed; as large as the host's buffer, at most what the call declares
    size_t count = 0;      // elements to give to the host; set by the handler
};

// What a call leaves for the host, in enclave memory until it is complete.
struct CallResult {
    Status status = Status::ok;
    uint64_t words[max_result_words];
    size_t word_count = 0;
    uint64_t counts[max_slots] = {};  // by slot: elements written to an output
    uint64_t count_slots = 0;         // bit set: counts[slot] is meant
    char context[max_context_words * 8] = {};
};

struct EcallRow {
    uint64_t id;
    uint32_t slots;
    Pin pin;
    void (*run)(const uint64_t* slots, CallResult& result);
};

namespace detail {

// One argument in enclave memory, for the length of the call.
template <class P>
struct Held {
    P value;
    Status take(const uint64_t* slots, size_t) {
        value = static_cast<P>(slots[0]);
        if constexpr (!std::is_same_v<P, bool>) {
            using Wide = std::conditional_t<std::is_signed_v<P>, int64_t, uint64_t>;
            if (static_cast<uint64_t>(static_cast<Wide>(value)) != slots[0])
                return Status::bad_value;
        } else if (slots[0] > 1) {
            return Status::bad_value;
        }
        return Status::ok;
    }
    P& argument() { return value; }
    void give(CallResult&, size_t) {}
};

// A buffer in enclave memory for the length of the call, whatever its elements are.
class HeldBytes {
 public:
    HeldBytes() = default;
    ~HeldBytes() { free(data_); }
    HeldBytes(const HeldBytes&) = delete;

    // Copies an input of slots[1] elements at slots[0] in.
    Status take_input(const uint64_t* slots, size_t element, size_t max);
    // Makes zeroed room for an output of at most slots[1] elements that goes to slots[0].
    Status take_output(const uint64_t* slots, size_t element, size_t max);
    // Copies `count` elements of the output out, at most as many as there is room for.
    void give_output(CallResult& result, size_t slot, size_t element, size_t count);

    void* data() const { return data_; }
    size_t count() const { return count_; }

 private:
    void* data_ = nullptr;
    size_t count_ = 0;  // elements
    HostWords host_;    // of an output
};

template <class T, size_t max>
struct Held<In<T, max>> {
    HeldBytes bytes;
    std::span<const T> view;
    Status take(const uint64_t* slots, size_t) {
        const Status status = bytes.take_input(slots, sizeof(T), max);
        view = {static_cast<const T*>(bytes.data()), bytes.count()};
        return status;
    }
    std::span<const T>& argument() { return view; }
    void give(CallResult&, size_t) {}
};

template <class T, size_t max>
struct Held<Out<T, max>> {
    HeldBytes bytes;
    OutBuffer<T> buffer;
    Status take(const uint64_t* slots, size_t) {
        const Status status = bytes.take_output(slots, sizeof(T), max);
        buffer.storage = {static_cast<T*>(bytes.data()), bytes.count()};
        return status;
    }
    OutBuffer<T>& argument() { return buffer; }
    void give(CallResult& result, size_t slot) {
        bytes.give_output(result, slot, sizeof(T), buffer.count);
    }
};

template <class R>
void keep(CallResult& result, const R& value) {
    result.word_count = (sizeof(R) + 7) / 8;
    result.words[result.word_count - 1] = 0;
    memcpy(result.words, &value, sizeof(R));
}

template <class R>
struct IsResult : std::false_type {};
template <class R>
struct IsResult<Result<R>> : std::true_type {};

// Keeps an error: code and context.
void fail(CallResult& result, const Error& error);

// Calls the handler and keeps what it returns.
template <class Declared, auto handler, class... Arguments>
void call_handler(CallResult& result, Arguments&... arguments) {
    using Returned = decltype(handler(arguments...));
    if constexpr (std::is_void_v<Returned>) {
        static_assert(std::is_void_v<Declared>);
        handler(arguments...);
    } else if constexpr (IsResult<Returned>::value) {
        Returned returned = handler(arguments...);
        if (!returned) {
            fail(result, returned.error());
        } else if constexpr (!std::is_void_v<Declared>) {
            keep<Declared>(result, *returned);
        }
    } else {
        keep<Declared>(result, handler(arguments...));
    }
}

template <class Call, auto handler>
struct Thunk;

template <uint32_t number, class R, class... P, Pin pin, auto handler>
struct Thunk<Ecall<number, R(P...), pin>, handler> {
    static void run(const uint64_t* slots, CallResult& result) {
        [[maybe_unused]] std::tuple<Held<P>...> held;
        run_with(slots, result, held, std::index_sequence_for<P...>{});
    }

    template <size_t... i>
    static void run_with([[maybe_unused]] const uint64_t* slots, CallResult& result,
                         std::tuple<Held<P>...>& held, std::index_sequence<i...>) {
        // First slot of each parameter.
        constexpr size_t widths[] = {Parameter<P>::slots..., 0};
        [[maybe_unused]] constexpr auto first = [widths](size_t parameter) {
            size_t slot = 0;
            for (size_t p = 0; p < parameter; ++p)
                slot += widths[p];
            return slot;
        };
        // Everything is copied in and checked before the handler sees anything.
        ((result.status == Status::ok
              ? void(result.status = std::get<i>(held).take(slots + first(i), first(i)))
              : void()),
         ...);
        if (result.status != Status::ok) return;
        call_handler<R, handler>(result, std::get<i>(held).argument()...);
        if (result.status == Status::ok) (std::get<i>(held).give(result, first(i)), ...);
    }
};

}  // namespace detail

// A row of a dispatch table: `handler` answers `Call`.
template <class Call, auto handler>
constexpr EcallRow bind() {
    return {Call::id, static_cast<uint32_t>(Call::slots), Call::pin,
            &detail::Thunk<Call, handler>::run};
}

}  // namespace sgxdl
