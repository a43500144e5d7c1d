#include "examples/sqlite/corpus/queries.hpp"

#include <fmt/format.h>

#include <utility>

#include "examples/sqlite/corpus/dataset.hpp"

namespace sgxdl::sqlite {

namespace {

// "sum(c00+0), max(c01+1), ...": `count` different terms over the columns of readings.
std::string terms(unsigned count, unsigned first) {
    static constexpr const char* functions[] = {"sum", "max", "min", "count", "avg", "total"};
    std::string out;
    for (unsigned i = 0; i < count; ++i) {
        if (i != 0) out += ", ";
        out += fmt::format("{}(c{:02}+{})", functions[(i + first) % 6],
                           (i + first) % reading_columns, i / reading_columns);
    }
    return out;
}

// "c00, c01, ...": bare columns, which a GROUP BY query takes from the sorter.
std::string columns(unsigned count, unsigned first) {
    std::string out;
    for (unsigned i = 0; i < count; ++i) {
        if (i != 0) out += ", ";
        out += fmt::format("c{:02}", (i + first) % reading_columns);
    }
    return out;
}

void add_lookups(std::vector<Query>& out) {
    for (unsigned i = 0; i < 6; ++i) {
        out.push_back({fmt::format("customer_{}", i),
                       fmt::format("SELECT * FROM customers WHERE id={}", 17 + i * 613)});
        out.push_back({fmt::format("order_lines_{}", i),
                       fmt::format("SELECT o.id, o.day, o.status, p.name, i.quantity, i.price"
                                   " FROM orders o JOIN items i ON i.order_id=o.id"
                                   " JOIN products p ON p.id=i.product"
                                   " WHERE o.customer={} ORDER BY i.id",
                                   31 + i * 577)});
        out.push_back({fmt::format("prefix_{}", i),
                       fmt::format("SELECT count(*), min(name), max(name) FROM products"
                                   " WHERE name LIKE '{}%'",
                                   i % 2 == 0 ? "lo" : "vi")});
    }
}

void add_aggregates(std::vector<Query>& out) {
    for (unsigned i = 0; i < 5; ++i) {
        out.push_back({fmt::format("customer_total_{}", i),
                       fmt::format("SELECT c.name, count(DISTINCT o.id), sum(i.quantity*i.price),"
                                   " avg(i.discount), max(o.day)-min(o.day)"
                                   " FROM customers c JOIN orders o ON o.customer=c.id"
                                   " JOIN items i ON i.order_id=o.id WHERE c.id={} GROUP BY c.id",
                                   5 + i * 777)});
        out.push_back({fmt::format("days_{}", i),
                       fmt::format("SELECT status, count(*), count(note), min(id), max(customer),"
                                   " group_concat(day % 7) FROM orders WHERE day BETWEEN {} AND {}"
                                   " GROUP BY status ORDER BY status",
                                   i * 140, i * 140 + 2)});
        out.push_back({fmt::format("categories_{}", i),
                       fmt::format("SELECT p.category, sum(i.quantity), count(DISTINCT i.order_id),"
                                   " total(i.discount), sum(i.price) FILTER (WHERE i.quantity>6)"
                                   " FROM products p JOIN items i ON i.product=p.id"
                                   " WHERE p.id BETWEEN {} AND {} GROUP BY p.category"
                                   " HAVING sum(i.quantity)>10 ORDER BY 2 DESC, 1",
                                   i * 190 + 1, i * 190 + 8)});
        out.push_back({fmt::format("scalar_{}", i),
                       fmt::format("SELECT c.id, (SELECT sum(i.price) FROM orders o JOIN items i"
                                   " ON i.order_id=o.id WHERE o.customer=c.id), (SELECT count(*)"
                                   " FROM orders o WHERE o.customer=c.id AND o.status='paid')"
                                   " FROM customers c WHERE c.id BETWEEN {} AND {}",
                                   i * 300 + 10, i * 300 + 16)});
    }
}

// Both arrays of AggInfo grow: many columns, many functions, with and without a sorter.
void add_wide(std::vector<Query>& out) {
    for (const unsigned count : {3u, 9u, 17u, 33u, 47u, 65u, 96u, 130u}) {
        out.push_back({fmt::format("wide_sum_{}", count),
                       fmt::format("SELECT {} FROM readings WHERE id BETWEEN 20 AND 60",
                                   terms(count, count % 7))});
        out.push_back({fmt::format("wide_group_{}", count),
                       fmt::format("SELECT kind, {} FROM readings WHERE id<{} GROUP BY kind"
                                   " ORDER BY kind",
                                   terms(count, count % 5), 40 + count)});
    }
    for (const unsigned count : {4u, 12u, 24u, 40u, 48u}) {
        out.push_back({fmt::format("wide_bare_{}", count),
                       fmt::format("SELECT site, max(id), {} FROM readings GROUP BY site"
                                   " ORDER BY site",
                                   columns(count, count % 11))});
        out.push_back({fmt::format("wide_mixed_{}", count),
                       fmt::format("SELECT site, kind, {}, {} FROM readings WHERE id<120"
                                   " GROUP BY site, kind HAVING count(*)>1 ORDER BY 1, 2",
                                   columns(count, 3), terms(count, 1))});
    }
    out.push_back({"wide_expressions",
                   "SELECT site*10+length(kind) AS g, sum(abs(c00)*2), count(DISTINCT c01%10),"
                   " count(DISTINCT c02%7), max(min(c03,c04)), group_concat(DISTINCT kind)"
                   " FROM readings GROUP BY g ORDER BY g"});
    out.push_back({"wide_nested",
                   fmt::format("SELECT g, count(*), sum(s) FROM (SELECT kind AS g, site, {} AS s"
                               " FROM readings GROUP BY kind, site) GROUP BY g ORDER BY g",
                               "sum(c10)+max(c11)+min(c12)+count(c13)")});
}

void add_others(std::vector<Query>& out) {
    out.push_back({"window_rank",
                   "SELECT id, site, rank() OVER (PARTITION BY site ORDER BY c05), sum(c06) OVER"
                   " (PARTITION BY site ORDER BY id ROWS 3 PRECEDING) FROM readings WHERE id<60"});
    out.push_back({"window_named",
                   "SELECT kind, sum(count(*)) OVER w, lag(max(c07)) OVER w FROM readings"
                   " GROUP BY kind WINDOW w AS (ORDER BY kind)"});
    out.push_back({"recursive",
                   "WITH RECURSIVE n(i, s) AS (SELECT 1, 0 UNION ALL SELECT i+1, s+i*i FROM n"
                   " WHERE i<200) SELECT count(*), max(s), sum(s) FROM n"});
    out.push_back({"json",
                   "SELECT json_group_array(json_object('id', id, 'c', city)) FROM"
                   " (SELECT id, city FROM customers WHERE id<12)"});
    out.push_back({"json_each",
                   "SELECT sum(value), count(*), max(key) FROM json_each("
                   "(SELECT json_group_array(c20) FROM readings WHERE id<80))"});
    out.push_back(
        {"full_text",
         "SELECT title FROM documents WHERE documents MATCH 'balo OR tanu' ORDER BY rowid"});
    out.push_back({"full_text_rank",
                   "SELECT title, round(bm25(documents), 6) FROM documents WHERE documents MATCH"
                   " 'body : kavi' ORDER BY rank, rowid LIMIT 5"});
    out.push_back({"text",
                   "SELECT upper(substr(name,1,3)), count(*), printf('%.3f', avg(credit)) FROM"
                   " customers WHERE id<300 GROUP BY 1 HAVING count(*)>3 ORDER BY 1"});
    out.push_back({"dates",
                   "SELECT date('2024-01-01', '+'||day||' days') AS d, count(*) FROM orders"
                   " WHERE day BETWEEN 58 AND 62 GROUP BY d ORDER BY d"});
    out.push_back({"compound",
                   "SELECT id FROM products WHERE price<120 UNION SELECT product FROM items WHERE"
                   " id<40 EXCEPT SELECT id FROM products WHERE category='lamp' ORDER BY 1"});
    out.push_back({"exists",
                   "SELECT count(*) FROM customers c WHERE c.id<200 AND EXISTS (SELECT 1 FROM"
                   " orders o WHERE o.customer=c.id AND o.note IS NOT NULL)"});
    out.push_back({"case_pivot",
                   "SELECT site, sum(CASE kind WHEN 'lamp' THEN c30 END), sum(CASE kind WHEN 'pump'"
                   " THEN c31 END), sum(CASE WHEN kind>'s' THEN c32 ELSE 0 END) FROM readings"
                   " GROUP BY site ORDER BY site"});
    out.push_back({"no_such_column", "SELECT sum(c99) FROM readings"});
    out.push_back({"misused_aggregate", "SELECT sum(max(c01)) FROM readings"});
}

void add_heavy(std::vector<Query>& out) {
    out.push_back(
        {"all_categories",
         "SELECT p.category, count(*), sum(i.quantity*i.price), avg(i.discount) FROM items i"
         " JOIN products p ON p.id=i.product GROUP BY p.category ORDER BY p.category",
         true});
    out.push_back({"all_cities",
                   "SELECT c.city, count(*), count(DISTINCT c.id), max(o.day) FROM orders o JOIN"
                   " customers c ON c.id=o.customer GROUP BY c.city ORDER BY c.city",
                   true});
}

}  // namespace

std::vector<Query> client_queries() {
    std::vector<Query> out;
    add_lookups(out);
    add_aggregates(out);
    add_wide(out);
    add_others(out);
    add_heavy(out);
    return out;
}

Query probe_query() {
    return {"probe", "SELECT name, city FROM customers WHERE id=1234"};
}

Query many_terms_query(unsigned columns) {
    std::string sql = "SELECT ";
    for (unsigned column = 0, k = 0; column < columns; ++column) {
        for (unsigned term = 0; term < 10; ++term) {
            sql += fmt::format("{}sum(x+{})", term == 0 ? (column == 0 ? "" : ", ") : "+", ++k);
        }
    }
    return {fmt::format("terms_{}", columns * 10), sql + " FROM tiny", true};
}

std::vector<Query> limited_queries() {
    std::vector<Query> out;
    for (unsigned variant = 0; variant < 4; ++variant) {
        // Six terms in each of ten result columns, so that the result itself is below the limit.
        std::string sql = "SELECT ";
        for (unsigned column = 0; column < 10; ++column) {
            sql += column == 0 ? "" : ", ";
            for (unsigned term = 0; term < 6; ++term) {
                const unsigned i = column * 6 + term;
                sql += fmt::format("{}sum(c{:02}+{})", term == 0 ? "" : "+",
                                   (i + variant) % reading_columns, i + variant);
            }
        }
        sql += " FROM readings WHERE id<9";
        if (variant % 2 == 1) sql += " GROUP BY site ORDER BY site";
        out.push_back({fmt::format("limited_{}", variant), std::move(sql)});
    }
    return out;
}

}  // namespace sgxdl::sqlite
