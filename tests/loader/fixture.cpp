#include "tests/loader/fixture.hpp"

#include <cstdio>
#include <cstdlib>
#include <set>

#include "tests/loader/relocation_cases.hpp"
#include "tool/front/elf_file.hpp"
#include "tool/front/pack.hpp"

// Imports of test modules. Far from the arena on purpose: glibc and this program need veneers.
extern "C" {
int test_imported_calls = 0;
int test_imported(int x) {
    ++test_imported_calls;
    return x + sgxdl::test::imported_adds;
}
int imported_object = sgxdl::test::imported_value;
}

namespace sgxdl::test {

namespace {

const Import imports[] = {
    {"abort", reinterpret_cast<uintptr_t>(&abort), true},
    {"imported", reinterpret_cast<uintptr_t>(&test_imported), true},
    {"imported_object", reinterpret_cast<uintptr_t>(&imported_object), false},
    {"memcpy",
     reinterpret_cast<uintptr_t>(static_cast<void* (*)(void*, const void*, size_t)>(&memcpy)),
     true},
    {"memset", reinterpret_cast<uintptr_t>(&memset), true},
    {"strcmp", reinterpret_cast<uintptr_t>(&strcmp), true},
    {"strlen", reinterpret_cast<uintptr_t>(static_cast<size_t (*)(const char*)>(&strlen)), true},
    {"test_imported", reinterpret_cast<uintptr_t>(&test_imported), true},
    {"test_imported_calls", reinterpret_cast<uintptr_t>(&test_imported_calls), false},
};

std::vector<char> join(const std::vector<std::string>& names) {
    std::vector<char> joined;
    for (const std::string& name : names)
        joined.insert(joined.end(), name.c_str(), name.c_str() + name.size() + 1);
    return joined;
}

std::vector<std::string>* current_log = nullptr;

}  // namespace

std::ostream& operator<<(std::ostream& out, const Footprint& f) {
    return out << "{pages " << f.pages << ", heap blocks " << f.heap_blocks << ", stubs " << f.stubs
               << ", modules " << f.modules << ", generations " << f.generations << ", units "
               << f.units << "}";
}

LoaderTest::LoaderTest(size_t arena, bool low) : platform(arena, low) {
    front::initialise();
    key = front::generate_key();
    current_log = &log;
    platform.log_sink = [](const char* line) { current_log->push_back(line); };
    LoaderConfig config{};
    config.trust.product = "test";
    memcpy(config.trust.vendor_key, key.public_key.data(), key.public_key.size());
    config.imports = imports;
    loader_ = std::make_unique<Loader>(platform);
    auto ready = loader_->init(config);
    EXPECT_TRUE(ready) << ready.error().context;
}

LoaderTest::~LoaderTest() {
    loader_.reset();
    // What the loader took it has given back, down to the last page and block.
    EXPECT_EQ(platform.committed_pages(), 0u);
    EXPECT_EQ(Platform::heap_blocks(), 0u);
}

std::vector<uint8_t> LoaderTest::module(const std::string& name, const std::string& source,
                                        const std::string& flags) {
    return module_of(name, {work.compile(name + ".c", source, flags)});
}

std::vector<uint8_t> LoaderTest::module_of(const std::string& name,
                                           const std::vector<std::string>& objects) {
    front::PackOptions options{"test", name, "1.0", 1, key};
    try {
        return front::pack_objects(objects, options);
    } catch (const std::exception& e) {
        ADD_FAILURE() << "pack: " << e.what();
        return {};
    }
}

std::vector<uint8_t> LoaderTest::patch(
    const std::string& name, const std::vector<uint8_t>& base_bytes, const std::string& source,
    uint32_t flags, const std::vector<std::string>& only, const std::vector<std::string>& removed,
    uint64_t security_version, const std::string& compile_flags) {
    const front::Bundle base = front::open_bundle(base_bytes, "base");
    const front::Image build =
        front::build_image({work.compile(name + ".patched.c", source, compile_flags)});
    std::set<std::string> old_names = states_[base.digest];
    for (const auto& [symbol, index] : front::defined_names(base.image))
        old_names.emplace(symbol);
    const std::set<std::string> chosen(only.begin(), only.end());
    front::Image image;
    std::vector<uint32_t> section_map(build.sections.size(), front::no_index),
        symbol_map(build.symbols.size(), front::no_index);
    for (const front::Unit& unit : build.units) {
        const front::SectionKind kind = build.sections[unit.sections[0]].kind;
        const bool exists = old_names.contains(unit.name);
        const bool keep = kind == front::SectionKind::literal || !exists ||
                          (kind == front::SectionKind::text && chosen.empty()) ||
                          chosen.contains(unit.name);
        if (!keep) continue;
        front::Unit copy{{}, unit.name};
        for (uint32_t s : unit.sections) {
            section_map[s] = static_cast<uint32_t>(image.sections.size());
            copy.sections.push_back(section_map[s]);
            image.sections.push_back(build.sections[s]);
            image.sections.back().unit = static_cast<uint32_t>(image.units.size());
        }
        image.units.push_back(copy);
    }
    for (uint32_t i = 0; i < build.symbols.size(); i++) {
        const front::Symbol& symbol = build.symbols[i];
        if (!symbol.defined() || section_map[symbol.section] == front::no_index) continue;
        symbol_map[i] = static_cast<uint32_t>(image.symbols.size());
        image.symbols.push_back(symbol);
        image.symbols.back().section = section_map[symbol.section];
    }
    for (front::Section& section : image.sections) {
        for (front::Relocation& relocation : section.relocations) {
            uint32_t& mapped = symbol_map[relocation.symbol];
            if (mapped == front::no_index) {
                mapped = static_cast<uint32_t>(image.symbols.size());
                front::Symbol symbol = build.symbols[relocation.symbol];
                symbol.section = front::no_index;
                symbol.value = symbol.size = 0;
                symbol.binding = front::Binding::global;
                image.symbols.push_back(symbol);
            }
            relocation.symbol = mapped;
        }
    }
    image.removed = removed;
    front::finish(image);
    front::BundleInfo info{SGXDL_BUNDLE_PATCH, flags,      "test", name, "1.1",
                           security_version,   base.digest};
    for (const auto& [symbol, index] : front::defined_names(image))
        old_names.emplace(symbol);
    auto sealed = front::seal(info, front::write_elf(image), key);
    states_[front::open_bundle(sealed, "patch").digest] = old_names;
    return sealed;
}

Outcome LoaderTest::finish() {
    for (;;) {
        auto progress = loader_->step();
        if (!progress) return {progress.error(), {}};
        if (progress->done) return {{}, *progress};
    }
}

Outcome LoaderTest::apply(const std::vector<uint8_t>& bundle,
                          const std::vector<std::string>& names) {
    return apply_raw(bundle, join(names));
}

Outcome LoaderTest::apply_raw(const std::vector<uint8_t>& bundle, const std::vector<char>& names) {
    sgxdl_bundle_header header{};
    memcpy(&header, bundle.data(), std::min(bundle.size(), sizeof header));
    auto begun = loader_->begin_bundle(header, names);
    if (!begun) return {begun.error(), {}};
    for (size_t at = sizeof header; at < bundle.size(); at += 4096) {
        auto fed = loader_->feed({bundle.data() + at, std::min<size_t>(4096, bundle.size() - at)});
        if (!fed) return {fed.error(), {}};
    }
    return finish();
}

Outcome LoaderTest::extend(const std::string& name, const std::vector<std::string>& names) {
    auto begun = loader_->begin_extend(name.c_str(), join(names));
    return begun ? finish() : Outcome{begun.error(), {}};
}

Outcome LoaderTest::rollback(const std::string& name) {
    auto begun = loader_->begin_rollback(name.c_str());
    return begun ? finish() : Outcome{begun.error(), {}};
}

Outcome LoaderTest::unload(const std::string& name, const std::vector<std::string>& names,
                           bool force) {
    auto begun = loader_->begin_unload(name.c_str(), join(names), force);
    return begun ? finish() : Outcome{begun.error(), {}};
}

void LoaderTest::reclaim_all() {
    for (int i = 0; i < 100'000 && loader_->reclaim(); i++) {
    }
}

Footprint LoaderTest::footprint() {
    const LoaderInfo info = loader_->info();
    return {platform.committed_pages(), Platform::heap_blocks(), info.stubs, info.modules,
            info.generations_live,      info.units_live};
}

}  // namespace sgxdl::test
