#include "sgxdl/control.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <asio.hpp>
#include <nlohmann/json.hpp>
#include <thread>

#include "enclave/loader/loader.hpp"

namespace sgxdl::host {

namespace {

using asio::local::stream_protocol;
using nlohmann::json;

constexpr size_t max_request = 1u << 20;  // bytes of a line

constexpr const char* stage_names[] = {"idle",     "receiving", "verified", "decoded", "planned",
                                       "building", "current",   "retired",  "done",    "abandoned"};

json failure(const CallOutcome& outcome) {
    return {{"ok", false},
            {"code", static_cast<uint64_t>(outcome.status)},
            {"error", outcome.message()}};
}

json to_json(Enclave& enclave, const OperationReport& report) {
    if (!report) {
        return {{"ok", false},
                {"code", static_cast<uint64_t>(report.status)},
                {"error", report.message()}};
    }
    const WireProgress& p = report.progress;
    json stages = json::object();
    for (size_t i = 0; i < std::size(stage_names); ++i) {
        if (report.stage_ms[i] > 0) stages[stage_names[i]] = report.stage_ms[i];
    }
    return {{"ok", true},
            {"functions", p.functions},
            {"changed_functions", p.changed_functions},
            {"closure_functions", p.closure_functions},
            {"relocations", p.relocations},
            {"text_bytes", p.text_bytes},
            {"data_bytes", p.data_bytes},
            {"generation", p.generation},
            {"slices", p.slices},
            {"total_ms", report.total_ms},
            {"transfer_ms", report.transfer_ms},
            {"activation_us", report.activation_us},
            {"w_xor_x", enclave.w_xor_x()},
            {"stage_ms", stages}};
}

json list(Enclave& enclave) {
    const Reply<WireLoaderInfo> info = enclave.info();
    if (!info) return failure(info);
    const WireLoaderInfo& i = info.value;
    json modules = json::array();
    for (const WireModuleInfo& m : enclave.modules()) {
        std::string digest;
        for (const uint8_t byte : m.digest) {
            char digits[3];
            snprintf(digits, sizeof(digits), "%02x", byte);
            digest += digits;
        }
        modules.push_back({{"name", m.name},
                           {"version", m.version},
                           {"security_version", m.security_version},
                           {"floor", m.floor},
                           {"functions_defined", m.functions_defined},
                           {"functions_loaded", m.functions_loaded},
                           {"patches", m.patches},
                           {"unloading", m.unloading != 0},
                           {"retained_bytes", m.retained_bytes},
                           {"digest", digest}});
    }
    return {{"ok", true},
            {"platform", enclave.platform()},
            {"mrenclave", enclave.mrenclave()},
            {"w_xor_x", i.w_xor_x != 0},
            {"generation", i.generation},
            {"oldest_pinned", i.oldest_pinned},
            {"generations_live", i.generations_live},
            {"stubs", i.stubs},
            {"units", i.units_live},
            {"pages",
             {{"code", i.arena_pages_code},
              {"read_only", i.arena_pages_read_only},
              {"data", i.arena_pages_data}}},
            {"modules", modules}};
}

json answer(Enclave& enclave, const std::string& line) {
    try {
        const json request = json::parse(line);
        const std::string command = request.at("command");
        const auto functions = request.value("functions", std::vector<std::string>());
        if (command == "list") return list(enclave);
        if (command == "load") {
            return to_json(enclave, enclave.load_module(request.at("bundle"), functions));
        }
        if (command == "patch") return to_json(enclave, enclave.apply_patch(request.at("bundle")));
        if (command == "extend")
            return to_json(enclave, enclave.extend(request.at("module"), functions));
        if (command == "rollback") return to_json(enclave, enclave.rollback(request.at("module")));
        if (command == "unload") {
            return to_json(enclave, enclave.unload(request.at("module"), functions,
                                                   request.value("force", false)));
        }
        return {{"ok", false}, {"error", "unknown command '" + command + "'"}};
    } catch (const std::exception& error) {
        return {{"ok", false}, {"error", error.what()}};
    }
}

// One client: lines in, lines out, until it hangs up.
class Session : public std::enable_shared_from_this<Session> {
 public:
    Session(stream_protocol::socket socket, Enclave& enclave)
        : socket_(std::move(socket)), enclave_(enclave) {}

    void read() {
        asio::async_read_until(
            socket_, asio::dynamic_buffer(input_, max_request), '\n',
            [self = shared_from_this()](const std::error_code& error, size_t size) {
                if (error) return;
                const std::string line = self->input_.substr(0, size);
                self->input_.erase(0, size);
                self->write(answer(self->enclave_, line).dump() + "\n");
            });
    }

 private:
    void write(std::string text) {
        output_ = std::move(text);
        asio::async_write(socket_, asio::buffer(output_),
                          [self = shared_from_this()](const std::error_code& error, size_t) {
                              if (!error) self->read();
                          });
    }

    stream_protocol::socket socket_;
    Enclave& enclave_;
    std::string input_, output_;
};

}  // namespace

struct ControlServer::Impl {
    Impl(Enclave& served, std::string socket_path)
        : enclave(served), path(std::move(socket_path)), acceptor(context) {
        const stream_protocol::endpoint endpoint(path);
        remove_stale(endpoint);
        acceptor.open();
        // The socket appears with the owner's rights only: there is no moment when others may.
        const mode_t mask = umask(0177);
        std::error_code error;
        acceptor.bind(endpoint, error);
        umask(mask);
        if (error) throw Error(path + ": " + error.message());
        acceptor.listen();
        accept();
        thread = std::thread([this] { context.run(); });
    }

    ~Impl() {
        context.stop();
        thread.join();
        ::unlink(path.c_str());
    }

    // A socket that a dead process left behind is replaced, a served one is not.
    void remove_stale(const stream_protocol::endpoint& endpoint) {
        struct stat status;
        if (::stat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return;
        stream_protocol::socket probe(context);
        std::error_code error;
        probe.connect(endpoint, error);
        if (!error) throw Error(path + ": another process serves this socket");
        ::unlink(path.c_str());
    }

    void accept() {
        acceptor.async_accept([this](const std::error_code& error, stream_protocol::socket socket) {
            if (error) return;
            std::make_shared<Session>(std::move(socket), enclave)->read();
            accept();
        });
    }

    Enclave& enclave;
    std::string path;
    asio::io_context context;
    stream_protocol::acceptor acceptor;
    std::thread thread;
};

ControlServer::ControlServer(Enclave& enclave, const std::string& path) try
    : impl_(std::make_unique<Impl>(enclave, path)) {
} catch (const std::system_error& error) {
    throw Error(path + ": " + error.what());
}

ControlServer::~ControlServer() = default;

}  // namespace sgxdl::host
