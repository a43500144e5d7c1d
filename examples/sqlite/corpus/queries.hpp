// The queries that clients loop over, and the one that tells a patched SQLite from an unpatched.
//
// Every query has one right answer per state of the source (a, b, c); native builds computed them
// (native/native.cpp writes expected.{a,b,c}.json). Most are chosen so that sqlite3_prepare makes
// and grows both arrays of AggInfo, the structure whose layout the fix of CVE-2025-6965 changes.
#pragma once

#include <string>
#include <vector>

namespace sgxdl::sqlite {

struct Query {
    std::string name;
    std::string sql;
    bool heavy = false;  // takes more than about 5 ms
};

// Everything that two client threads loop over; the answer is the same in all three states.
std::vector<Query> client_queries();

// A lookup by key that takes microseconds: the probe of the gap measurement.
Query probe_query();

// `columns` result columns, each the sum of ten sum(x+k), all different: 10 * columns aggregate
// terms. With 250 columns: accepted in states a and b, refused in c (limit 2000).
Query many_terms_query(unsigned columns);

// 60 aggregate terms over 60 source columns and functions. In a connection whose column limit is
// small_column_limit: answered in states a and b, refused in c. Cheap enough to loop over.
std::vector<Query> limited_queries();
inline constexpr int small_column_limit = 30;

}  // namespace sgxdl::sqlite
