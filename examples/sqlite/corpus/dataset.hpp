// The data set that the example, its tests and the native reference share: a small shop with its
// order book, a table of wide readings, and a full-text index. Deterministic, so that answers can
// be compared with those of another build.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace sgxdl::sqlite {

// Sizes, in rows. Full: what the demo and the answers in expected.*.json are about.
struct DatasetSize {
    uint32_t customers = 4'000;
    uint32_t products = 1'000;
    uint32_t orders = 30'000;
    uint32_t items = 90'000;
    uint32_t readings = 400;   // rows of reading_columns columns
    uint32_t documents = 300;  // full text
    uint64_t rows() const {
        return uint64_t{customers} + products + orders + items + readings + documents;
    }
};
inline constexpr uint32_t reading_columns = 48;

// Calls `execute` with one SQL text after another (at most about 60 KB each); together they create
// and fill the tables. Stops at the first that returns false, and returns false then.
bool create_dataset(const DatasetSize& size,
                    const std::function<bool(const std::string&)>& execute);

}  // namespace sgxdl::sqlite
