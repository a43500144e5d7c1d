// Holds a thread until another lets it go.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace sgxdl::sqlite::test {

class Gate {
 public:
    void close() {
        const std::lock_guard lock(mutex_);
        open_ = false;
    }
    void open() {
        {
            const std::lock_guard lock(mutex_);
            open_ = true;
        }
        changed_.notify_all();
    }
    // Waits while the gate is closed. Returns 0.
    int64_t hold() {
        std::unique_lock lock(mutex_);
        ++held_;
        changed_.notify_all();
        changed_.wait(lock, [this] { return open_; });
        --held_;
        return 0;
    }
    void wait_until_held() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return held_ != 0; });
    }

 private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = true;
    unsigned held_ = 0;
};

}  // namespace sgxdl::sqlite::test
