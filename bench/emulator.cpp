// What the emulator costs: an empty round trip (EENTER, EEXIT), EACCEPT, EACCEPTCOPY, and the whole
// life of a page (EAUG, EACCEPT, EMODT, EACCEPT, EREMOVE), nanoseconds each; and an empty ecall of
// our own runtime through the host library.
//
// In the preload form; the enclave is that of tests/emulator. Accepted pages were absent, so EAUG
// and the host's change of protection are in the figure. `trap` and `fast`: the two ways to catch
// ENCLU (MachineConfig::entry).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "bench/enclave/interface.hpp"
#include "bench/report.hpp"
#include "emulator/sgxemu.hpp"
#include "sgxdl/host.hpp"
#include "tests/emulator/test_enclave.hpp"

namespace sgxdl::bench {

namespace {

using sgxemu_test::Op;
using sgxemu_test::OpCode;
using sgxemu_test::TestEnclave;

constexpr uint64_t reg = SGX_SECINFO_REG;
constexpr uint64_t read_write = reg | SGX_SECINFO_R | SGX_SECINFO_W;
constexpr uint64_t read_execute = reg | SGX_SECINFO_R | SGX_SECINFO_X;
// Pages trimmed by one ioctl (docs/architecture.md: runs of at most 16).
constexpr size_t run = 16;

double ns_since(Clock::time_point begin, size_t count) {
    return ms_since(begin) * 1e6 / static_cast<double>(count);
}

void require(bool right, const char* what) {
    if (!right) throw std::runtime_error(fmt::format("{} went wrong", what));
}

class Pages {
 public:
    explicit Pages(size_t count)
        : enclave_({.pages = std::max<size_t>(2 * TestEnclave::dynamic_page, 2048)}),
          count_(count) {
        source_ = enclave_.dynamic(count);
        enclave_.commit(source_);
    }

    // EACCEPT of absent pages; they are there afterwards.
    double accept() { return each(SGX_ENCLU_EACCEPT, put(read_write | SGX_SECINFO_PENDING)); }
    double accept_copy() { return each(SGX_ENCLU_EACCEPTCOPY, put(read_execute)); }

    void remove() {
        for (size_t i = 0; i < count_; i += run) {
            const size_t n = std::min(run, count_ - i);
            const uint64_t first = enclave_.dynamic(i);
            require(enclave_.modify_type(first, SGX_PT_TRIM, n) == 0, "MODIFY_TYPES");
            loop(SGX_ENCLU_EACCEPT, put(SGX_SECINFO_TRIM | SGX_SECINFO_MODIFIED), first, n);
            require(enclave_.remove(first, n) == 0, "REMOVE_PAGES");
        }
    }

 private:
    uint64_t put(uint64_t flags) { return enclave_.put_secinfo(flags); }

    void loop(uint64_t leaf, uint64_t secinfo, uint64_t first, size_t count) {
        Op op{.code = OpCode::enclu_loop, .a = leaf, .b = secinfo, .c = first, .d = count};
        op.registers[0] = source_;
        require(enclave_.enter(op).exited() && op.rax == SGX_SUCCESS, "an ENCLU");
    }

    double each(uint64_t leaf, uint64_t secinfo) {
        const auto begin = Clock::now();
        loop(leaf, secinfo, enclave_.dynamic(), count_);
        return ns_since(begin, count_);
    }

    TestEnclave enclave_;
    size_t count_;
    uint64_t source_ = 0;
};

double round_trip(TestEnclave& enclave, size_t count) {
    Op op;
    const auto begin = Clock::now();
    for (size_t i = 0; i < count; ++i)
        require(enclave.enter(op).exited(), "an entry");
    return ns_since(begin, count);
}

double empty_ecall(host::Enclave& enclave, size_t count) {
    const auto begin = Clock::now();
    for (size_t i = 0; i < count; ++i)
        require(static_cast<bool>(enclave.call<Empty>()), "an ecall");
    return ns_since(begin, count);
}

struct Figures {
    Series round_trip{"roundtrip_ns", {}}, accept{"eaccept_ns", {}},
        accept_copy{"eacceptcopy_ns", {}}, life{"page_life_ns", {}}, ecall{"empty_ecall_ns", {}};
};

Figures measure(sgxemu::EncluEntry entry, const Options& options) {
    const size_t rounds = options.rounds ? options.rounds : options.smoke ? 2 : 51;
    const size_t trips = options.smoke ? 100 : 5000, pages = options.smoke ? 32 : 512;
    require(sgxemu::configure({.entry = entry}) == 0, "configuring the machine");
    Figures figures;
    {
        TestEnclave enclave;
        round_trip(enclave, trips);  // warm up
        for (size_t i = 0; i < rounds; ++i)
            figures.round_trip.samples.push_back(round_trip(enclave, trips));
    }
    {
        Pages work(pages);
        for (size_t i = 0; i < rounds; ++i) {
            const auto begin = Clock::now();
            figures.accept.samples.push_back(work.accept());
            work.remove();
            figures.life.samples.push_back(ns_since(begin, pages));
            figures.accept_copy.samples.push_back(work.accept_copy());
            work.remove();
        }
    }
    host::Enclave enclave(SGXDL_BENCH_IMAGE);
    empty_ecall(enclave, trips / 10);
    for (size_t i = 0; i < rounds; ++i)
        figures.ecall.samples.push_back(empty_ecall(enclave, trips));
    return figures;
}

void add(Report& report, const Series& series, const std::string& key) {
    report.add({key, series.samples});
}

void run_all(const Options& options, Report& report) {
    const Figures trap = measure(sgxemu::EncluEntry::trap, options);
    const Figures fast = measure(sgxemu::EncluEntry::fast, options);
    report.note("form", std::string("preload"));
    report.note("enclu_default", std::string("fast"));
    add(report, trap.round_trip, "roundtrip_trap_ns");
    add(report, fast.round_trip, "roundtrip_fast_ns");
    add(report, fast.accept, "eaccept_ns");
    add(report, fast.accept_copy, "eacceptcopy_ns");
    add(report, fast.life, "page_life_ns");
    add(report, trap.accept, "eaccept_trap_ns");
    add(report, trap.accept_copy, "eacceptcopy_trap_ns");
    add(report, trap.life, "page_life_trap_ns");
    add(report, trap.ecall, "empty_ecall_trap_ns");
    add(report, fast.ecall, "empty_ecall_fast_ns");
}

}  // namespace

}  // namespace sgxdl::bench

int main(int argc, char** argv) {
    // A failed expectation of the test enclave is an error here.
    testing::GTEST_FLAG(throw_on_failure) = true;
    return sgxdl::bench::run(argc, argv, "emulator", "What the emulator's instructions cost.",
                             sgxdl::bench::run_all);
}
