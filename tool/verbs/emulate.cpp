// sgxdl emulate: runs a program on an emulated machine with SGX2.
//
// The emulator is a library that the dynamic linker loads before all others (emulator/preload/);
// the machine is described to it by environment variables (emulator/settings.hpp).
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "emulator/hostile_plan.hpp"
#include "enclave/interface/abi.hpp"
#include "tool/front/error.hpp"
#include "tool/verbs/verbs.hpp"

namespace sgxdl::tool {
namespace {

namespace fs = std::filesystem;

struct Options {
    std::string epc_size;
    int sgx = 2;
    bool count = false;
    bool strict = false;
    std::string hostile, costs;
    std::string library;
    std::vector<std::string> program;
};

// The preload library: beside this command, or where an installation puts libraries.
std::string find_library() {
    const fs::path folder = fs::read_symlink("/proc/self/exe").parent_path();
    for (const char* place : {".", "../lib", "../lib/sgxdl"}) {
        const fs::path candidate = folder / place / "libsgxemu-preload.so";
        if (fs::exists(candidate)) return fs::canonical(candidate).string();
    }
    front::fail("libsgxemu-preload.so is neither beside {} nor in ../lib of it",
                (folder / "sgxdl").string());
}

// As execvp looks: a name with a slash is a path, others stand in a folder of PATH.
std::string find_program(const std::string& name) {
    if (name.find('/') != std::string::npos) return name;
    const char* path = std::getenv("PATH");
    std::istringstream folders(path != nullptr ? path : "/usr/bin:/bin");
    for (std::string folder; std::getline(folders, folder, ':');) {
        const std::string candidate = (folder.empty() ? "." : folder) + "/" + name;
        if (access(candidate.c_str(), X_OK) == 0) return candidate;
    }
    front::fail("emulate: there is no program '{}' in PATH", name);
}

// The dynamic linker is what loads the emulator: a program without one would run on the bare
// machine.
void require_dynamic(const std::string& path) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) front::fail("emulate: {}: {}", path, strerror(errno));
    if (status.st_mode & (S_ISUID | S_ISGID)) {
        front::fail(
            "emulate: {} is set-user-id or set-group-id: the dynamic linker would not load "
            "the emulator",
            path);
    }
    std::ifstream file(path, std::ios::binary);
    Elf64_Ehdr header{};
    file.read(reinterpret_cast<char*>(&header), sizeof(header));
    if (!file || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return;  // a script
    if (header.e_machine != EM_X86_64) front::fail("emulate: {} is not for x86-64", path);
    for (size_t i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment{};
        file.seekg(static_cast<std::streamoff>(header.e_phoff + i * header.e_phentsize));
        file.read(reinterpret_cast<char*>(&segment), sizeof(segment));
        if (file && segment.p_type == PT_INTERP) return;
    }
    front::fail("emulate: {} is statically linked: there is no dynamic linker to load the emulator",
                path);
}

void add_to_preload(const std::string& library) {
    const char* already = std::getenv("LD_PRELOAD");
    const bool has = already != nullptr && *already != 0;
    setenv("LD_PRELOAD", has ? (library + ":" + already).c_str() : library.c_str(), 1);
}

[[noreturn]] void execute(const std::string& path, std::vector<std::string> arguments) {
    std::vector<char*> argv;
    for (auto& argument : arguments)
        argv.push_back(argument.data());
    argv.push_back(nullptr);
    execv(path.c_str(), argv.data());
    front::fail("emulate: {}: {}", path, strerror(errno));
}

// Where this project's enclaves find their ocalls' answers, from the result to the end of the
// buffers. Another runtime's user sets the variable himself.
std::string own_ocalls() {
    constexpr size_t begin = offsetof(HostArea, ocall) + offsetof(OcallFrame, result);
    return fmt::format("{}:{}:{}", static_cast<uint64_t>(Entry::ocall_return), begin,
                       sizeof(HostArea) - begin);
}

// Runs the program as a child, so that there is somebody left to say what was counted.
int run_and_count(const std::string& path, const std::vector<std::string>& arguments) {
    const int fd = memfd_create("sgxemu-counters", MFD_CLOEXEC);
    std::array<uint64_t, 2> counters{};
    if (fd < 0 || ftruncate(fd, sizeof(counters)) != 0) {
        front::fail("emulate: no memory to count in: {}", strerror(errno));
    }
    setenv("SGXEMU_COUNTERS", fmt::format("/proc/{}/fd/{}", getpid(), fd).c_str(), 1);
    const pid_t child = fork();
    if (child < 0) front::fail("emulate: fork: {}", strerror(errno));
    if (child == 0) {
        try {
            execute(path, arguments);
        } catch (const std::exception& error) {
            fmt::print(stderr, "sgxdl: {}\n", error.what());
            _exit(1);
        }
    }
    // What the terminal sends is the program's affair.
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (pread(fd, counters.data(), sizeof(counters), 0) != sizeof(counters)) {
        front::fail("emulate: cannot read the counters: {}", strerror(errno));
    }
    fmt::print(stderr, "sgxdl emulate: EPC pages written out {}, brought back {}\n", counters[0],
               counters[1]);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void run(const Options& options) {
    const std::string library =
        options.library.empty() ? find_library() : fs::canonical(options.library).string();
    const std::string path = find_program(options.program.front());
    require_dynamic(path);
    add_to_preload(library);
    if (!options.epc_size.empty()) setenv("SGXEMU_EPC_SIZE", options.epc_size.c_str(), 1);
    if (options.strict) setenv("SGXEMU_STRICT", "1", 1);
    if (!options.costs.empty()) {
        setenv("SGXEMU_COSTS", options.costs.c_str(), 1);
        fmt::print(stderr,
                   "sgxdl emulate: times contain the costs of '{}', which have not been compared "
                   "with their source\n",
                   options.costs);
    }
    if (!options.hostile.empty()) {
        setenv("SGXEMU_HOSTILE", options.hostile.c_str(), 1);
        setenv("SGXEMU_OCALLS", own_ocalls().c_str(), 0);
    }
    setenv("SGXEMU_SGX", std::to_string(options.sgx).c_str(), 1);
    fmt::print(
        stderr,
        "sgxdl emulate: WARNING: this SGX is emulated. It protects NOTHING: the host reads and "
        "changes all of the enclave.\n");
    if (!options.count) execute(path, options.program);
    std::exit(run_and_count(path, options.program));
}

}  // namespace

void add_emulate(CLI::App& app) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand(
        "emulate", "Run a program on an emulated machine with SGX2 (protects nothing)");
    const CLI::Validator size(
        [](std::string& text) {
            const size_t digits = text.find_first_not_of("0123456789");
            const bool unit = digits != std::string::npos && digits + 1 == text.size() &&
                              strchr("KMG", text[digits]) != nullptr;
            const bool sound = digits != 0 && (digits == std::string::npos || unit);
            return sound ? std::string() : "'" + text + "' is not a size such as 64M";
        },
        "SIZE");
    verb->add_option("--epc-size", options->epc_size,
                     "Size of the enclave page cache, e.g. 64M; at least 256K (default 1G)")
        ->check(size);
    verb->add_option("--sgx", options->sgx, "1: a machine without SGX2 (no EDMM)")
        ->check(CLI::IsMember({1, 2}));
    verb->add_flag("--count", options->count,
                   "At the end says on standard error how many EPC pages were written out");
    const CLI::Validator plan(
        [](std::string& text) {
            sgxemu::HostilePlan ignored;
            return sgxemu::parse_hostile_plan(text, ignored);
        },
        "PLAN");
    verb->add_option("--hostile", options->hostile,
                     "A hostile system, e.g. remove:drop@3x1,ocall:replay (docs/emulator.md)")
        ->check(plan);
    verb->add_flag("--strict", options->strict,
                   "Enclave memory is inaccessible while no thread is inside (slower)");
    std::vector<std::string> tables;
    for (size_t i = 0; sgxemu::cost_record(i, 0).name != nullptr; ++i)
        tables.emplace_back(sgxemu::cost_record(i, 0).name);
    verb->add_option("--costs", options->costs,
                     "Charges the costs of a real machine (docs/emulator.md)")
        ->check(CLI::IsMember(tables));
    verb->add_option("--library", options->library, "The emulator's preload library, if another")
        ->check(CLI::ExistingFile);
    verb->add_option("PROGRAM", options->program, "The program and its arguments, after --")
        ->required()
        ->type_name("");
    verb->footer(
        "The program must be dynamically linked; it finds /dev/sgx_enclave, /dev/sgx_provision,\n"
        "CPUID's SGX leaves and __vdso_sgx_enter_enclave. See docs/emulator.md.\n"
        "Exit codes: the program's own (--count: 128 + N when signal N ended it); 1 when it "
        "cannot\n"
        "be started, 2 usage.\n"
        "Example: sgxdl emulate --epc-size 64M -- ./server --port 7000");
    verb->callback([options] { run(*options); });
}

}  // namespace sgxdl::tool
