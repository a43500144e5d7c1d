// Pairs of builds, each a folder corpus/NAME with orig/ and patched/ sources and what diff must
// say about them (expect). Compiled here, at run time, by the system's gcc.
//
// Every pair that gives a patch is checked four ways: diff's own list of changes; the state after
// the patch equals a fresh pack of the patched build; both, linked by the system's linker and run
// as programs, print the same; and so does the module, loaded and patched by the loader core.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "tests/tool/hosted.hpp"
#include "tests/tool/support.hpp"
#include "tool/diff/compare.hpp"
#include "tool/diff/diff.hpp"
#include "tool/diff/state.hpp"
#include "tool/front/elf_file.hpp"
#include "tool/front/error.hpp"
#include "tool/front/object.hpp"

namespace sgxdl::test {
namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

struct Expectation {
    std::map<std::string, std::string> values;
    explicit Expectation(const fs::path& file) {
        std::ifstream in(file);
        for (std::string line; std::getline(in, line);) {
            if (line.empty() || line[0] == '#') continue;
            size_t colon = line.find(": ");
            EXPECT_NE(colon, std::string::npos) << file << ": " << line;
            if (colon != std::string::npos) values[line.substr(0, colon)] = line.substr(colon + 2);
        }
    }
    std::string get(const std::string& key) const {
        auto found = values.find(key);
        return found == values.end() ? "" : found->second;
    }
    Names names(const std::string& key) const {
        std::istringstream in(get(key));
        return {std::istream_iterator<std::string>(in), {}};
    }
};

std::vector<std::string> compile_side(const Folder& folder, const fs::path& from,
                                      const std::string& flags) {
    std::vector<fs::path> sources(fs::directory_iterator(from), {});
    std::sort(sources.begin(), sources.end());
    std::vector<std::string> objects;
    for (const fs::path& source : sources) {
        std::ifstream in(source);
        std::string text(std::istreambuf_iterator<char>(in), {});
        objects.push_back(compile_text(
            folder, from.filename().string() + "/" + source.filename().string(), text, flags));
    }
    return objects;
}

class Corpus : public testing::TestWithParam<std::string> {};

TEST_P(Corpus, DiffSaysExactlyWhatChanged) {
    fs::path folder = fs::path(SGXDL_CORPUS) / GetParam();
    Expectation expect(folder / "expect");
    Folder work;
    std::string flags = expect.get("flags");
    auto old_objects = compile_side(work, folder / "orig", flags);
    auto new_objects =
        compile_side(work, folder / "patched", flags + " " + expect.get("new-flags"));

    std::string module = (work.path() / "m.sgxm").string();
    front::write_file(module, front::pack_objects(old_objects, pack_options()));
    diff::DiffOptions options;
    options.base = {module};
    options.old_objects = old_objects;
    options.new_objects = new_objects;
    options.key = vendor_key();
    options.version = "2";
    std::istringstream arguments(expect.get("args"));
    for (std::string word; arguments >> word;) {
        if (word == "--omit-line-only")
            options.omit_line_only = true;
        else if (word == "--replace-constant" && arguments >> word)
            options.replace_constants.push_back(word);
        else
            FAIL() << "args: " << word;
    }

    std::string exit = expect.get("exit");
    if (!exit.empty()) {
        try {
            diff::diff(options);
            FAIL() << "gave a patch";
        } catch (const front::Error& error) {
            EXPECT_EQ(std::to_string(static_cast<int>(error.failure())), exit) << error.what();
            EXPECT_NE(std::string(error.what()).find(expect.get("message")), std::string::npos)
                << error.what();
        }
        return;
    }

    diff::DiffResult result = diff::diff(options);
    std::map<diff::ChangeKind, Names> changes;
    for (const diff::Change& change : result.changes) {
        // Constants without a name of their own come and go with their users.
        if (change.name.starts_with("const.")) continue;
        EXPECT_TRUE(changes[change.kind].insert(change.name).second) << change.name;
    }
    EXPECT_EQ(changes[diff::ChangeKind::changed], expect.names("changed"));
    EXPECT_EQ(changes[diff::ChangeKind::line_numbers], expect.names("lines"));
    EXPECT_EQ(changes[diff::ChangeKind::line_numbers_omitted], expect.names("omitted"));
    EXPECT_EQ(changes[diff::ChangeKind::added], expect.names("new"));
    EXPECT_EQ(changes[diff::ChangeKind::removed], expect.names("removed"));
    EXPECT_EQ(changes[diff::ChangeKind::constant], expect.names("constant"));
    std::vector<std::string> warnings;
    if (!expect.get("warning").empty()) warnings.push_back(expect.get("warning"));
    EXPECT_EQ(result.warnings, warnings);

    // The state after the patch, rebuilt from the files as a later diff would.
    std::string patch = (work.path() / "p.sgxp").string();
    front::write_file(patch, result.bundle);
    diff::ModuleState state = diff::open_state({module, patch}, vendor_key().public_key);
    front::Image fresh = front::build_image(new_objects);
    EXPECT_EQ(diff::equal_units(diff::nominal(state.image, state.omitted), fresh),
              std::vector<std::string>());
    if (!changes[diff::ChangeKind::line_numbers_omitted].empty()) {
        EXPECT_NE(diff::equal_units(state.image, fresh), std::vector<std::string>());
    }

    // The loader core takes both bundles, counts as diff does, and
    std::vector<uint8_t> module_bytes = front::read_file(module);
    HostedLoader loader({module_bytes, result.bundle});
    loader.take(module_bytes);
    Progress progress = loader.take(result.bundle);
    EXPECT_EQ(progress.changed_functions, result.changed.functions);
    EXPECT_EQ(progress.closure_functions, result.closure.functions);

    // runs what the patched source says, as the system's linker understands state and source.
    if (expect.get("run") == "no") return;
    std::string linked = work.write("state.o", "");
    front::write_file(linked, front::write_elf(state.image));
    Output patched = run_natively(work, "patched-program", {linked});
    Output native = run_natively(work, "native-program", new_objects);
    ASSERT_EQ(native.status, 0) << native.text;
    EXPECT_EQ(patched.status, 0);
    EXPECT_EQ(patched.text, native.text);
    EXPECT_EQ(std::to_string(loader.entry()) + "\n", native.text);
}

std::vector<std::string> cases() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(SGXDL_CORPUS)) {
        names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
}

INSTANTIATE_TEST_SUITE_P(Tool, Corpus, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace sgxdl::test
