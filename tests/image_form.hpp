// Which of an enclave's two signed images the tests run with. CMake registers them once for each:
// SGXDL_TEST_FORM=static in the environment is the image for machines without SGX2.
#pragma once

#include <cstdlib>
#include <string_view>

#include "emulator/sgxemu.hpp"
#include "sgxdl/host.hpp"

namespace sgxdl::test {

inline bool static_form() {
    const char* const form = std::getenv("SGXDL_TEST_FORM");
    return form != nullptr && std::string_view(form) == "static";
}

struct Pages {
    size_t in_use, executable;
};

// Pages of the enclave that are in use. Dynamic ones are counted in the emulator's EPCM, not by the
// enclave's own records. Static ones never come or go in the EPCM: there the enclave's record is
// all that there is.
inline Pages count_pages(host::Enclave& enclave) {
    if (!static_form()) {
        const sgxemu::EpcCount epc = sgxemu::epc_count(enclave.descriptor());
        return {epc.valid, epc.executable};
    }
    const auto counters = enclave.call<GetCounters>();
    const auto info = enclave.info();
    if (!counters || !info) throw host::Error(counters.message() + info.message());
    return {counters.value.pages_committed + counters.value.record_pages,
            info.value.arena_pages_code};
}

}  // namespace sgxdl::test
