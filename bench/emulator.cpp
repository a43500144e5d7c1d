// What the emulator costs: an empty entry, EACCEPT and EACCEPTCOPY of a page that EAUG has yet to
// add, and the whole life of a page, on the linked form. Nanoseconds; none of them says anything
// about hardware.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "bench/report.hpp"
#include "tests/emulator/test_enclave.hpp"

namespace sgxdl::bench {

namespace {

using sgxemu_test::Op;
using sgxemu_test::OpCode;
using sgxemu_test::TestEnclave;

constexpr uint64_t fresh = SGX_SECINFO_REG | SGX_SECINFO_R | SGX_SECINFO_W | SGX_SECINFO_PENDING;
constexpr uint64_t trimmed = SGX_SECINFO_TRIM | SGX_SECINFO_MODIFIED;

void require(bool holds, const char* what) {
    if (!holds || testing::Test::HasFailure()) throw std::runtime_error(what);
}

double ns_each(Clock::time_point begin, size_t count) {
    return ms_since(begin) * 1e6 / static_cast<double>(count);
}

double round_trip(TestEnclave& enclave, size_t count) {
    Op op;
    const auto begin = Clock::now();
    for (size_t i = 0; i < count; ++i)
        require(enclave.enter(op).exited(), "an entry did not come back");
    return ns_each(begin, count);
}

// One leaf on `count` pages from the first dynamic one, in one entry.
void loop(TestEnclave& enclave, uint32_t leaf, uint64_t secinfo, size_t count) {
    Op op{.code = OpCode::enclu_loop,
          .a = leaf,
          .b = enclave.put_secinfo(secinfo),
          .c = enclave.dynamic(),
          .d = count};
    op.registers[0] = enclave.data(1);
    require(enclave.enter(op).exited() && op.rax == 0, "a leaf was refused");
}

void remove(TestEnclave& enclave, size_t count) {
    require(enclave.modify_type(enclave.dynamic(), SGX_PT_TRIM, count) == 0, "MODIFY_TYPES");
    loop(enclave, SGX_ENCLU_EACCEPT, trimmed, count);
    require(enclave.remove(enclave.dynamic(), count) == 0, "REMOVE_PAGES");
}

double accept(TestEnclave& enclave, size_t count) {
    const auto begin = Clock::now();
    loop(enclave, SGX_ENCLU_EACCEPT, fresh, count);
    const double took = ns_each(begin, count);
    remove(enclave, count);
    return took;
}

double accept_copy(TestEnclave& enclave, size_t count) {
    const auto begin = Clock::now();
    loop(enclave, SGX_ENCLU_EACCEPTCOPY, SGX_SECINFO_REG | SGX_SECINFO_R | SGX_SECINFO_X, count);
    const double took = ns_each(begin, count);
    remove(enclave, count);
    return took;
}

double page_life(TestEnclave& enclave, size_t count) {
    const auto begin = Clock::now();
    loop(enclave, SGX_ENCLU_EACCEPT, fresh, count);
    remove(enclave, count);
    return ns_each(begin, count);
}

void bench(const Options& options, Report& report) {
    const size_t rounds = options.rounds != 0 ? options.rounds : options.smoke ? 2 : 30;
    const size_t entries = options.smoke ? 100 : 5000;
    const size_t pages = options.smoke ? 32 : 512;
    sgxemu_test::Options enclave_options;
    enclave_options.pages = 2048;
    TestEnclave enclave(enclave_options);
    Series trap{"roundtrip_trap_ns", {}}, eaccept{"eaccept_ns", {}},
        eacceptcopy{"eacceptcopy_ns", {}}, life{"page_life_ns", {}};
    for (size_t i = 0; i < rounds; ++i) {
        trap.samples.push_back(round_trip(enclave, entries));
        eaccept.samples.push_back(accept(enclave, pages));
        eacceptcopy.samples.push_back(accept_copy(enclave, pages));
        life.samples.push_back(page_life(enclave, pages));
    }
    for (const Series& series : {trap, eaccept, eacceptcopy, life})
        report.add(series);
    report.note("pages_at_a_time", pages);
    report.note("platform", "emulator, linked");
}

}  // namespace

}  // namespace sgxdl::bench

int main(int argc, char** argv) {
    return sgxdl::bench::run(argc, argv, "emulator", "What entries and EDMM cost on the emulator.",
                             sgxdl::bench::bench);
}
