// The benchmark enclave: runs the loops of bench/module/calls.c.
#include "bench/enclave/interface.hpp"
#include "sgxdl/enclave.hpp"

namespace {

using Leaf = int(int);

// What a plain indirect call goes to: the module's leaf, but in the base image.
__attribute__((noipa, aligned(64))) int base_leaf(int x) {
    return x + 1;
}

template <class F>
F* find(const char* name) {
    return reinterpret_cast<F*>(sgxdl_sym("bench", name));
}

int64_t call_loop(sgxdl::bench::Way way, uint64_t count) {
    auto* const direct = find<int(uint64_t)>("bench_direct");
    auto* const pointer = find<int(Leaf*, uint64_t)>("bench_pointer");
    auto* const address = find<Leaf*()>("bench_leaf_address");
    if (!direct || !pointer || !address) return -1;
    switch (way) {
        case sgxdl::bench::Way::direct:
            return direct(count);
        case sgxdl::bench::Way::indirect:
            return pointer(base_leaf, count);
        case sgxdl::bench::Way::canonical:
            return pointer(address(), count);
    }
    return -1;
}

void empty() {}

constexpr sgxdl::EcallRow rows[] = {
    sgxdl::bind<sgxdl::bench::CallLoop, call_loop>(),
    sgxdl::bind<sgxdl::bench::Empty, empty>(),
};

}  // namespace

constinit const sgxdl::Application sgxdl::application = {.ecalls = rows, .start = nullptr};
