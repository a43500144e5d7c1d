// Reads a whole file that the build made; stops the fuzzer when it is not there.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace sgxdl::fuzz {

inline std::vector<uint8_t> read_file(const char* path) {
    FILE* file = fopen(path, "rb");
    if (!file) {
        perror(path);
        abort();
    }
    std::vector<uint8_t> bytes;
    uint8_t part[4096];
    while (size_t got = fread(part, 1, sizeof part, file))
        bytes.insert(bytes.end(), part, part + got);
    fclose(file);
    return bytes;
}

}  // namespace sgxdl::fuzz
