// What the loader's fuzz targets share: a loader of its own for each input, a vendor key that the
// target knows (so that every input gets past the signature and the decoder is really reached), and
// the check that an operation which failed left nothing behind.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "enclave/hosted/hosted_platform.hpp"
#include "enclave/loader/loader.hpp"

namespace sgxdl::fuzz {

// How an input's first bytes steer the operation; the rest is the payload.
struct Plan {
    bool by_name = false;     // load only the functions `one` and `two`
    bool split = false;       // feed the payload in two parts
    uint32_t fail_after = 0;  // the n-th request to the platform fails; 0: none
};
inline constexpr size_t plan_size = 2;  // bytes
Plan read_plan(const uint8_t* bytes);

// Names for begin_bundle: "one" and "two".
std::span<const char> two_names();

// A header for `payload`, signed with the test vendor's key.
sgxdl_bundle_header signed_header(sgxdl_bundle_kind kind, const char* module,
                                  std::span<const uint8_t> payload, uint32_t flags = 0);
// Signs what is there already (a mutated header); `payload` gives size and digest.
void sign(sgxdl_bundle_header& header, std::span<const uint8_t> payload);
// The digest by which a patch names its base.
void digest(const sgxdl_bundle_header& header, uint8_t out[32]);

// A loader in a fresh arena. Its destruction checks that all pages and heap blocks came back.
class Subject {
 public:
    Subject();
    ~Subject();
    Loader& loader() { return *loader_; }

    // Runs the operation that `begin` begins, to its end, and returns whether it succeeded. On an
    // error the footprint must be what it was at construction or at the last settle(). The core
    // may keep heap blocks as room for records that it reserved, but no more when the same fails
    // again.
    bool run(const std::function<Result<void>()>& begin, std::span<const uint8_t> payload,
             const Plan& plan);
    // Frees all that can be freed, and takes the state as it is now for the new footprint.
    void settle();

 private:
    struct Footprint {
        uint64_t generation, units;
        uint32_t modules, stubs, live;
        size_t pages, blocks;
        bool operator==(const Footprint&) const = default;
    };
    Footprint footprint();
    bool attempt(const std::function<Result<void>()>& begin, std::span<const uint8_t> payload,
                 const Plan& plan);
    void require_settled(bool blocks_too);
    void reclaim_all();

    size_t blocks_before_;
    Platform* platform_;
    Loader* loader_;
    Footprint settled_{};
    Error error_;  // of the last attempt
};

// Stops with a message when `condition` does not hold: a finding.
void require(bool condition, const char* what);

}  // namespace sgxdl::fuzz
