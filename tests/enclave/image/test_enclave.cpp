// The test enclave: see interface.hpp for what each call is for.

#include <pthread.h>
#include <sodium.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "enclave/loader/platform.hpp"
#include "sgxdl/enclave.hpp"
#include "tests/enclave/image/interface.hpp"
#include "tests/loader/relocation_cases.hpp"

// Imports of the modules in tests/loader/relocation_cases.hpp.
extern "C" {
int imported_object = sgxdl::test::imported_value;
int imported(int x) {
    return x + sgxdl::test::imported_adds;
}
}

namespace sgxdl {

namespace test {

namespace {

// --- marshalling --------------------------------------------------------------------------------

uint64_t echo(std::span<const char> text, OutBuffer<char>& reply) {
    reply.count = text.size() < reply.storage.size() ? text.size() : reply.storage.size();
    if (reply.count != 0) memcpy(reply.storage.data(), text.data(), reply.count);
    return text.size();
}

void empty() {}

Mixed mix(uint8_t small, int32_t negative, std::span<const uint16_t> numbers, bool flag) {
    uint64_t sum = 0;
    for (const uint16_t number : numbers)
        sum += number;
    return {small, negative, sum, flag};
}

Result<uint64_t> fail(std::span<const char> text) {
    return make_error(Code::in_use, "%s", text.data());
}

// --- heap ---------------------------------------------------------------------------------------

struct Block {
    Block* next;
};
Block* blocks;

bool fill(uint64_t total, uint64_t size) {
    for (uint64_t live = 0; live < total; live += size) {
        Block* const block = static_cast<Block*>(malloc(size));
        if (block == nullptr) return false;
        memset(block, 0x5a, size);
        block->next = blocks;
        blocks = block;
    }
    return true;
}

void release() {
    while (blocks != nullptr)
        free(std::exchange(blocks, blocks->next));
}

uint64_t churn(uint64_t seed, uint64_t steps) {
    constexpr size_t slots = 256;
    struct Slot {
        unsigned char* bytes;
        size_t size;
        unsigned char mark;
    };
    Slot* const table = static_cast<Slot*>(calloc(slots, sizeof(Slot)));
    uint64_t errors = 0;
    uint64_t state = seed * 2 + 1;
    const auto random = [&] {
        state = state * 6364136223846793005u + 1442695040888963407u;
        return state >> 33;
    };
    const auto check = [&](const Slot& slot) {
        for (size_t i = 0; i < slot.size; i += 97)
            errors += slot.bytes[i] != slot.mark;
        if (slot.size != 0) errors += slot.bytes[slot.size - 1] != slot.mark;
    };
    for (uint64_t step = 0; step < steps; ++step) {
        Slot& slot = table[random() % slots];
        size_t size = random() % 20 == 0 ? random() % 300'000 : random() % 600;
        if (slot.bytes == nullptr) {
            const size_t alignment = size_t{1} << (4 + random() % 9);
            slot.bytes = static_cast<unsigned char*>(
                random() % 4 == 0 ? aligned_alloc(alignment, size) : malloc(size));
            if (slot.bytes == nullptr) continue;
        } else if (random() % 3 == 0) {
            check(slot);
            const size_t kept = size < slot.size ? size : slot.size;
            unsigned char* const moved =
                static_cast<unsigned char*>(realloc(slot.bytes, size == 0 ? size = 1 : size));
            if (moved == nullptr) continue;
            slot.bytes = moved;
            for (size_t i = 0; i < kept; i += 89)
                errors += moved[i] != slot.mark;
        } else {
            check(slot);
            free(slot.bytes);
            slot = {};
            continue;
        }
        slot.size = size;
        slot.mark = static_cast<unsigned char>(random());
        memset(slot.bytes, slot.mark, size);
    }
    for (size_t i = 0; i < slots; ++i) {
        if (table[i].bytes != nullptr) check(table[i]);
        free(table[i].bytes);
    }
    free(table);
    return errors;
}

bool commit(uint64_t pages) {
    char* const block = static_cast<char*>(malloc(pages * 4096));
    if (block == nullptr) return false;
    for (uint64_t page = 0; page < pages; ++page)
        block[page * 4096] = 1;
    free(block);
    return true;
}

// --- threads ------------------------------------------------------------------------------------

pthread_mutex_t counter_mutex;
pthread_once_t counter_once = PTHREAD_ONCE_INIT;
uint64_t counter;  // plain: only the mutex protects it

void make_mutex() {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&counter_mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

uint64_t count(uint64_t times) {
    pthread_once(&counter_once, make_mutex);
    for (uint64_t i = 0; i < times; ++i) {
        pthread_mutex_lock(&counter_mutex);
        pthread_mutex_lock(&counter_mutex);
        counter = counter + 1;
        pthread_mutex_unlock(&counter_mutex);
        pthread_mutex_unlock(&counter_mutex);
    }
    pthread_mutex_lock(&counter_mutex);
    const uint64_t seen = counter;
    pthread_mutex_unlock(&counter_mutex);
    return seen;
}

std::atomic<uint64_t> arrived;

uint64_t meet(uint64_t threads) {
    arrived.fetch_add(1);
    while (arrived.load() < threads)
        __builtin_ia32_pause();
    return arrived.load();
}

// --- faults -------------------------------------------------------------------------------------

volatile uint64_t deepest = UINT64_MAX;

[[gnu::noinline]] uint64_t recurse(uint64_t depth) {
    volatile char frame[4096];
    frame[0] = static_cast<char>(depth);
    if (depth == deepest) return 0;
    return recurse(depth + 1) + static_cast<uint64_t>(frame[0]);
}

[[gnu::noinline]] void overflow(volatile char* to, size_t size) {
    for (size_t i = 0; i < size; ++i)
        to[i] = 'x';
}

[[gnu::noinline]] void smash() {
    char buffer[16];
    overflow(buffer, 64);
}

volatile int zero = 0;
volatile uintptr_t low_address = 8;

void die(Fault fault) {
    switch (fault) {
        case Fault::null_write:
            *reinterpret_cast<volatile int*>(low_address) = 1;
            break;
        case Fault::bad_opcode:
            __builtin_trap();
        case Fault::divide:
            zero = 1000 / zero;
            break;
        case Fault::stack_overflow:
            zero = static_cast<int>(recurse(0));
            break;
        case Fault::abort:
            abort();
        case Fault::assertion:
            SGXDL_ASSERT(zero == 1);
            break;
        case Fault::double_free: {
            void* volatile block = malloc(100);
            free(block);
            free(block);
            break;
        }
        case Fault::smash:
            smash();
            break;
        case Fault::code_write:
            *reinterpret_cast<volatile char*>(&smash) = 1;
            break;
        case Fault::stray_jump: {
            static unsigned char data[16] = {0xc3};
            reinterpret_cast<void (*)()>(reinterpret_cast<uintptr_t>(data))();
            break;
        }
        case Fault::unset_stub:
            asm volatile("jmp *%gs:800");
            break;
    }
}

void jump_unpinned() {
    asm volatile("jmp *%gs:800");
}

// --- ocalls -------------------------------------------------------------------------------------

int64_t relay(bool nested, int64_t value) {
    const OcallAnswer answer = nested ? ocall<AskNested>(value) : ocall<Ask>(value);
    return answer.ok ? answer.value : -1;
}

uint64_t swap(uint64_t size) {
    uint8_t* const bytes = static_cast<uint8_t*>(malloc(2 * size));
    if (bytes == nullptr) return UINT64_MAX;
    for (uint64_t i = 0; i < size; ++i)
        bytes[i] = static_cast<uint8_t>(i * 7);
    const OcallAnswer answer = ocall<Transform>(std::span<const uint8_t>(bytes, size),
                                                std::span<uint8_t>(bytes + size, size));
    uint64_t wrong = answer.ok ? 0 : UINT64_MAX;
    for (uint64_t i = 0; answer.ok && i < size; ++i) {
        wrong += bytes[size + i] != static_cast<uint8_t>(~bytes[i]);
    }
    free(bytes);
    return wrong;
}

// --- libraries ----------------------------------------------------------------------------------

int descending(const void* a, const void* b) {
    return *static_cast<const int*>(b) - *static_cast<const int*>(a);
}

void library(OutBuffer<char>& text) {
    char* to = text.storage.data();
    size_t left = text.storage.size();
    const auto line = [&](const char* format, auto... arguments) {
        const int n = snprintf(to, left, format, arguments...);
        to += n;
        left -= static_cast<size_t>(n);
    };
    line("%d %08x %s %c %5.2f %e %g\n", -42, 0xbeefu, "text", 'c', 3.14159, 1e100, 1.0 / 3);
    line("%.17g %.17g %lld\n", strtod("0.1", nullptr), strtod("1e-310", nullptr),
         strtoll("-9000000000", nullptr, 10));
    int numbers[] = {3, 1, 4, 1, 5, 9, 2, 6};
    qsort(numbers, 8, sizeof(int), descending);
    for (const int number : numbers)
        line("%d ", number);
    char copy[32];
    strcpy(copy, "a,b,,c");
    for (char* word = strtok(copy, ","); word != nullptr; word = strtok(nullptr, ",")) {
        line("[%s]", word);
    }
    int a = 0;
    double b = 0;
    sscanf("17 2.5", "%d %lf", &a, &b);
    line("\n%d %g %s %zu\n", a, b, strstr("haystack", "st"), strspn("abcx", "abc"));
    text.count = static_cast<size_t>(to - text.storage.data());
}

void sign(std::span<const uint8_t> seed, std::span<const uint8_t> message,
          OutBuffer<uint8_t>& signature, OutBuffer<uint8_t>& key) {
    unsigned char secret[crypto_sign_SECRETKEYBYTES];
    if (seed.size() != 32 || signature.storage.size() != 64 || key.storage.size() != 32) return;
    crypto_sign_seed_keypair(key.storage.data(), secret, seed.data());
    crypto_sign_detached(signature.storage.data(), nullptr, message.data(), message.size(), secret);
    signature.count = 64;
    key.count = 32;
}

void random(OutBuffer<uint8_t>& bytes) {
    randombytes_buf(bytes.storage.data(), bytes.storage.size());
    bytes.count = bytes.storage.size();
}

int64_t print(std::span<const char> text) {
    const int n = printf("<%.*s>\n", static_cast<int>(text.size()), text.data());
    fflush(stdout);
    return n;
}

Processor get_processor() {
    Processor result = {};
    asm volatile("pushfq; popq %0" : "=r"(result.flags));
    asm volatile("stmxcsr %0" : "=m"(result.mxcsr));
    asm volatile("fnstcw %0" : "=m"(result.x87_control));
    return result;
}

Result<int64_t> call_loaded(std::span<const char> module, std::span<const char> function,
                            int32_t argument) {
    if (module.empty() || module.back() != '\0' || function.empty() || function.back() != '\0') {
        return make_error(Code::no_such_symbol, "not a name");
    }
    void* const address = sgxdl_sym(module.data(), function.data());
    if (address == nullptr) return make_error(Code::no_such_symbol, "%s", function.data());
    return reinterpret_cast<int (*)(int)>(address)(argument);
}

uint64_t canary() {
    uint64_t value;
    asm volatile("movq %%fs:0x28, %0" : "=r"(value));
    return value;
}

constexpr EcallRow rows[] = {
    bind<Echo, echo>(),
    bind<Empty, empty>(),
    bind<Mix, mix>(),
    bind<Fail, fail>(),
    bind<Fill, fill>(),
    bind<Release, release>(),
    bind<Churn, churn>(),
    bind<Count, count>(),
    bind<Meet, meet>(),
    bind<Die, die>(),
    bind<Relay, relay>(),
    bind<Swap, swap>(),
    bind<Library, library>(),
    bind<Sign, sign>(),
    bind<Random, random>(),
    bind<Print, print>(),
    bind<Commit, commit>(),
    bind<GetProcessor, get_processor>(),
    bind<JumpUnpinned, jump_unpinned>(),
    bind<Canary, canary>(),
    bind<CallLoaded, call_loaded>(),
};

}  // namespace

}  // namespace test

constinit const Application application = {.ecalls = test::rows, .start = nullptr};

}  // namespace sgxdl
