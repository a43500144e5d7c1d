// The SQLite tests in this process, by the loader on its hosted platform.
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <fstream>
#include <iterator>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "enclave/hosted/hosted_platform.hpp"
#include "enclave/loader/loader.hpp"
#include "examples/sqlite/enclave/session.hpp"
#include "examples/sqlite/interface.hpp"
#include "tests/sqlite/gate.hpp"
#include "tests/sqlite/paths.hpp"
#include "tests/sqlite/target.hpp"
#include "tool/front/bundle.hpp"

namespace sgxdl::sqlite::test {

namespace {

std::vector<uint8_t> read_file(const std::string& name) {
    std::ifstream in(name, std::ios::binary);
    if (!in) throw std::runtime_error("cannot read " + name);
    return {std::istreambuf_iterator<char>(in), {}};
}

// imports.list of the example, with this process's functions.
std::vector<Import> process_imports() {
    std::vector<Import> out;
    std::ifstream in(SGXDL_SQLITE_IMPORTS);
    std::string name;
    while (std::getline(in, name)) {
        if (name.empty() || name[0] == '#') continue;
        void* const address = name == "rearm_register" ? reinterpret_cast<void*>(&rearm_register)
                                                       : dlsym(RTLD_DEFAULT, name.c_str());
        // The speedtest functions are the enclave's own; these tests do not load speedtest1.
        if (address == nullptr) continue;
        out.push_back({strdup(name.c_str()), reinterpret_cast<uintptr_t>(address), true});
    }
    std::ranges::sort(
        out, [](const Import& a, const Import& b) { return std::strcmp(a.name, b.name) < 0; });
    return out;
}

class HostedTarget : public Target {
 public:
    HostedTarget(const std::string& product, const std::string& public_key_file)
        : product_(product), imports_(process_imports()) {
        LoaderConfig config{.trust = {.product = product_.c_str(), .vendor_key = {}},
                            .imports = imports_};
        const auto key = front::read_public_key(public_key_file);
        std::ranges::copy(key, config.trust.vendor_key);
        const auto made = loader_.init(config);
        if (!made) throw std::runtime_error(text(made.error()));
    }
    ~HostedTarget() override {
        for (const Import& import : imports_)
            free(const_cast<char*>(import.name));
    }

    Change apply(const std::string& file, const std::vector<std::string>& names) override {
        const std::vector<uint8_t> bytes = read_file(file);
        sgxdl_bundle_header header;
        if (bytes.size() < sizeof header) return {.error = "truncated"};
        std::memcpy(&header, bytes.data(), sizeof header);
        if (auto begun = loader_.begin_bundle(header, list(names)); !begun) {
            return {.error = text(begun.error())};
        }
        constexpr size_t part = 64 << 10;
        for (size_t at = sizeof header; at < bytes.size(); at += part) {
            const size_t size = std::min(part, bytes.size() - at);
            if (auto fed = loader_.feed({bytes.data() + at, size}); !fed) {
                return {.error = text(fed.error())};
            }
        }
        return finish({});
    }

    Change rollback(const std::string& module) override {
        return finish(loader_.begin_rollback(module.c_str()));
    }
    Change extend(const std::string& module, const std::vector<std::string>& names) override {
        return finish(loader_.begin_extend(module.c_str(), list(names)));
    }
    Change unload(const std::string& module, const std::vector<std::string>& names,
                  bool force) override {
        return finish(loader_.begin_unload(module.c_str(), list(names), force));
    }
    bool has_symbol(const std::string& module, const std::string& name) override {
        return loader_.symbol(module.c_str(), name.c_str()) != nullptr;
    }

    std::string start() override {
        Pin pin(loader_);
#define SGXDL_SQLITE_LOOK_UP(name, result, parameters)                                     \
    api_.name = reinterpret_cast<decltype(api_.name)>(loader_.symbol(module_name, #name)); \
    if (api_.name == nullptr) return "missing: " #name;
        SGXDL_SQLITE_FUNCTIONS(SGXDL_SQLITE_LOOK_UP)
#undef SGXDL_SQLITE_LOOK_UP
        const int result = api_.enclave_sqlite_start();
        return result == result_ok ? "" : api_.sqlite3_errstr(result);
    }

    std::unique_ptr<Connection> connect(unsigned session, const std::string& database,
                                        int column_limit) override {
        return std::make_unique<HostedConnection>(*this, session, database, column_limit);
    }

    Ticks tick() override {
        static Loader* loader = nullptr;  // find() below takes no context
        loader = &loader_;
        const Pin pin(loader_);
        return test::tick([](const char* name) { return loader->symbol("rearm", name); });
    }
    void park_next_select(unsigned session) override {
        gate_.close();
        park_ = true;
        const Pin pin(loader_);
        const Reply reply = sessions_.at(session).set_authorizer(authorizer, this);
        if (reply.result != result_ok) throw std::runtime_error("no parking");
    }
    void wait_until_parked() override {
        gate_.wait_until_held();
    }
    void unpark() override {
        gate_.open();
    }
    std::string speedtest(const std::string&, const std::string&) override {
        throw std::logic_error("speedtest1 needs the enclave's base code");
    }
    void reclaim() override {
        while (loader_.reclaim())
            std::this_thread::yield();
    }

    Footprint footprint() override {
        const LoaderInfo info = loader_.info();
        return {.pages = platform_.committed_pages(),
                .code_pages = info.arena_pages_code,
                .heap_blocks = Platform::heap_blocks(),
                .stubs = info.stubs,
                .units = info.units_live,
                .generations = info.generations_live};
    }

 private:
    struct Pin {
        explicit Pin(Loader& l) : loader(l) {
            if (const auto pinned = loader.pin(); !pinned)
                throw std::runtime_error(text(pinned.error()));
        }
        ~Pin() { loader.unpin(); }
        Loader& loader;
    };

    // Pins for every call, as an ecall does.
    class HostedConnection : public Connection {
     public:
        HostedConnection(HostedTarget& target, unsigned number, const std::string& database,
                         int column_limit)
            : target_(target), session_(target.sessions_.at(number)) {
            char text[256];
            const Pin pin(target_.loader_);
            const Reply reply = session_.open(target_.api_, database.c_str(), column_limit, text);
            if (reply.result != result_ok) throw std::runtime_error(std::string(text, reply.size));
        }
        ~HostedConnection() override {
            const Pin pin(target_.loader_);
            session_.close();
        }
        Reply execute(std::span<const char> sql, std::span<char> text) override {
            const Pin pin(target_.loader_);
            return session_.execute(sql, text);
        }
        Reply fetch(std::span<char> text) override {
            const Pin pin(target_.loader_);
            return session_.fetch(text);
        }

     private:
        HostedTarget& target_;
        Session& session_;
    };

    static int authorizer(void* context, int action, const char*, const char*, const char*,
                          const char*) {
        constexpr int action_select = 21;  // SQLITE_SELECT in sqlite3.h
        auto& target = *static_cast<HostedTarget*>(context);
        if (action == action_select && target.park_.exchange(false)) target.gate_.hold();
        return result_ok;
    }

    static std::string text(const Error& error) {
        return std::string(code_text(error.code)) + ": " + error.context;
    }

    // NUL-terminated names one after another.
    static std::string list(const std::vector<std::string>& names) {
        std::string out;
        for (const std::string& name : names)
            out.append(name.c_str(), name.size() + 1);
        return out;
    }

    Change finish(const Result<void>& begun) {
        if (!begun) return {.error = text(begun.error())};
        for (;;) {
            auto progress = loader_.step();
            if (!progress) return {.error = text(progress.error())};
            if (progress->done != 0) {
                return {.error = "",
                        .functions = progress->functions,
                        .changed = progress->changed_functions,
                        .closure = progress->closure_functions,
                        .relocations = progress->relocations,
                        .slices = progress->slices,
                        .text_bytes = progress->text_bytes,
                        .generation = progress->generation};
            }
            std::this_thread::yield();  // between slices, as the host library does
        }
    }

    std::array<Session, max_sessions> sessions_;
    std::atomic<bool> park_ = false;
    Gate gate_;
    std::string product_;
    std::vector<Import> imports_;
    Platform platform_;
    Loader loader_{platform_};
    Api api_;
};

}  // namespace

std::unique_ptr<Target> make_target() {
    return std::make_unique<HostedTarget>("sqlite", path_of("vendor.pub"));
}

}  // namespace sgxdl::sqlite::test
