// Errors of the loader core: no exceptions, no heap.
//
// Bad input becomes an Error and changes nothing. A broken invariant of our own calls
// SGXDL_ASSERT, which stays in release builds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace sgxdl {

// Codes and their fixed texts come from one list.
enum class Code : uint32_t {
#define SGXDL_ERROR(name, text) name,
#include "enclave/loader/errors.def"
#undef SGXDL_ERROR
};

// The fixed text of a code, e.g. "bad signature". Static storage.
const char* code_text(Code code);

// What went wrong and where. `context` is for people: NUL-terminated, cut to size.
struct Error {
    Code code = Code::ok;
    char context[184] = {};
};

// Builds an Error; `format` knows %s (const char*), %u (uint64_t), %x (uint64_t), %d (int64_t)
// only.
Error make_error(Code code, const char* format = "", ...);

template <class T = void>
class [[nodiscard]] Result {
 public:
    Result(T value) : value_(std::move(value)), ok_(true) {}
    Result(const Error& error) : error_(error) {}
    explicit operator bool() const { return ok_; }
    T& operator*() { return value_; }
    const T& operator*() const { return value_; }
    T* operator->() { return &value_; }
    const Error& error() const { return error_; }

 private:
    T value_{};
    Error error_{};
    bool ok_ = false;
};

template <>
class [[nodiscard]] Result<void> {
 public:
    Result() = default;
    Result(const Error& error) : error_(error) {}
    explicit operator bool() const { return error_.code == Code::ok; }
    const Error& error() const { return error_; }

 private:
    Error error_{};
};

}  // namespace sgxdl

// Returns the error of `expression` from the calling function, if there is one.
#define SGXDL_TRY(expression)                                   \
    do {                                                        \
        auto sgxdl_try_result = (expression);                   \
        if (!sgxdl_try_result) return sgxdl_try_result.error(); \
    } while (0)
