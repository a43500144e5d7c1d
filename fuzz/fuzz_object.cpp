// The tool's front end on objects: what it accepts it must be able to write, read back, and write
// again as the same bytes. And what the vendor's tool makes of an object that it accepts, the
// loader must not call malformed: both have the normal form of docs/bundle-format.md.
#include <cstdio>
#include <cstdlib>

#include "enclave/loader/result.hpp"
#include "fuzz/loader_fuzz.hpp"
#include "tool/front/builder.hpp"
#include "tool/front/bundle.hpp"
#include "tool/front/elf_file.hpp"
#include "tool/front/error.hpp"
#include "tool/front/object.hpp"

using namespace sgxdl;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    front::initialise();
    std::vector<uint8_t> payload;
    try {
        std::vector<front::InputObject> objects;
        objects.push_back(front::read_object({data, data + size}, "input.o"));
        payload = front::write_elf(front::Builder(objects, front::default_xfrm).build());
    } catch (const front::Error&) {
        return 0;
    }
    try {
        fuzz::require(front::write_elf(front::read_elf(payload, "payload")) == payload,
                      "a payload that was read back is written differently");
    } catch (const front::Error& error) {
        fprintf(stderr, "fuzz: pack's own output: %s\n", error.what());
        abort();
    }
    fuzz::Subject subject;
    const sgxdl_bundle_header header = fuzz::signed_header(SGXDL_BUNDLE_MODULE, "fuzz", payload);
    auto begun = subject.loader().begin_bundle(header, {});
    fuzz::require(bool(begun), "the loader refuses the header");
    Code code = Code::ok;
    char context[sizeof Error::context] = {};
    auto note = [&](const Error& error) {
        code = error.code;
        memcpy(context, error.context, sizeof context);
    };
    auto fed = subject.loader().feed(payload);
    if (!fed) note(fed.error());
    while (code == Code::ok) {
        auto progress = subject.loader().step();
        if (!progress) note(progress.error());
        if (progress && progress->done) break;
    }
    for (Code bad : {Code::bad_elf, Code::not_normal_form, Code::unknown_relocation,
                     Code::bad_relocation, Code::truncated, Code::bad_digest}) {
        if (code != bad) continue;
        fprintf(stderr, "fuzz: the loader on pack's output: %s: %s\n", code_text(code), context);
        abort();
    }
    return 0;
}
