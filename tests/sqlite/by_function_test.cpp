// Function-level loading: the functions named and what they reach, no more; more of the same bundle
// later; single functions unloaded again.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "examples/sqlite/enclave/sqlite_api.hpp"
#include "examples/sqlite/interface.hpp"
#include "tests/sqlite/paths.hpp"
#include "tests/sqlite/target.hpp"
#include "tool/front/bundle.hpp"
#include "tool/front/reach.hpp"

namespace sgxdl::sqlite::test {
namespace {

front::Bundle open(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    const std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(in), {}};
    return front::open_bundle(bytes, file);
}

// Units without text.
uint64_t constants(const front::Image& image, const front::Extent& extent) {
    return static_cast<uint64_t>(std::ranges::count_if(extent.units, [&](uint32_t unit) {
        return image.sections[image.units[unit].sections.front()].kind != front::SectionKind::text;
    }));
}

const std::vector<std::string> three = {"sqlite3_complete", "sqlite3_strlike", "sqlite3_snprintf"};

TEST(ByFunction, ThreeFunctionsBringInExactlyWhatTheyReach) {
    const auto target = make_target();
    const front::Bundle whole = open(path_of("sqlite-b.sgxm"));
    const front::Extent expected = front::reach(whole.image, three);

    const Change loaded = target->apply(path_of("sqlite-b.sgxm"), three);
    ASSERT_TRUE(loaded.ok()) << loaded.error;
    std::cout << "three functions: " << loaded.functions << " functions, " << loaded.text_bytes
              << " bytes of text\n";
    EXPECT_EQ(loaded.functions, expected.functions);
    // The loader's figure contains the padding that aligns each unit's text to 16 bytes.
    EXPECT_GE(loaded.text_bytes, expected.text_bytes);
    EXPECT_LT(loaded.text_bytes, expected.text_bytes + 16 * expected.units.size());
    EXPECT_LT(loaded.functions, 60u);
    for (const std::string& name : three)
        EXPECT_TRUE(target->has_symbol(module_name, name)) << name;
    EXPECT_FALSE(target->has_symbol(module_name, "sqlite3_prepare_v2"));

    // A fourth brings in what is not there yet.
    const std::string fourth = "sqlite3_strglob";
    const Footprint before = target->footprint();
    const Change added = target->extend(module_name, {fourth});
    ASSERT_TRUE(added.ok()) << added.error;
    std::vector<std::string> four = three;
    four.push_back(fourth);
    const front::Extent all = front::reach(whole.image, four);
    EXPECT_EQ(loaded.functions + added.functions, all.functions);
    const Footprint during = target->footprint();
    // It needs functions that sqlite3_strlike needs, too: they are not loaded again.
    EXPECT_GT(front::reach(whole.image, {fourth}).functions + expected.functions, all.functions);

    // Its text goes again; read-only data stay until the module goes (long-lived objects keep
    // pointers to literals). A function that data point to could not go.
    const Change unloaded = target->unload(module_name, {fourth}, true);
    ASSERT_TRUE(unloaded.ok()) << unloaded.error;
    target->reclaim();
    const Footprint after = target->footprint();
    EXPECT_GT(during.code_pages, before.code_pages);
    EXPECT_EQ(after.code_pages, before.code_pages);
    EXPECT_EQ(after.units,
              before.units + constants(whole.image, all) - constants(whole.image, expected));
    for (const std::string& name : three)
        EXPECT_TRUE(target->has_symbol(module_name, name)) << name;
    EXPECT_FALSE(target->has_symbol(module_name, fourth));
}

TEST(ByFunction, WhatIsLoadedAfterAPatchIsThePatchedVersion) {
    const auto target = make_target();
    ASSERT_TRUE(target->apply(path_of("sqlite-a.sgxm"), three).ok());
    const Footprint loaded = target->footprint();
    // Nothing of what these change is loaded: definitions change, code does not.
    for (const char* patch : {"patch-ab.sgxp", "patch-bc.sgxp"}) {
        const Change change = target->apply(path_of(patch));
        ASSERT_TRUE(change.ok()) << patch << ": " << change.error;
        EXPECT_GT(change.changed, 0u);
        EXPECT_EQ(change.functions, 0u);
    }
    target->reclaim();
    EXPECT_EQ(target->footprint().code_pages, loaded.code_pages);

    // Now everything that the enclave's base code calls.
    std::vector<std::string> api;
#define SGXDL_SQLITE_NAME(name, result, parameters) api.emplace_back(#name);
    SGXDL_SQLITE_FUNCTIONS(SGXDL_SQLITE_NAME)
#undef SGXDL_SQLITE_NAME
    const Change extended = target->extend(module_name, api);
    ASSERT_TRUE(extended.ok()) << extended.error;
    ASSERT_EQ(target->start(), "");
    const auto connection = target->connect(0, "file:/data?vfs=memdb", 0);
    std::vector<char> buffer(8192);
    EXPECT_EQ(answer(*connection, "CREATE TABLE tiny(x); INSERT INTO tiny VALUES(1),(20)", buffer),
              "");
    EXPECT_EQ(answer(*connection, many_terms_query(250).sql, buffer),
              "error: more than 2000 aggregate terms");
    EXPECT_EQ(answer(*connection, "SELECT sum(x), count(*) FROM tiny", buffer), "21|2\n");
}

}  // namespace
}  // namespace sgxdl::sqlite::test
