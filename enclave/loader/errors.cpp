// Texts of error codes and stages, and the small formatter behind make_error.
#include <cstdarg>

#include "enclave/loader/loader.hpp"
#include "enclave/loader/platform.hpp"

namespace sgxdl {

const char* code_text(Code code) {
    switch (code) {
#define SGXDL_ERROR(name, text) \
    case Code::name:            \
        return text;
#include "enclave/loader/errors.def"
#undef SGXDL_ERROR
    }
    return "unknown error";
}

const char* stage_text(Stage stage) {
    static constexpr const char* texts[] = {"idle",    "receiving", "verified", "decoded",
                                            "planned", "building",  "current",  "retired",
                                            "done",    "abandoned"};
    const auto index = static_cast<size_t>(stage);
    return index < sizeof texts / sizeof texts[0] ? texts[index] : "unknown";
}

namespace {

// Appends to a fixed buffer and cuts off what does not fit.
struct Writer {
    char* at;
    char* end;
    void put(char c) {
        if (at < end) *at++ = c;
    }
    void text(const char* s) {
        for (; *s; ++s)
            put(*s);
    }
    void number(uint64_t value, unsigned base) {
        char digits[20];
        int count = 0;
        do {
            digits[count++] = "0123456789abcdef"[value % base];
            value /= base;
        } while (value);
        while (count)
            put(digits[--count]);
    }
};

}  // namespace

Error make_error(Code code, const char* format, ...) {
    Error error{code, {}};
    Writer out{error.context, error.context + sizeof error.context - 1};
    va_list arguments;
    va_start(arguments, format);
    for (const char* f = format; *f; ++f) {
        if (*f != '%') {
            out.put(*f);
            continue;
        }
        switch (*++f) {
            case 's':
                out.text(va_arg(arguments, const char*));
                break;
            case 'u':
                out.number(va_arg(arguments, uint64_t), 10);
                break;
            case 'x':
                out.text("0x");
                out.number(va_arg(arguments, uint64_t), 16);
                break;
            case 'd': {
                const int64_t value = va_arg(arguments, int64_t);
                if (value < 0) out.put('-');
                out.number(
                    value < 0 ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value),
                    10);
                break;
            }
            default:
                va_end(arguments);
                platform_abort("make_error: unknown conversion", __FILE__, __LINE__);
        }
    }
    va_end(arguments);
    return error;
}

}  // namespace sgxdl
