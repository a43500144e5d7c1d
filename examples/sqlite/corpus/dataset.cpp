#include "examples/sqlite/corpus/dataset.hpp"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <string_view>

namespace sgxdl::sqlite {

namespace {

// splitmix64: small, well known, the same everywhere.
class Random {
 public:
    explicit Random(uint64_t seed) : state_(seed) {}
    uint64_t next() {
        uint64_t z = (state_ += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    uint32_t below(uint32_t bound) { return static_cast<uint32_t>((next() >> 32) % bound); }

 private:
    uint64_t state_;
};

constexpr std::array<std::string_view, 16> syllables = {"ba",  "lo",  "ri",  "ta",  "nu",  "se",
                                                        "mo",  "ka",  "vi",  "der", "fon", "gul",
                                                        "har", "jes", "pim", "zor"};
constexpr std::array<std::string_view, 12> cities = {"Aarhus",  "Bergen", "Cadiz", "Delft",
                                                     "Esbjerg", "Faro",   "Ghent", "Hamar",
                                                     "Imola",   "Jena",   "Kiel",  "Lund"};
constexpr std::array<std::string_view, 5> segments = {"public", "trade", "private", "export",
                                                      "staff"};
constexpr std::array<std::string_view, 8> categories = {"tool",  "cable", "lamp",   "pump",
                                                        "valve", "motor", "sensor", "frame"};
constexpr std::array<std::string_view, 5> states = {"open", "paid", "sent", "done", "back"};

std::string name(Random& random, uint32_t count) {
    std::string out;
    for (uint32_t i = 0; i < count; ++i)
        out += syllables[random.below(syllables.size())];
    return out;
}

template <size_t N>
std::string_view pick(Random& random, const std::array<std::string_view, N>& list) {
    return list[random.below(N)];
}

// Collects rows into INSERT statements of limited length.
class Inserter {
 public:
    Inserter(std::string_view table, const std::function<bool(const std::string&)>& execute)
        : table_(table), execute_(execute) {}

    // "(1,'x',...)"
    bool add(std::string_view row) {
        if (sql_.empty()) {
            sql_ = fmt::format("INSERT INTO {} VALUES{}", table_, row);
        } else {
            sql_ += ',';
            sql_ += row;
        }
        return sql_.size() < statement_size || flush();
    }
    bool flush() {
        const bool good = sql_.empty() || execute_(sql_);
        sql_.clear();
        return good;
    }

 private:
    static constexpr size_t statement_size = 56 * 1024;
    std::string_view table_;
    const std::function<bool(const std::string&)>& execute_;
    std::string sql_;
};

std::string schema() {
    std::string readings = "CREATE TABLE readings(id INTEGER PRIMARY KEY, site INT, kind TEXT";
    for (uint32_t i = 0; i < reading_columns; ++i)
        readings += fmt::format(", c{:02} INT", i);
    readings += ");";
    return "CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT, city TEXT, segment TEXT,"
           " credit REAL);"
           "CREATE TABLE products(id INTEGER PRIMARY KEY, name TEXT, category TEXT, price INT,"
           " weight REAL);"
           "CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INT, day INT, status TEXT, note "
           "TEXT);"
           "CREATE TABLE items(id INTEGER PRIMARY KEY, order_id INT, product INT, quantity INT,"
           " price INT, discount REAL);" +
           readings +
           "CREATE TABLE tiny(x INT);"
           "CREATE VIRTUAL TABLE documents USING fts5(title, body);";
}

bool fill_shop(const DatasetSize& size, Random& random,
               const std::function<bool(const std::string&)>& execute) {
    Inserter customers("customers", execute);
    for (uint32_t i = 1; i <= size.customers; ++i) {
        if (!customers.add(fmt::format("({},'{}','{}','{}',{}.{:02})", i, name(random, 4),
                                       pick(random, cities), pick(random, segments),
                                       random.below(5000), random.below(100)))) {
            return false;
        }
    }
    if (!customers.flush()) return false;
    Inserter products("products", execute);
    for (uint32_t i = 1; i <= size.products; ++i) {
        if (!products.add(fmt::format("({},'{}','{}',{},{}.{:03})", i, name(random, 3),
                                      pick(random, categories), 50 + random.below(20000),
                                      random.below(40), random.below(1000)))) {
            return false;
        }
    }
    if (!products.flush()) return false;
    Inserter orders("orders", execute);
    for (uint32_t i = 1; i <= size.orders; ++i) {
        const bool noted = random.below(5) == 0;
        const std::string note = noted ? "'" + name(random, 6) + "'" : "NULL";
        if (!orders.add(fmt::format("({},{},{},'{}',{})", i, 1 + random.below(size.customers),
                                    random.below(730), pick(random, states), note))) {
            return false;
        }
    }
    if (!orders.flush()) return false;
    Inserter items("items", execute);
    for (uint32_t i = 1; i <= size.items; ++i) {
        if (!items.add(fmt::format("({},{},{},{},{},0.{:02})", i, 1 + random.below(size.orders),
                                   1 + random.below(size.products), 1 + random.below(12),
                                   50 + random.below(20000), random.below(30)))) {
            return false;
        }
    }
    return items.flush();
}

bool fill_others(const DatasetSize& size, Random& random,
                 const std::function<bool(const std::string&)>& execute) {
    Inserter readings("readings", execute);
    for (uint32_t i = 1; i <= size.readings; ++i) {
        std::string row = fmt::format("({},{},'{}'", i, random.below(12), pick(random, categories));
        for (uint32_t c = 0; c < reading_columns; ++c) {
            row += fmt::format(",{}", static_cast<int32_t>(random.below(20'000)) - 10'000);
        }
        if (!readings.add(row + ")")) return false;
    }
    if (!readings.flush()) return false;
    Inserter documents("documents", execute);
    for (uint32_t i = 1; i <= size.documents; ++i) {
        std::string body;
        for (uint32_t word = 0; word < 40; ++word) {
            if (word != 0) body += ' ';
            body += name(random, 2);
        }
        if (!documents.add(fmt::format("('{}','{}')", name(random, 3), body))) return false;
    }
    return documents.flush() && execute("INSERT INTO tiny VALUES(1),(20),(300),(4000);");
}

}  // namespace

bool create_dataset(const DatasetSize& size,
                    const std::function<bool(const std::string&)>& execute) {
    Random random(0x5109'1125'6965);
    return execute("BEGIN;") && execute(schema()) && fill_shop(size, random, execute) &&
           fill_others(size, random, execute) &&
           execute(
               "CREATE INDEX items_order ON items(order_id);"
               "CREATE INDEX items_product ON items(product);"
               "CREATE INDEX orders_customer ON orders(customer);"
               "CREATE INDEX orders_day ON orders(day);"
               "ANALYZE; COMMIT;");
}

}  // namespace sgxdl::sqlite
