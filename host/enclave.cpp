// Enclave: creation and the public face. Calls are in call.cpp, operations in operations.cpp.

#include <chrono>

#include "host/enclave_impl.hpp"
#include "sgxdl/arch/sgx.h"

namespace sgxdl::host {

namespace {

std::string hex(std::span<const uint8_t> bytes) {
    static const char digits[] = "0123456789abcdef";
    std::string text;
    for (const uint8_t byte : bytes) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

}  // namespace

Enclave::Impl::Impl(const std::string& image_path, EnclaveOptions chosen)
    : options(std::move(chosen)) {
    const auto begin = std::chrono::steady_clock::now();
    device = choose_device(&platform);
    image = read_image_file(image_path);
    mrenclave = hex(image.header.mrenclave);
    try {
        mapping = std::make_unique<Mapping>(*device, image);
    } catch (const Error& error) {
        throw Error(image_path + ": " + error.what());
    }
    for (uint32_t i = 0; i < image.header.thread_count; ++i) {
        auto slot = std::make_unique<Slot>();
        slot->tcs = mapping->base() + image.header.tcs_offset + i * image.header.tcs_stride;
        slots.push_back(std::move(slot));
    }
    image.bytes.clear();
    image.bytes.shrink_to_fit();
    serve_built_in();
    creation_ms =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

void Enclave::Impl::note_crash(const CrashReport& report) {
    Crash noted;
    noted.kind = static_cast<CrashKind>(report.kind);
    noted.vector = report.vector;
    noted.error_code = report.error_code;
    noted.address = report.address;
    noted.rip = report.rip;
    noted.thread = report.thread;
    const char* const text = reinterpret_cast<const char*>(report.text);
    noted.text.assign(text, strnlen(text, sizeof(report.text)));
    std::lock_guard guard(crash_lock);
    if (!crash) crash = std::move(noted);
    dead.store(true, std::memory_order_relaxed);
}

Enclave::Enclave(const std::string& image_path, EnclaveOptions options)
    : impl_(std::make_unique<Impl>(image_path, std::move(options))) {
    if (impl_->options.housekeeping) impl_->start_housekeeping(*this);
}

Enclave::~Enclave() {
    impl_->stop_housekeeping();  // it makes ecalls: before anything of the enclave goes
}

const std::string& Enclave::platform() const {
    return impl_->platform;
}
const std::string& Enclave::mrenclave() const {
    return impl_->mrenclave;
}
bool Enclave::w_xor_x() const {
    return !impl_->image.static_pages();
}
double Enclave::creation_ms() const {
    return impl_->creation_ms;
}
int Enclave::descriptor() const {
    return impl_->mapping->descriptor();
}
const void* Enclave::base() const {
    return reinterpret_cast<void*>(impl_->mapping->base());
}
uint64_t Enclave::size() const {
    return impl_->mapping->size();
}
uint32_t Enclave::thread_count() const {
    return impl_->image.header.thread_count;
}

uint64_t Enclave::tcs_offset(uint32_t thread) const {
    return impl_->image.header.tcs_offset + thread * impl_->image.header.tcs_stride;
}

std::optional<Crash> Enclave::crash() const {
    std::lock_guard guard(impl_->crash_lock);
    return impl_->crash;
}

Status Enclave::enter(CallFrame& frame) {
    return impl_->enter(frame);
}

void Enclave::serve_raw(uint64_t id, RawServer server) {
    const uint32_t number = static_cast<uint32_t>(id);
    if (number >= max_call) throw Error("ocall number out of range");
    impl_->servers[number] = {id, std::move(server)};
}

std::string Enclave::context_of(Status status, const CallFrame& frame) const {
    if (status == Status::crashed) {
        const std::optional<Crash> why = crash();
        return why ? why->message() : std::string();
    }
    // The frame's text is complete only when the enclave wrote the frame's status.
    if (frame.status != static_cast<uint64_t>(status)) return {};
    const char* const text = reinterpret_cast<const char*>(frame.context);
    return {text, strnlen(text, sizeof(frame.context))};
}

}  // namespace sgxdl::host
