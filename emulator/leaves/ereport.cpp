// EREPORT: a statement about this enclave that one other enclave on this machine can verify.
#include <algorithm>
#include <cstring>

#include "emulator/keys.hpp"
#include "emulator/leaves/leaf.hpp"
#include "emulator/machine.hpp"

namespace sgxemu {

namespace {

template <size_t n>
bool all_zero(const uint8_t (&bytes)[n]) {
    return std::all_of(std::begin(bytes), std::end(bytes), [](uint8_t b) { return b == 0; });
}

sgx_report make_report(const Enclave& enclave, const sgx_reportdata& data) {
    const sgx_secs& secs = enclave.secs;
    sgx_report report{};
    std::copy(cpu_svn.begin(), cpu_svn.end(), report.cpu_svn);
    report.miscselect = secs.miscselect;
    std::copy_n(enclave.isv_ext_prod_id, sizeof(report.isv_ext_prod_id), report.isv_ext_prod_id);
    report.attributes = secs.attributes;
    std::copy_n(secs.mrenclave, sizeof(report.mrenclave), report.mrenclave);
    std::copy_n(secs.mrsigner, sizeof(report.mrsigner), report.mrsigner);
    std::copy_n(secs.config_id, sizeof(report.config_id), report.config_id);
    report.isv_prod_id = secs.isv_prod_id;
    report.isv_svn = secs.isv_svn;
    report.config_svn = secs.config_svn;
    std::copy_n(enclave.isv_family_id, sizeof(report.isv_family_id), report.isv_family_id);
    std::copy_n(data.bytes, sizeof(report.report_data), report.report_data);
    const auto& key_id = machine().report_key_id;
    std::copy(key_id.begin(), key_id.end(), report.key_id);
    return report;
}

}  // namespace

bool targetinfo_has_reserved_bits(LeafRun& run) {
    run.target = *run.enclave.at<sgx_targetinfo>(run.operands.rbx);
    const sgx_targetinfo& target = run.target;
    return target.reserved1 != 0 || !all_zero(target.reserved2) || !all_zero(target.reserved3);
}

void ereport(LeafRun& run) {
    sgx_reportdata data;
    std::memcpy(&data, run.enclave.bytes(run.operands.rcx), sizeof(data.bytes));
    sgx_report report = make_report(run.enclave, data);
    const Key key = derive_key(report_key_dependencies(run.target, report.key_id));
    const Key mac = aes_cmac(key, &report, offsetof(sgx_report, key_id));
    std::copy(mac.begin(), mac.end(), report.mac);
    std::memcpy(run.enclave.bytes(run.operands.rdx), &report, sizeof(report));
}

}  // namespace sgxemu
