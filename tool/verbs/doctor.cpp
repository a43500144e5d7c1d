// sgxdl doctor: what this machine can do for enclaves, and what stands in the way.
//
// CPUID is executed natively by this process (SDM volume 3D, "Intel SGX Resource Enumeration
// Leaves": leaf 7 and leaf 0x12). Kernel side: Documentation/x86/sgx.rst; EDMM came with Linux 6.0.
#include <cpuid.h>
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string_view>

#include <nlohmann/json.hpp>

#include "emulator/settings.hpp"
#include "tool/front/error.hpp"
#include "tool/verbs/verbs.hpp"

namespace sgxdl::tool {
namespace {

using nlohmann::json;

constexpr const char* device = "/dev/sgx_enclave";

struct Registers {
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
    Registers r;
    if (static_cast<uint32_t>(__get_cpuid_max(0, nullptr)) < leaf) return r;
    __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
    return r;
}

json processor() {
    Registers seven = cpuid(7, 0);
    bool sgx = (seven.ebx >> 2) & 1;
    json out{{"sgx", sgx},
             {"sgx1", false},
             {"sgx2", false},
             {"launch_control", static_cast<bool>((seven.ecx >> 30) & 1)},
             {"fsgsbase", static_cast<bool>(seven.ebx & 1)},
             {"epc_bytes", 0},
             {"xfrm", 0}};
    if (!sgx) return out;
    Registers capability = cpuid(0x12, 0);
    out["sgx1"] = static_cast<bool>(capability.eax & 1);
    out["sgx2"] = static_cast<bool>((capability.eax >> 1) & 1);
    out["max_enclave_bits"] = (capability.edx >> 8) & 0xFF;
    Registers attributes = cpuid(0x12, 1);
    out["xfrm"] = uint64_t{attributes.edx} << 32 | attributes.ecx;
    uint64_t epc = 0;
    // Sub-leaves 2 and up list EPC sections until one of type 0.
    for (uint32_t i = 2; i < 32; i++) {
        Registers section = cpuid(0x12, i);
        if ((section.eax & 0xF) != 1) break;
        epc += (uint64_t{section.edx & 0xFFFFF} << 32) | (section.ecx & 0xFFFFF000);
    }
    out["epc_bytes"] = epc;
    return out;
}

std::string open_result(const char* path) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return strerror(errno);
    close(fd);
    return "ok";
}

// A shared mapping that is readable, writable and executable, as the enclave's window is in the
// page tables. systemd's MemoryDenyWriteExecute and SELinux forbid it for some services.
std::string writable_executable_mapping() {
    int fd = static_cast<int>(memfd_create("sgxdl-doctor", MFD_CLOEXEC));
    if (fd < 0) return fmt::format("memfd_create: {}", strerror(errno));
    std::string result = "ok";
    if (ftruncate(fd, 4096) != 0) result = fmt::format("ftruncate: {}", strerror(errno));
    void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        result = strerror(errno);
    } else {
        munmap(page, 4096);
    }
    close(fd);
    return result;
}

// The kernel's entry function for enclaves (linux/arch/x86/entry/vdso/vsgx.S), by its name in the
// symbol strings of the vDSO, all of which its one loaded segment holds.
bool has_vdso_entry() {
    const unsigned long begin = getauxval(AT_SYSINFO_EHDR);
    if (begin == 0) return false;
    const auto* header = reinterpret_cast<const Elf64_Ehdr*>(begin);
    const auto* segments = reinterpret_cast<const Elf64_Phdr*>(begin + header->e_phoff);
    for (size_t i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type != PT_LOAD) continue;
        std::string_view image(reinterpret_cast<const char*>(begin), segments[i].p_memsz);
        if (image.find("__vdso_sgx_enter_enclave") != std::string_view::npos) return true;
    }
    return false;
}

json system_state() {
    utsname name{};
    uname(&name);
    int major = 0;
    int minor = 0;
    sscanf(name.release, "%d.%d", &major, &minor);
    struct statvfs dev {};
    bool noexec = statvfs("/dev", &dev) == 0 && (dev.f_flag & ST_NOEXEC) != 0;
    long map_count = 0;
    std::ifstream("/proc/sys/vm/max_map_count") >> map_count;
    constexpr unsigned long hwcap2_fsgsbase = 2;  // <asm/hwcap2.h>
    return {{"kernel", name.release},
            {"kernel_has_edmm", major >= 6},
            {"device", open_result(device)},
            {"dev_noexec", noexec},
            {"writable_executable_mapping", writable_executable_mapping()},
            {"vdso_sgx_enter_enclave", has_vdso_entry()},
            {"kernel_fsgsbase", (getauxval(AT_HWCAP2) & hwcap2_fsgsbase) != 0},
            {"max_map_count", map_count}};
}

// The platform that an enclave would get, and what to change for a better one.
void judge(json& out) {
    const json& cpu = out["processor"];
    const json& system = out["system"];
    std::vector<std::string> advice;
    bool device_ok = system["device"] == "ok";
    bool mapping_ok = system["writable_executable_mapping"] == "ok";
    std::string platform = "none";
    std::string w_xor_x = "no";
    bool sgx2 = false;
    if (device_ok && !system["dev_noexec"].get<bool>()) {
        sgx2 = cpu["sgx2"].get<bool>() && system["kernel_has_edmm"].get<bool>();
        platform = sgx2 ? "sgx2" : "sgx1";
        w_xor_x = sgx2 ? "yes" : "no";
        if (!mapping_ok) {
            advice.push_back(
                fmt::format("writable and executable mappings are refused ({}): lift "
                            "MemoryDenyWriteExecute for the service",
                            system["writable_executable_mapping"].get<std::string>()));
        }
    } else if (mapping_ok && system["kernel_fsgsbase"].get<bool>()) {
        platform = "emulator";
        sgxemu::MachineConfig machine;
        if (const char* wrong = sgxemu::read_settings(machine)) front::fail("{}", wrong);
        sgx2 = machine.sgx2;
        w_xor_x = sgx2 ? "yes" : "no";
        advice.push_back("enclaves run on the emulator, which protects nothing from this machine");
    } else {
        advice.push_back(
            "neither SGX nor the emulator can run here (the emulator needs FSGSBASE "
            "and writable and executable shared mappings)");
    }
    if (device_ok && system["dev_noexec"].get<bool>()) {
        advice.push_back(
            "/dev is mounted noexec, so enclave pages cannot be executed: remount it "
            "with exec");
    }
    if (cpu["sgx"].get<bool>() && !device_ok) {
        advice.push_back(
            fmt::format("the processor has SGX but {} says: {} (BIOS setting, kernel "
                        "configuration, or the sgx group)",
                        device, system["device"].get<std::string>()));
    }
    if (const char* model = std::getenv("SGXEMU_COSTS")) {
        out["cost_model"] = model;
        advice.push_back(
            fmt::format("SGXEMU_COSTS: the emulator charges the costs of '{}'", model));
    }
    out["platform"] = platform;
    out["image_form"] = platform == "none" ? "none" : sgx2 ? "dynamic" : "static";
    if (platform != "none" && !sgx2) {
        advice.push_back(
            "no SGX2 (processor, or kernel before 6.0): enclave images must be signed with "
            "--static-arena and --static-heap, and loaded code lies in pages that are writable and "
            "executable (no W^X)");
    }
    out["w_xor_x"] = w_xor_x;
    out["advice"] = advice;
}

const char* yes(const json& value) {
    return value.get<bool>() ? "yes" : "no";
}

void print(const json& out) {
    const json& cpu = out["processor"];
    const json& system = out["system"];
    fmt::print(
        "platform                  {}\nW^X of loaded code        {}\n",
        out["platform"].get<std::string>(),
        out["w_xor_x"] == "yes" ? "yes, unless an image is signed with static pages" : "no W^X");
    fmt::print("enclave images            {}\n",
               out["image_form"] == "dynamic" ? "as signed by default; with static pages, too"
               : out["image_form"] == "static"
                   ? "with static pages only (sign-enclave --static-arena)"
                   : "none");
    fmt::print("processor: SGX {}, SGX1 {}, SGX2 {}, launch control {}, FSGSBASE {}\n",
               yes(cpu["sgx"]), yes(cpu["sgx1"]), yes(cpu["sgx2"]), yes(cpu["launch_control"]),
               yes(cpu["fsgsbase"]));
    if (cpu["epc_bytes"].get<uint64_t>() != 0) {
        fmt::print("EPC                       {} MiB, XFRM {:#x}\n",
                   cpu["epc_bytes"].get<uint64_t>() >> 20, cpu["xfrm"].get<uint64_t>());
    }
    fmt::print("kernel                    {} (EDMM: {})\n", system["kernel"].get<std::string>(),
               yes(system["kernel_has_edmm"]));
    fmt::print("{:<25} {}\n", device, system["device"].get<std::string>());
    fmt::print("/dev mounted noexec       {}\n", yes(system["dev_noexec"]));
    fmt::print("RWX shared mapping        {}\n",
               system["writable_executable_mapping"].get<std::string>());
    fmt::print("vDSO enclave entry        {}\n", yes(system["vdso_sgx_enter_enclave"]));
    fmt::print("FSGSBASE for programs     {}\n", yes(system["kernel_fsgsbase"]));
    fmt::print("vm.max_map_count          {}\n", system["max_map_count"].get<long>());
    for (const json& line : out["advice"])
        fmt::print("note: {}\n", line.get<std::string>());
}

void run(bool as_json) {
    json out{{"processor", processor()}, {"system", system_state()}};
    judge(out);
    if (as_json) {
        fmt::print("{}\n", out.dump(2));
    } else {
        print(out);
    }
    if (out["platform"] == "none") front::fail("no enclave can run on this machine");
}

}  // namespace

void add_doctor(CLI::App& app) {
    auto as_json = std::make_shared<bool>(false);
    CLI::App* verb = app.add_subcommand("doctor", "Say what this machine can do for enclaves");
    verb->add_flag("--json", *as_json, "Prints JSON");
    verb->footer("Exit code 1 when neither SGX nor the emulator can run.\nExample: sgxdl doctor");
    verb->callback([as_json] { run(*as_json); });
}

}  // namespace sgxdl::tool
