// Reading untrusted bytes: little-endian accessors at any alignment, and arithmetic that cannot
// wrap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sgxdl {

template <class T>
T load_le(const uint8_t* bytes) {
    T value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

template <class T>
void store_le(uint8_t* bytes, T value) {
    memcpy(bytes, &value, sizeof value);
}

// True when [offset, offset + size) lies in [0, limit), without wrapping.
constexpr bool in_range(uint64_t offset, uint64_t size, uint64_t limit) {
    return offset <= limit && size <= limit - offset;
}

constexpr uint64_t align_up(uint64_t value, uint64_t alignment) {
    return (value + alignment - 1) & ~(alignment - 1);
}

constexpr bool is_power_of_two(uint64_t value) {
    return value != 0 && (value & (value - 1)) == 0;
}

}  // namespace sgxdl
