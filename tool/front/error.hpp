// The one exception of the vendor tools: bad input, with a message for people.
//
// Everything under tool/ runs on the vendor's or operator's machine, outside every enclave, so
// exceptions and the heap are fine here. Nothing of this is linked into trusted code.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace sgxdl::front {

// What the command's exit code says (docs: `sgxdl --help`).
enum class Failure : int {
    error = 1,        // bad or unsupported input, files that cannot be read or written
    cannot_diff = 2,  // both sides are sound but no patch can lead from one to the other
    no_change = 3,    // both sides are the same
};

class Error : public std::runtime_error {
 public:
    explicit Error(const std::string& text, Failure failure = Failure::error)
        : std::runtime_error(text), failure_(failure) {}
    Failure failure() const { return failure_; }

 private:
    Failure failure_;
};

// Throws Error; the arguments are those of fmt::format.
template <class... Arguments>
[[noreturn]] void fail(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
    throw Error(fmt::format(text, std::forward<Arguments>(arguments)...));
}

}  // namespace sgxdl::front
