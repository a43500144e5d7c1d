// The SQLite tests in the enclave.
#include <stdexcept>

#include "emulator/sgxemu.hpp"
#include "examples/sqlite/server/enclave_connection.hpp"
#include "tests/image_form.hpp"
#include "tests/sqlite/enclave/interface.hpp"
#include "tests/sqlite/gate.hpp"
#include "tests/sqlite/paths.hpp"
#include "tests/sqlite/target.hpp"

namespace sgxdl::sqlite::test {

namespace {

class EnclaveTarget : public Target {
 public:
    explicit EnclaveTarget(const std::string& image) : enclave_(image) {
        enclave_.serve<Parked>([this]() -> int64_t { return gate_.hold(); });
    }

    Change apply(const std::string& file, const std::vector<std::string>& names) override {
        if (file.ends_with(".sgxp")) return change(enclave_.apply_patch(file));
        return change(enclave_.load_module(file, names));
    }
    Change rollback(const std::string& module) override {
        return change(enclave_.rollback(module));
    }
    Change extend(const std::string& module, const std::vector<std::string>& names) override {
        return change(enclave_.extend(module, names));
    }
    Change unload(const std::string& module, const std::vector<std::string>& names,
                  bool force) override {
        return change(enclave_.unload(module, names, force));
    }
    bool has_symbol(const std::string& module, const std::string& name) override {
        return bool(enclave_.call<FindSymbol>(std::string_view(module.c_str(), module.size() + 1),
                                              std::string_view(name.c_str(), name.size() + 1)));
    }
    std::string start() override {
        try {
            start_sqlite(enclave_);
            return "";
        } catch (const std::exception& error) {
            return error.what();
        }
    }
    std::unique_ptr<Connection> connect(unsigned session, const std::string& database,
                                        int column_limit) override {
        return connect_to_enclave(enclave_, session, database, static_cast<uint32_t>(column_limit));
    }
    Ticks tick() override {
        const auto reply = enclave_.call<TickModule>();
        if (!reply) throw std::runtime_error(reply.message());
        return reply.value;
    }
    void park_next_select(unsigned session) override {
        gate_.close();
        const auto reply = enclave_.call<ParkNextSelect>(session);
        if (!reply || reply.value.result != result_ok) throw std::runtime_error("no parking");
    }
    void wait_until_parked() override { gate_.wait_until_held(); }
    void unpark() override { gate_.open(); }
    std::string speedtest(const std::string& module, const std::string& arguments) override {
        std::vector<char> buffer(max_text);
        host::OutTo<char> text{buffer};
        const auto reply =
            enclave_.call<Speedtest>(std::string_view(module), std::string_view(arguments), text);
        if (!reply) return reply.message();
        return std::string(buffer.data(), reply.value.size) + "exit " +
               std::to_string(reply.value.result) + "\n";
    }
    void reclaim() override { enclave_.reclaim_now(); }

    Footprint footprint() override {
        const auto info = enclave_.info();
        const auto counters = enclave_.call<GetCounters>();
        if (!info || !counters) throw std::runtime_error(info.message() + counters.message());
        // On the emulator its own EPCM is the witness, not the enclave's word; unless its pages are
        // static.
        sgxemu::EpcCount epc = sgxemu::epc_count(enclave_.descriptor());
        if (sgxdl::test::static_form()) epc = {};
        const uint64_t pages = epc.valid != 0
                                   ? epc.valid
                                   : counters.value.pages_committed + counters.value.record_pages;
        return {.pages = pages - counters.value.heap_pages - counters.value.record_pages,
                .code_pages = epc.valid != 0 ? epc.executable : info.value.arena_pages_code,
                .heap_blocks = counters.value.heap_live_blocks,
                .stubs = info.value.stubs,
                .units = info.value.units_live,
                .generations = info.value.generations_live};
    }

 private:
    static Change change(const host::OperationReport& report) {
        if (!report) return {.error = report.message()};
        const WireProgress& p = report.progress;
        return {.error = "",
                .functions = p.functions,
                .changed = p.changed_functions,
                .closure = p.closure_functions,
                .relocations = p.relocations,
                .slices = p.slices,
                .text_bytes = p.text_bytes,
                .generation = p.generation};
    }

    Gate gate_;
    host::Enclave enclave_;
};

}  // namespace

std::unique_ptr<Target> make_target() {
    return std::make_unique<EnclaveTarget>(path_of(sgxdl::test::static_form()
                                                       ? "sqlite-test-enclave.static.signed"
                                                       : "sqlite-test-enclave.signed"));
}

}  // namespace sgxdl::sqlite::test
