// Memory of the host. The only way of the runtime to read or write it.
//
// Accesses are aligned 8-byte units: smaller or unaligned ones by an enclave can leak stale data on
// processors with MMIO vulnerabilities (INTEL-SA-00615). Nothing is read twice: a value is copied
// in, then checked, then used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "enclave/runtime/image.hpp"

namespace sgxdl {

// A run of 8-byte words in host memory whose place has been checked. Made by `check` only.
class HostWords {
 public:
    HostWords() = default;

    // False when the words are not all outside the enclave, or not aligned.
    [[nodiscard]] static bool check(uint64_t address, uint64_t words, HostWords& result) {
        if (address % 8 != 0 || words > SIZE_MAX / 16) return false;
        if (!outside_enclave(address, words * 8)) return false;
        result.words_ = reinterpret_cast<volatile uint64_t*>(address);
        result.count_ = words;
        return true;
    }

    uint64_t count() const { return count_; }
    uint64_t load(size_t index) const { return words_[index]; }
    void store(size_t index, uint64_t value) const { words_[index] = value; }

    // Copies `bytes` out, from word `index` on; the rest of the last word is zero.
    void copy_out(size_t index, const void* from, size_t bytes) const {
        const char* source = static_cast<const char*>(from);
        for (; bytes >= 8; bytes -= 8, source += 8) {
            uint64_t word;
            memcpy(&word, source, 8);
            words_[index++] = word;
        }
        if (bytes != 0) {
            uint64_t word = 0;
            memcpy(&word, source, bytes);
            words_[index] = word;
        }
    }

    // Copies `bytes` in, from byte `offset` of the run on.
    void copy_in(void* to, size_t offset, size_t bytes) const {
        char* target = static_cast<char*>(to);
        size_t index = offset / 8;
        size_t skip = offset % 8;
        while (bytes != 0) {
            const uint64_t word = words_[index++];
            const size_t part = bytes < 8 - skip ? bytes : 8 - skip;
            memcpy(target, reinterpret_cast<const char*>(&word) + skip, part);
            target += part;
            bytes -= part;
            skip = 0;
        }
    }

 private:
    volatile uint64_t* words_ = nullptr;
    uint64_t count_ = 0;
};

// Copies `bytes` at any host address in. False when a word that holds one of them is not outside.
[[nodiscard]] inline bool copy_from_host(void* to, uint64_t address, uint64_t bytes) {
    const uint64_t first = address & ~uint64_t{7};
    const uint64_t skip = address - first;
    HostWords words;
    if (bytes > SIZE_MAX / 2 || !HostWords::check(first, (skip + bytes + 7) / 8, words))
        return false;
    words.copy_in(to, skip, bytes);
    return true;
}

}  // namespace sgxdl
