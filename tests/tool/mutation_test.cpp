// Broken objects and payloads: every reader throws Error or accepts; none crashes (run it under
// ASan). A fixed seed, so a failure can be repeated.
#include <gtest/gtest.h>

#include <random>

#include "tests/tool/support.hpp"
#include "tool/diff/state.hpp"
#include "tool/front/elf_file.hpp"
#include "tool/front/error.hpp"
#include "tool/front/object.hpp"

namespace sgxdl::test {
namespace {

constexpr int rounds = 2000;

const char* const source = R"(
    static const char *const names[] = {"one", "two", "three"};
    int counter = 3;
    int callee(int x);
    static int helper(int x) { counter += x; return callee(x) + names[x & 1][0]; }
    int (*pointer)(int) = helper;
    int pick(int x) { switch (x) { case 0: return helper(1); case 1: return helper(8); case 2: return counter;
        case 3: return -x; case 4: return helper(x); case 5: return x * 3; case 6: return helper(9); } return 0; }
)";

// Changes one to four places: a byte, a word to an extreme value, or a word to a nearby one.
std::vector<uint8_t> mutate(std::vector<uint8_t> bytes, std::mt19937_64& random) {
    auto below = [&](size_t limit) { return static_cast<size_t>(random() % limit); };
    for (size_t n = 1 + below(4); n > 0; n--) {
        size_t at = below(bytes.size() - 8);
        switch (below(4)) {
            case 0:
                bytes[at] = static_cast<uint8_t>(random());
                break;
            case 1:
                std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(at), 4, uint8_t{0xFF});
                break;
            case 2:
                std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(at), 8, uint8_t{0});
                break;
            case 3:
                bytes[at] = static_cast<uint8_t>(bytes[at] + 1);
                break;
        }
    }
    return bytes;
}

TEST(Mutation, ObjectsAreReadOrRefused) {
    Folder folder;
    // Without debug information nearly every byte matters.
    std::vector<uint8_t> good = front::read_file(compile_text(folder, "a.c", source, "-g0"));
    std::mt19937_64 random(20251);
    int refused = 0;
    for (int i = 0; i < rounds; i++) {
        std::string file = (folder.path() / "broken.o").string();
        front::write_file(file, mutate(good, random));
        try {
            front::write_elf(front::build_image({file}));
        } catch (const front::Error&) {
            refused++;
        }
    }
    EXPECT_GT(refused, rounds / 10);
}

TEST(Mutation, PayloadsAreReadOrRefused) {
    Folder folder;
    front::Image image = front::build_image({compile_text(folder, "a.c", source)});
    std::vector<uint8_t> good = front::write_elf(image);
    std::mt19937_64 random(20252);
    int refused = 0;
    for (int i = 0; i < rounds; i++) {
        try {
            front::Image broken = front::read_elf(mutate(good, random), "payload");
            diff::apply(image, broken);
        } catch (const front::Error&) {
            refused++;
        }
    }
    EXPECT_GT(refused, rounds / 10);
}

}  // namespace
}  // namespace sgxdl::test
