// Codes and crashes as text.

#include <cstdio>

#include "enclave/loader/result.hpp"
#include "sgxdl/host.hpp"

namespace sgxdl::host {

const char* status_text(Status status) {
    switch (static_cast<uint64_t>(status)) {
        // The loader core's codes, from its own list.
#define SGXDL_ERROR(name, text)             \
    case static_cast<uint64_t>(Code::name): \
        return text;
#include "enclave/loader/errors.def"
#undef SGXDL_ERROR
#define SGXDL_CALL_STATUS(name, text)         \
    case static_cast<uint64_t>(Status::name): \
        return text;
#include "enclave/interface/status.def"
#undef SGXDL_CALL_STATUS
        default:
            return "unknown status";
    }
}

namespace {

std::string joined(Status status, const std::string& context) {
    std::string text = status_text(status);
    if (!context.empty()) text += ": " + context;
    return text;
}

}  // namespace

std::string CallOutcome::message() const {
    return joined(status, context);
}
std::string OperationReport::message() const {
    return joined(status, context);
}

std::string Crash::message() const {
    char line[160];
    switch (kind) {
        case CrashKind::exception:
            snprintf(line, sizeof(line),
                     "%s (vector %lu, error code %#lx, address %#lx) at offset "
                     "%#lx, thread %lu",
                     text.c_str(), vector, error_code, address, rip, thread);
            return line;
        case CrashKind::startup:
            return "start failed: " + text;
        default:
            snprintf(line, sizeof(line), " at offset %#lx, thread %lu", rip, thread);
            return text + line;
    }
}

}  // namespace sgxdl::host
