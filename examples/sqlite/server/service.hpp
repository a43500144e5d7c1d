// The database service: an enclave, SQLite loaded into it, and the data set.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "examples/sqlite/server/clients.hpp"
#include "sgxdl/control.hpp"
#include "sgxdl/host.hpp"

namespace sgxdl::sqlite {

struct ServiceOptions {
    std::string image;   // signed enclave image
    std::string module;  // SQLite's bundle
    std::string socket;  // control socket to open for the operator; empty: none
    std::function<void(std::string_view)> on_log;  // the loader's transition log; may be null
};

// Numbers of the sessions; each is used by one thread at a time.
enum SessionNumber : uint32_t {
    keeper_session = 0,
    client_session = 1,
    probe_session = 5,
    check_session = 9
};

class Service {
 public:
    // Creates the enclave, loads the module and opens the control socket. Throws
    // std::runtime_error.
    explicit Service(const ServiceOptions& options);
    // No client may be connected.
    ~Service();
    Service(const Service&) = delete;

    // Fills the database. Throws std::runtime_error.
    void create_data();

    std::unique_ptr<Connection> connect(uint32_t session);
    host::Enclave& enclave() { return *enclave_; }
    const host::OperationReport& load_report() const { return load_report_; }
    uint64_t rows() const { return rows_; }
    double data_ms() const { return data_ms_; }

 private:
    std::unique_ptr<host::Enclave> enclave_;
    std::unique_ptr<host::ControlServer> control_;
    std::unique_ptr<Connection> keeper_;  // the in-memory database lives as long as this
    host::OperationReport load_report_;
    uint64_t rows_ = 0;
    double data_ms_ = 0;
};

}  // namespace sgxdl::sqlite
