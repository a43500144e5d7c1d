// SECINFO operands. The first condition copies the operand, which the row before has made sure is
// there; nothing reads it again.
#include "emulator/leaves/rules.hpp"

namespace sgxemu {

bool secinfo_has_reserved_bits(LeafRun& run) {
    run.secinfo = *run.enclave.at<sgx_secinfo>(run.operands.rbx);
    return has_reserved_bits(run.secinfo);
}

bool secinfo_writes_without_reading(LeafRun& run) {
    return (run.secinfo.flags & SGX_SECINFO_W) && !(run.secinfo.flags & SGX_SECINFO_R);
}

bool secinfo_is_not_regular(LeafRun& run) {
    return (run.secinfo.flags & SGX_SECINFO_PT_MASK) != SGX_SECINFO_REG;
}

}  // namespace sgxemu
