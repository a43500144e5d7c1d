// Marshalling, ocalls and nesting.

#include <algorithm>
#include <thread>

#include "enclave/loader/result.hpp"
#include "tests/enclave/fixture.hpp"

// host/enter.S
extern "C" int sgxdl_host_enter(uint64_t rdi, uint64_t rsi, uint64_t rdx, unsigned function,
                                sgx_enclave_run* run, vdso_sgx_enter_enclave_t enter);

namespace sgxdl::test {

using Calls = EnclaveTest;

TEST_F(Calls, EchoReturnsWhatWasSent) {
    std::array<char, 64> storage;
    host::OutTo<char> reply{storage};
    const auto outcome = enclave.call<Echo>(std::string_view("hello enclave"), reply);
    ASSERT_TRUE(outcome) << outcome.message();
    EXPECT_EQ(outcome.value, 13u);
    EXPECT_EQ(std::string_view(storage.data(), reply.count), "hello enclave");
}

// Every length and alignment: buffers that are not whole words must not touch their neighbours.
TEST_F(Calls, BuffersOfAnySizeAndAlignment) {
    std::array<char, 128> source;
    for (size_t i = 0; i < source.size(); ++i)
        source[i] = static_cast<char>('A' + i % 50);
    for (size_t offset = 0; offset < 9; ++offset) {
        for (size_t size = 0; size < 40; ++size) {
            std::array<char, 128> target;
            target.fill('.');
            host::OutTo<char> reply{std::span<char>(target).subspan(offset, size)};
            const auto outcome =
                enclave.call<Echo>(std::span<const char>(source).subspan(offset, size), reply);
            ASSERT_TRUE(outcome) << outcome.message();
            ASSERT_EQ(reply.count, size);
            ASSERT_TRUE(std::equal(source.begin() + static_cast<long>(offset),
                                   source.begin() + static_cast<long>(offset + size),
                                   target.begin() + static_cast<long>(offset)));
            ASSERT_EQ(std::count(target.begin(), target.end(), '.'),
                      static_cast<long>(target.size() - size));
        }
    }
}

TEST_F(Calls, EveryKindOfParameter) {
    const std::vector<uint16_t> numbers = {1, 2, 300};
    const auto outcome = enclave.call<Mix>(uint8_t{7}, int32_t{-5}, numbers, true);
    ASSERT_TRUE(outcome) << outcome.message();
    EXPECT_EQ(outcome.value.small, 7);
    EXPECT_EQ(outcome.value.negative, -5);
    EXPECT_EQ(outcome.value.sum, 303u);
    EXPECT_TRUE(outcome.value.flag);
}

TEST_F(Calls, ErrorsCarryCodeAndText) {
    const auto outcome = enclave.call<Fail>(std::string_view("why\0", 4));
    EXPECT_EQ(static_cast<uint64_t>(outcome.status), static_cast<uint64_t>(Code::in_use));
    EXPECT_EQ(outcome.message(), "still in use: why");
}

TEST_F(Calls, BufferInsideTheEnclaveIsRefused) {
    const char* const inside = static_cast<const char*>(enclave.base());
    const auto first = enclave.call<Fail>(std::span<const char>(inside, 16));
    EXPECT_EQ(first.status, Status::bad_buffer);
    // Straddles the end.
    const auto last = enclave.call<Fail>(std::span<const char>(inside + enclave.size() - 8, 16));
    EXPECT_EQ(last.status, Status::bad_buffer);
    // Straddles the beginning.
    EXPECT_EQ(enclave.call<Fail>(std::span<const char>(inside - 8, 16)).status, Status::bad_buffer);
    // An unaligned one whose first word, and nothing else, is inside.
    EXPECT_EQ(enclave.call<Fail>(std::span<const char>(inside + enclave.size() - 1, 4)).status,
              Status::bad_buffer);
    host::OutTo<char> out{std::span<char>(const_cast<char*>(inside), 64)};
    EXPECT_EQ(enclave.call<Echo>(std::string_view("x"), out).status, Status::bad_buffer);
    host::OutTo<char> end{std::span<char>(const_cast<char*>(inside) - 8, 16)};
    EXPECT_EQ(enclave.call<Echo>(std::string_view("x"), end).status, Status::bad_buffer);
    EXPECT_TRUE(enclave.call<Empty>());
}

TEST_F(Calls, WrappingAndHugeBuffersAreRefused) {
    const auto* const top = reinterpret_cast<const char*>(UINT64_MAX - 7);
    EXPECT_EQ(enclave.call<Fail>(std::span<const char>(top, 64)).status, Status::bad_buffer);
    std::vector<char> large(5000);
    host::OutTo<char> none;
    EXPECT_EQ(enclave.call<Echo>(large, none).status, Status::buffer_too_large);
    EXPECT_EQ(enclave.call<Echo>(std::span<const char>(large.data(), SIZE_MAX / 2), none).status,
              Status::buffer_too_large);
}

TEST_F(Calls, UnknownCallIsRefused) {
    using Unknown = Ecall<200, void()>;
    EXPECT_EQ(enclave.call<Unknown>().status, Status::unknown_call);
    // The number exists, the parameters are others.
    using Other = Ecall<64, uint64_t(uint64_t, uint64_t)>;
    EXPECT_EQ(enclave.call<Other>(1u, 2u).status, Status::unknown_call);
}

// The frame itself, by entering without the library.
TEST_F(Calls, FrameInsideTheEnclaveIsRefused) {
    SGXDL_NEED_EMULATOR(enclave);
    ASSERT_TRUE(enclave.call<Empty>());
    auto area = std::make_unique<HostArea>();
    CallFrame frame = {};
    frame.id = Empty::id;
    // The last thread slot, which the library has not used in this test.
    const uint64_t base = reinterpret_cast<uint64_t>(enclave.base());
    const uint64_t tcs = base + enclave.tcs_offset(enclave.thread_count() - 1);
    const auto enter = [&](Entry entry, const void* a, const void* f) {
        sgx_enclave_run run = {};
        run.tcs = tcs;
        area->exit_reason = 0;
        area->refusal = 0;
        EXPECT_EQ(sgxdl_host_enter(static_cast<uint64_t>(entry), reinterpret_cast<uint64_t>(a),
                                   reinterpret_cast<uint64_t>(f), 2 /* EENTER */, &run,
                                   sgxemu::sgxemu_enter_enclave),
                  0);
        EXPECT_EQ(run.function, 4u);  // EEXIT
        return static_cast<Exit>(const_cast<volatile uint64_t&>(area->exit_reason));
    };
    EXPECT_EQ(enter(Entry::ecall, area.get(), &frame), Exit::done);
    EXPECT_EQ(enter(Entry::ecall, area.get(), enclave.base()), Exit::refused);
    EXPECT_EQ(area->refusal, static_cast<uint64_t>(Status::bad_frame));
    EXPECT_EQ(enter(Entry::ecall, area.get(), reinterpret_cast<char*>(&frame) + 4), Exit::refused);
    EXPECT_EQ(enter(static_cast<Entry>(77), area.get(), &frame), Exit::refused);
    EXPECT_EQ(area->refusal, static_cast<uint64_t>(Status::bad_entry));
    // No ocall to return from, no exception to handle.
    EXPECT_EQ(enter(Entry::ocall_return, area.get(), &frame), Exit::refused);
    EXPECT_EQ(area->refusal, static_cast<uint64_t>(Status::no_ocall));
    EXPECT_EQ(enter(Entry::exception, area.get(), &frame), Exit::refused);
    // An area inside the enclave: nothing is written anywhere.
    EXPECT_EQ(enter(Entry::ecall, enclave.base(), &frame), Exit::none);
    EXPECT_EQ(enter(Entry::ecall, area.get(), &frame), Exit::done);
}

TEST_F(Calls, OcallAnswersAreRangeChecked) {
    int64_t answer = 0;
    enclave.serve<Ask>([&](int64_t value) { return answer + value; });
    answer = 5;
    EXPECT_EQ(enclave.call<Relay>(false, 37).value, 42);
    answer = 1001;
    EXPECT_EQ(enclave.call<Relay>(false, 0).value, -1);
    answer = -1;
    EXPECT_EQ(enclave.call<Relay>(false, 0).value, -1);
    answer = INT64_MIN;
    EXPECT_EQ(enclave.call<Relay>(false, 0).value, -1);
    // Nobody serves it.
    EXPECT_EQ(enclave.call<Relay>(true, 1).value, -1);
}

TEST_F(Calls, OcallBuffersTravelBothWays) {
    enclave.serve<Transform>([](std::span<const uint8_t> in, std::span<uint8_t> out) {
        for (size_t i = 0; i < in.size(); ++i)
            out[i] = static_cast<uint8_t>(~in[i]);
        return static_cast<int64_t>(in.size());
    });
    for (const uint64_t size : {1u, 7u, 8u, 9u, 1000u, 20000u}) {
        EXPECT_EQ(enclave.call<Swap>(size).value, 0u) << size;
    }
}

TEST_F(Calls, NestedEcallNeedsThePermissionOfItsOcall) {
    host::CallOutcome refused, allowed;
    enclave.serve<Ask>([&](int64_t value) {
        refused = enclave.call<Empty>();
        return value;
    });
    enclave.serve<AskNested>([&](int64_t value) {
        allowed = enclave.call<Empty>();
        return value;
    });
    EXPECT_EQ(enclave.call<Relay>(false, 3).value, 3);
    EXPECT_EQ(refused.status, Status::nested_refused);
    EXPECT_EQ(enclave.call<Relay>(true, 4).value, 4);
    EXPECT_EQ(allowed.status, Status::ok) << allowed.message();
}

TEST_F(Calls, NestingHasALimit) {
    int depth = 0;
    Status deepest = Status::ok;
    enclave.serve<AskNested>([&](int64_t value) {
        ++depth;
        const auto outcome = enclave.call<Relay>(true, value);
        if (!outcome) deepest = outcome.status;
        return outcome ? outcome.value + 1 : int64_t{0};
    });
    const auto outcome = enclave.call<Relay>(true, 0);
    ASSERT_TRUE(outcome) << outcome.message();
    EXPECT_EQ(deepest, Status::nested_too_deep);
    EXPECT_EQ(depth, 8);
    EXPECT_EQ(outcome.value, 7);
}

TEST_F(Calls, ProcessorStateIsCleanAtEntry) {
    SGXDL_NEED_EMULATOR(enclave);
    ASSERT_TRUE(enclave.call<Empty>());
    // Alignment checks, direction, rounding modes and unmasked exceptions of the host must not get
    // in; the host's own must come back.
    const uint32_t host_mxcsr = 0x7f80;
    const uint16_t host_x87 = 0x0f7f;
    asm volatile("ldmxcsr %0; fldcw %1" : : "m"(host_mxcsr), "m"(host_x87));
    const auto inside = enclave.call<GetProcessor>();
    uint32_t mxcsr;
    uint16_t x87;
    asm volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(x87));
    const uint32_t usual_mxcsr = 0x1f80;
    const uint16_t usual_x87 = 0x037f;
    asm volatile("ldmxcsr %0; fldcw %1" : : "m"(usual_mxcsr), "m"(usual_x87));
    ASSERT_TRUE(inside) << inside.message();
    EXPECT_EQ(inside.value.mxcsr, 0x1f80u);
    EXPECT_EQ(inside.value.x87_control, 0x037f);
    EXPECT_EQ(inside.value.flags & 0x40400u, 0u);  // AC, DF
    EXPECT_EQ(mxcsr, host_mxcsr);
    EXPECT_EQ(x87, host_x87);
}

}  // namespace sgxdl::test
