// A user-space SGX2: the Linux SGX ABI on a machine that has no SGX.
//
// The functions stand for the system calls on /dev/sgx_enclave and for the vDSO's entry function;
// their arguments and results are the kernel's (Documentation/x86/sgx.rst, <asm/sgx.h>).
// It refuses whatever the hardware and the driver refuse. It protects nothing: the
// host process can read all of it.
//
// Threads: every function may be called from any thread at any time, as the system calls may.
// Signals: the emulator takes SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGTRAP and signal 60 at the first
// open() and hands on what is not its own; a program installs its handlers for these before. Each
// thread that enters an enclave gets a signal stack; a handler that runs on it (SA_ONSTACK) cannot
// enter (the entry is #GP). All other signals wait until the thread is outside. Fork: the child has
// no enclaves; what it asks of its parent's is refused.
#pragma once

#include <asm/sgx.h>
#include <fcntl.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sgxemu {

// What the emulated machine has. Read once, at the first open(): what configure() says, else these
// values as the environment changes them (emulator/settings.hpp).
inline constexpr size_t min_epc_pages = 64;

// How enclave code's ENCLU reaches the emulator once it has been executed. trap: as HLT, which is a
// signal. fast: as a jump, where that is possible (emulator/fast/fast.hpp says where); elsewhere it
// traps. by_environment: what SGXEMU_ENTRY says ("trap" or "fast"), and otherwise fast.
enum class EncluEntry { by_environment, trap, fast };

struct MachineConfig {
    size_t epc_pages = 262'144;  // size of the EPC in 4 KiB pages (1 GiB)
    // When the EPC is full, pages are written out, sealed, and come back on access. Without it what
    // needs a page fails, as when the driver's reclaimer finds nothing.
    bool reclaim = true;
    bool sgx2 = true;  // EAUG, EACCEPT, EACCEPTCOPY, EMODPE, EMODPR, EMODT
    // An ENCLU that was executed once traps as HLT from then on, which is four times cheaper than
    // #UD: its first byte in the EPC (not in what was measured) becomes F4.
    bool rewrite_enclu = true;
    EncluEntry entry = EncluEntry::by_environment;  // when rewrite_enclu
    // While no thread is inside an enclave its memory is inaccessible through its mappings; while
    // one is, what such threads have touched since can be read. Without it the host's page tables
    // say what the EPCM says, always.
    bool strict = false;
};
// Returns 0, or -EBUSY when an enclave exists already.
int configure(const MachineConfig& config);

// open("/dev/sgx_enclave"): a new, empty enclave. Returns a file descriptor (a memfd that is the
// enclave's EPC) or -errno. Of the flags only O_CLOEXEC has a meaning. close() it with
// sgxemu::close.
int open(int flags = O_CLOEXEC);
int close(int fd);

// open("/dev/sgx_provision"): whoever can open it may give enclaves the PROVISIONKEY attribute
// (SGX_IOC_ENCLAVE_PROVISION). Returns an ordinary file descriptor, close()d as such, or -errno.
int open_provision(int flags = O_CLOEXEC);

// The program made `to` a duplicate of `from`; when that is an enclave's, so is this now, and the
// enclave lives until both are closed. Returns whether it is.
bool duplicated(int from, int to);

// A descriptor is about to be closed by other means than sgxemu::close, which does both. Returns 0,
// or -EBADF when it is not an enclave's. The second form: all from first to last.
int forget_descriptor(int fd);
void forget_descriptors(unsigned int first, unsigned int last);

// What a descriptor is; `lost`: of an enclave that belongs to the process that forked this one.
enum class Descriptor { other, enclave, provision, lost };
Descriptor descriptor_kind(int fd);

// ioctl(fd, SGX_IOC_ENCLAVE_*, argument): 0, or -errno; SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS and
// the other EDMM ioctls report the SGX error code and the bytes done in their argument as the
// driver does.
int ioctl(int fd, unsigned long request, void* argument);

// mmap, mprotect and munmap of enclave memory. The address, or MAP_FAILED with errno set; 0, or -1
// with errno set.
void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset);
int mprotect(void* address, size_t length, int protection);
int munmap(void* address, size_t length);

// __vdso_sgx_enter_enclave: the kernel's signature and results. As there, it saves only RBX and
// RBP: R12 to R15 are what the enclave, or the synthetic state of an asynchronous exit (zero), left
// in them, so C code calls it through a wrapper that saves them (see the kernel's selftest,
// call.S).
extern "C" int sgxemu_enter_enclave(unsigned long rdi, unsigned long rsi, unsigned long rdx,
                                    unsigned int function, unsigned long r8, unsigned long r9,
                                    struct sgx_enclave_run* run);

// What the EPCM says, for tests: counted in the emulator, not by the enclave's own records.
struct EpcCount {
    size_t valid = 0;    // pages with a valid entry, of all types, the SECS included
    size_t regular = 0;  // PT_REG
    size_t executable = 0;
    size_t writable_executable = 0;
    size_t pending = 0;
    size_t trimmed = 0;
};
EpcCount epc_count(int fd);

// Pages written out by the reclaimer (EWB) and brought back (ELDU) since the start, in all
// enclaves.
struct PagingCount {
    uint64_t written_out = 0;
    uint64_t brought_back = 0;
};
PagingCount paging_count();
// From now on counts in this file, which other processes may count in, too: the two numbers, 8
// bytes each. Returns 0 or -errno. Before the first enclave.
int count_paging_in(const char* path);

// Where the operating system keeps a page that is written out: 4,096 bytes of ciphertext and the
// PCMD (struct sgx_pcmd). They are its own to change, which ELDU notices. Null when the page is not
// out. For tests, while no other thread uses the enclave.
struct BackingPage {
    uint8_t* content = nullptr;
    void* pcmd = nullptr;
};
BackingPage backing_page(int fd, const void* address);

// True when a system call by enclave code is #UD, as it should be; false: this kernel lacks Syscall
// User Dispatch, and it is carried out. Known once a thread has entered.
bool stops_syscalls();

// A row of the table of rules that ENCLU leaves keep (emulator/leaves/rules.cpp), and how often it
// has decided in this process. condition is nullptr past the last row.
struct RuleRecord {
    uint32_t leaf = 0;  // SGX_ENCLU_*, or an ioctl
    const char* condition = nullptr;
    uint64_t decided = 0;
};
RuleRecord rule_record(size_t index);
// The same for the ioctls that change an initialised enclave, EMODPR and EMODT among them
// (emulator/edmm_rules.cpp); `leaf` is SGX_IOC_ENCLAVE_*.
RuleRecord driver_rule_record(size_t index);

// --- Costs of real machines, off by default (emulator/costs.hpp says how far to trust them)

// What is charged for. EEXTEND: each 256 bytes.
enum class Charged : uint8_t {
    eenter,
    eexit,
    eresume,
    aex,
    eaccept,
    eacceptcopy,
    emodpe,
    ereport,
    egetkey,
    ecreate,
    eadd,
    eextend,
    einit,
    eaug,
    emodpr,
    emodt,
    eremove,
    ewb,
    eldu,
    count
};
// Charges the costs of this table from now on, and counts from zero; none when empty. Takes 10 ms,
// in which it measures the TSC. 0, or -ENOENT: there is no such table. While no thread is inside.
int charge_costs(std::string_view table);
// The table whose costs are charged, or nullptr.
const char* cost_model();
// How often that was charged since charge_costs().
uint64_t charged(Charged what);
// A row of a table; `what` is Charged::count past the last row, name is nullptr past the last
// table.
struct CostRecord {
    const char* name = nullptr;
    const char* machine = nullptr;  // where it was measured
    const char* source = nullptr;   // by whom and when
    double ghz = 0;                 // the frequency that turns cycles into time
    Charged what = Charged::count;
    uint32_t cycles = 0;
    bool quoted = false;  // false: the source has no figure; the nearest is charged
    const char* note = nullptr;
};
CostRecord cost_record(size_t table, size_t row);

// --- A hostile operating system, for tests
// ---------------------------------------------------------

// What it is asked for: the ioctls, the page fault that adds a page, and ocalls.
enum class Operation : uint8_t {
    add_pages,
    restrict_permissions,
    modify_types,
    remove_pages,
    eaug,
    ocall,  // see spoil_ocalls
    count
};
// What it does instead of what it should: none; nothing, and says that it is done; nothing, and
// says so (EFAULT, or SIGBUS for a page fault); it twice; it 20 ms later; it, and then takes the
// pages away and adds fresh ones in their place (EREMOVE, EAUG), after a page fault the page that
// the fault before brought. replay: ocalls only.
enum class Misbehaviour : uint8_t { none, drop, refuse, repeat, delay, swap, replay };
inline constexpr uint64_t forever = UINT64_MAX;
// At `count` occurrences of the operation from the `first` on (0: the next), in all enclaves, until
// behave().
void misbehave(Operation operation, Misbehaviour what, uint64_t first = 0,
               uint64_t count = forever);
void behave();
// How often the operation has occurred since the last misbehave() for it.
uint64_t occurrences(Operation operation);

// The same from a text such as "remove:drop@3x1,fault:refuse@20,step:every"; its grammar is in
// emulator/hostile_plan.hpp. Empty, or what is wrong with the text; then nothing changes.
std::string misbehave_as(std::string_view plan);

// How an enclave's ocalls are answered, which the processor does not know: an EENTER (by the entry
// function) with RDI == entry brings an answer of `size` bytes at RSI + offset. From then on orders
// for Operation::ocall are carried out. 0, or -EINVAL: size is not in 8 to max_ocall_answer.
struct OcallAnswers {
    uint64_t entry = 0, offset = 0, size = 0;
};
inline constexpr uint64_t max_ocall_answer = 1 << 20;
int spoil_ocalls(const OcallAnswers& answers);

// Interrupts every thread inside an enclave after each instruction (AEX, ERESUME), and after that
// many keeps it outside: the entry returns as for an exception with vector 32, and the program may
// enter at the next CSSA, resume it, or never do. 0 ends it. Only entries by sgxemu_enter_enclave
// that begin afterwards are stepped through.
void single_step(uint64_t instructions);
inline constexpr uint16_t step_vector = 32;  // the first of the external interrupts
// Instructions carried out since the last single_step().
uint64_t steps();

// What became of an enclave's pages, seen from the processor: for enclaves created while watching.
struct PageAudit {
    uint64_t accepted = 0;  // EACCEPT of added pages, EACCEPTCOPY
    // The enclave accepted a page where it had accepted one before and had not given it back by
    // EACCEPT of PT_TRIM: the system may have put another in its place.
    uint64_t accepted_twice = 0;
    uint64_t executed = 0;  // pages that an instruction was fetched from, at one page fault each
    // Of those: neither added executable nor filled by EACCEPTCOPY with X. EMODPE with X counts.
    uint64_t executed_uncommitted = 0;
};
void watch_pages(bool on);
PageAudit page_audit(int fd);

// MRENCLAVE of an initialised enclave. Returns 0, or -ENOENT before EINIT.
int measurement(int fd, uint8_t mrenclave[32]);

// The code that EINIT left in EAX at the last SGX_IOC_ENCLAVE_INIT of this enclave (the driver
// turns all of them into -EPERM): an SGX error code, 0 for success, -1 before the first.
int einit_result(int fd);

// True when the address lies in an enclave that this process has mapped.
bool is_enclave_address(const void* address);

// Sends the thread an interrupt: if it is inside an enclave, it leaves by AEX and is resumed. For
// tests.
int interrupt(pid_t tid);

}  // namespace sgxemu
