#include "examples/sqlite/server/service.hpp"

#include <chrono>
#include <stdexcept>

#include "examples/sqlite/corpus/dataset.hpp"
#include "examples/sqlite/server/enclave_connection.hpp"

namespace sgxdl::sqlite {

namespace {
constexpr char database[] = "file:/data?vfs=memdb";
}

Service::Service(const ServiceOptions& options) {
    host::EnclaveOptions enclave_options;
    enclave_options.on_log = options.on_log;
    enclave_ = std::make_unique<host::Enclave>(options.image, enclave_options);
    load_report_ = enclave_->load_module(options.module);
    if (!load_report_) throw std::runtime_error(options.module + ": " + load_report_.message());
    start_sqlite(*enclave_);
    if (!options.socket.empty()) {
        control_ = std::make_unique<host::ControlServer>(*enclave_, options.socket);
    }
    keeper_ = connect(keeper_session);
}

Service::~Service() = default;

void Service::create_data() {
    const auto start = std::chrono::steady_clock::now();
    std::vector<char> buffer(4096);
    const DatasetSize size;
    const bool created = create_dataset(size, [&](const std::string& sql) {
        const std::string text = answer(*keeper_, sql, buffer);
        if (!text.empty()) throw std::runtime_error("data set: " + text);
        return true;
    });
    if (!created) throw std::runtime_error("data set: not created");
    rows_ = size.rows();
    data_ms_ =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

std::unique_ptr<Connection> Service::connect(uint32_t session) {
    return connect_to_enclave(*enclave_, session, database);
}

}  // namespace sgxdl::sqlite
