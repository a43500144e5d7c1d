// The insides of sgxdl::host::Enclave.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "host/device.hpp"
#include "host/image_file.hpp"
#include "sgxdl/host.hpp"

namespace sgxdl::host {

// One thread slot of the enclave (TCS) with the memory that host and enclave share for it.
struct Slot {
    HostArea area{};
    uint64_t tcs = 0;
    std::atomic<bool> taken{false};
    std::atomic<uint32_t> wake{0};  // ThreadWake counts it up
};

// The enclave's memory and descriptor; gone when this is.
class Mapping {
 public:
    Mapping(SgxDevice& device, const ImageFile& image);
    ~Mapping();
    Mapping(const Mapping&) = delete;

    int descriptor() const { return descriptor_; }
    uint64_t base() const { return base_; }
    uint64_t size() const { return size_; }

 private:
    void create(const ImageFile& image);
    void map(const ImageFile& image);
    void release();

    SgxDevice& device_;
    int descriptor_ = -1;
    uint64_t base_ = 0, size_ = 0;
};

struct Enclave::Impl {
    explicit Impl(const std::string& image_path, EnclaveOptions options);

    // One ecall on the calling thread.
    Status enter(CallFrame& frame);
    void serve_built_in();
    void note_crash(const CrashReport& report);
    void start_housekeeping(Enclave& enclave);
    void stop_housekeeping();
    // New work for the housekeeping thread.
    void poke();

    EnclaveOptions options;
    std::shared_ptr<SgxDevice> device;
    std::string platform, mrenclave;
    ImageFile image;
    std::unique_ptr<Mapping> mapping;
    double creation_ms = 0;
    std::vector<std::unique_ptr<Slot>> slots;
    struct ServerRow {
        uint64_t id = 0;
        RawServer server;
    };
    std::array<ServerRow, max_call> servers;

    std::mutex driver;     // the driver refuses two ioctls of one enclave at once (EBUSY)
    std::mutex operation;  // load, patch, rollback, unload: one at a time
    std::mutex waiting;    // for a free slot
    std::condition_variable slot_freed;
    std::atomic<uint32_t> waiters{0};

    mutable std::mutex crash_lock;
    std::optional<Crash> crash;
    std::atomic<bool> dead{false};
    std::atomic<bool> started{false};  // some ecall was made

    std::mutex housekeeping_lock;
    std::condition_variable housekeeping_wake;
    bool stop = false, work = false;
    std::thread housekeeper;

 private:
    Slot* take_slot();
    void free_slot(Slot& slot);
    Status run(Slot& slot, CallFrame& frame);
    int64_t serve_one(Slot& slot);
    int64_t trim(unsigned long request, uint64_t offset, uint64_t length);
};

// What the housekeeping thread does until told to stop. Returns the microseconds after which it
// wants to be called again, or 0 when there is nothing left to do.
uint64_t tidy_up(Enclave& enclave, bool everything);

}  // namespace sgxdl::host
