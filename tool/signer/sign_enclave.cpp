// sgxdl sign-enclave: audits a linked enclave image, lays it out, measures and signs it.

#include "tool/signer/sign_enclave.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "sgxdl/arch/sgx.h"
#include "sgxdl/signed_image.h"
#include "tool/signer/audit.hpp"
#include "tool/signer/elf_image.hpp"
#include "tool/signer/layout.hpp"
#include "tool/signer/measure.hpp"
#include "tool/signer/sigstruct.hpp"

namespace sgxdl::signer {

namespace {

constexpr uint64_t page = SGXDL_PAGE_SIZE;
constexpr size_t sigstruct_size = 1808;  // SDM 37.14; the structure's alignment pads it to a page

std::string hex(const Digest& digest) {
    std::string text;
    for (const uint8_t byte : digest)
        text += fmt::format("{:02x}", byte);
    return text;
}

void append(std::vector<uint8_t>& file, const void* bytes, size_t size) {
    const uint8_t* from = static_cast<const uint8_t*>(bytes);
    file.insert(file.end(), from, from + size);
}

std::vector<uint8_t> image_file(const EnclaveLayout& layout, const EnclaveConfig& config,
                                const sgx_sigstruct& sigstruct, const Digest& mrenclave) {
    sgxdl_image_header header = {};
    memcpy(header.magic, SGXDL_IMAGE_MAGIC, sizeof(header.magic));
    header.format = SGXDL_IMAGE_FORMAT;
    header.header_size = sizeof(header);
    header.elrange_size = layout.info.elrange_size;
    header.ssa_frame_size = SGXDL_SSA_FRAME_PAGES;
    header.miscselect = config.miscselect();
    header.attributes = config.attributes;
    header.xfrm = config.xfrm;
    header.segment_count = static_cast<uint32_t>(layout.runs.size());
    header.thread_count = layout.info.thread_count;
    header.segments_at = sizeof(header);
    header.sigstruct_at = sizeof(header) + layout.runs.size() * sizeof(sgxdl_image_segment);
    if (layout.info.static_pages == 0) {
        header.code_offset = layout.info.arena_offset;
        header.code_size = layout.info.arena_size;
        header.data_offset = layout.info.records_offset;
        header.data_size =
            layout.info.heap_offset + layout.info.heap_size - layout.info.records_offset;
    }
    header.tcs_offset = layout.tcs_offset;
    header.tcs_stride = layout.tcs_stride;
    memcpy(header.mrenclave, mrenclave.data(), mrenclave.size());

    uint64_t contents = (header.sigstruct_at + sigstruct_size + page - 1) / page * page;
    std::vector<uint8_t> file;
    append(file, &header, sizeof(header));
    for (const PageRun& run : layout.runs) {
        const sgxdl_image_segment segment = {
            run.offset, run.size, run.secinfo, run.bytes.empty() ? 0 : contents, run.measured, 0};
        append(file, &segment, sizeof(segment));
        contents += run.bytes.size();
    }
    append(file, &sigstruct, sigstruct_size);
    file.resize((file.size() + page - 1) / page * page);
    for (const PageRun& run : layout.runs)
        append(file, run.bytes.data(), run.bytes.size());
    return file;
}

struct Options {
    std::string elf, output, key, vendor_key, product;
    bool make_key = false, debug = false, json = false;
    uint32_t threads = 8, stack_kib = 512;
    uint64_t size_mib = 1024, arena_mib = 256;
    uint64_t static_arena = 0, static_heap = 0;  // bytes; 0: dynamic pages
    uint16_t product_id = 0, svn = 0;
    uint32_t date = 0x20250101;  // BCD; fixed, so that the same image gives the same file
};

// Throws an Error that names every finding.
void require_clean(const std::string& path, const AuditReport& report) {
    if (report.findings.empty()) return;
    std::string text = fmt::format("{}: the image may not become an enclave:", path);
    const size_t shown = report.findings.size() < 40 ? report.findings.size() : 40;
    for (size_t i = 0; i < shown; ++i)
        text += "\n  " + report.findings[i];
    if (shown < report.findings.size()) {
        text += fmt::format("\n  and {} more", report.findings.size() - shown);
    }
    throw Error(text);
}

nlohmann::json to_json(const AuditReport& report) {
    return {{"findings", report.findings},       {"instructions", report.instructions},
            {"text_bytes", report.text_bytes},   {"own_text_bytes", report.own_text_bytes},
            {"enclu_sites", report.enclu_sites}, {"uses_rdtsc", report.uses_rdtsc},
            {"uses_avx", report.uses_avx}};
}

void run_sign(const Options& options) {
    const ElfImage image = read_elf_image(options.elf);
    const AuditReport report = audit(image);
    require_clean(options.elf, report);

    EnclaveConfig config;
    config.elrange_size = options.size_mib << 20;
    config.arena_size = options.static_arena != 0 ? options.static_arena : options.arena_mib << 20;
    config.static_heap_size = options.static_heap;
    config.threads = options.threads;
    config.stack_pages = static_cast<uint32_t>(options.stack_kib * 1024 / page);
    config.product = options.product;
    if (options.debug) config.attributes |= SGX_ATTR_DEBUG;
    if (!options.vendor_key.empty()) config.vendor_key = read_vendor_key(options.vendor_key);
    const EnclaveLayout layout = lay_out(image, config);
    const Digest mrenclave = measure(layout);

    if (options.make_key) make_sign_key(options.key);
    const Key key = read_sign_key(options.key);
    const SignOptions sign_options = {options.product_id, options.svn, options.date,
                                      config.attributes,  config.xfrm, config.miscselect()};
    const sgx_sigstruct sigstruct = sign(mrenclave, sign_options, key.get());
    const std::vector<uint8_t> file = image_file(layout, config, sigstruct, mrenclave);
    std::ofstream out(options.output, std::ios::binary | std::ios::trunc);
    out.write(reinterpret_cast<const char*>(file.data()),
              static_cast<std::streamsize>(file.size()));
    out.close();
    if (!out) throw Error(fmt::format("{}: cannot be written", options.output));

    uint64_t pages = 0;
    for (const PageRun& run : layout.runs)
        pages += run.size / page;
    if (options.json) {
        nlohmann::json json = {{"image", options.output},
                               {"mrenclave", hex(mrenclave)},
                               {"product", options.product},
                               {"debug", options.debug},
                               {"pages", pages},
                               {"elrange_bytes", layout.info.elrange_size},
                               {"arena_bytes", layout.info.arena_size},
                               {"heap_bytes", layout.info.heap_size},
                               {"static_pages", layout.info.static_pages != 0},
                               {"w_xor_x", layout.info.static_pages == 0},
                               {"threads", layout.info.thread_count},
                               {"audit", to_json(report)}};
        fmt::print("{}\n", json.dump(2));
        return;
    }
    fmt::print(
        "{}\n  MRENCLAVE {}\n  {} pages at start, {} MiB range, {} threads{}{}\n"
        "  trusted text {} KiB, of it runtime and loader {} KiB; {} instructions audited\n",
        options.output, hex(mrenclave), pages, options.size_mib, options.threads,
        options.debug ? ", DEBUG: its memory can be read" : "",
        config.vendor_key ? "" : ", no vendor key: takes no bundle", report.text_bytes / 1024,
        report.own_text_bytes / 1024, report.instructions);
    if (layout.info.static_pages != 0) {
        fmt::print(
            "  for machines without SGX2: {} MiB arena and {} MiB heap are added at start\n"
            "  no W^X: loaded code lies in pages that are writable and executable\n",
            layout.info.arena_size >> 20, layout.info.heap_size >> 20);
    }
    if (report.uses_rdtsc) fmt::print("  uses rdtsc, which enclaves have on SGX2 only\n");
}

void run_audit(const std::string& path, bool json) {
    const AuditReport report = audit(read_elf_image(path));
    if (json) fmt::print("{}\n", to_json(report).dump(2));
    require_clean(path, report);
    if (!json) {
        fmt::print("{}: clean; {} instructions, {} KiB of text, of it runtime and loader {} KiB\n",
                   path, report.instructions, report.text_bytes / 1024,
                   report.own_text_bytes / 1024);
    }
}

}  // namespace

void add_sign_enclave(CLI::App& app) {
    auto options = std::make_shared<Options>();
    CLI::App* verb = app.add_subcommand("sign-enclave", "Audit, measure and sign an enclave image");
    verb->add_option("image", options->elf, "Linked image (static PIE of sgxdl_add_enclave)")
        ->required();
    verb->add_option("--output", options->output, "Signed image to write")->required();
    verb->add_option("--key", options->key, "RSA-3072 key with exponent 3, PEM")->required();
    verb->add_flag("--make-key", options->make_key, "Make the key if the file does not exist");
    verb->add_option("--vendor-key", options->vendor_key,
                     "Ed25519 public key (PEM) whose bundles the enclave takes");
    verb->add_option("--product", options->product, "Product whose bundles the enclave takes")
        ->required();
    verb->add_option("--threads", options->threads, "Threads inside at once (TCS)");
    verb->add_option("--stack-kib", options->stack_kib, "Stack of each thread");
    verb->add_option("--size-mib", options->size_mib, "Address range, a power of two");
    CLI::Option* const arena =
        verb->add_option("--arena-mib", options->arena_mib, "Of it for modules");
    CLI::Option* const static_arena =
        verb->add_option("--static-arena", options->static_arena,
                         "For machines without SGX2: all memory for modules, added at start, "
                         "writable and executable (no W^X); such as 16M")
            ->transform(CLI::AsSizeValue(false))
            ->type_name("SIZE")
            ->excludes(arena);
    CLI::Option* const static_heap =
        verb->add_option("--static-heap", options->static_heap,
                         "With it: all memory for the heap, added at start; such as 64M")
            ->transform(CLI::AsSizeValue(false))
            ->type_name("SIZE")
            ->needs(static_arena);
    static_arena->needs(static_heap);
    verb->add_option("--product-id", options->product_id, "ISVPRODID");
    verb->add_option("--svn", options->svn, "ISVSVN, the image's security version");
    verb->add_flag("--debug", options->debug, "A debug enclave, whose memory the host can read");
    verb->add_flag("--json", options->json, "Print JSON");
    verb->footer(
        "Example: sgxdl sign-enclave app.elf --output app.signed --key sign.pem "
        "--product shop --vendor-key vendor.pub\n"
        "Exit codes: 0 ok, 1 the image or a file is refused, 2 usage.");
    verb->callback([options] { run_sign(*options); });
}

void add_audit_image(CLI::App& app) {
    auto path = std::make_shared<std::string>();
    auto json = std::make_shared<bool>(false);
    CLI::App* verb =
        app.add_subcommand("audit-image", "Look for what may not be in an enclave image");
    verb->add_option("image", *path, "Linked image")->required();
    verb->add_flag("--json", *json, "Print JSON");
    verb->footer(
        "Example: sgxdl audit-image app.elf\n"
        "Exit codes: 0 clean, 1 findings (listed), 2 usage.");
    verb->callback([path, json] { run_audit(*path, *json); });
}

}  // namespace sgxdl::signer
