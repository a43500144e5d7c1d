#include "tool/signer/layout.hpp"

#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "sgxdl/arch/sgx.h"

namespace sgxdl::signer {

namespace {

constexpr uint64_t page = SGXDL_PAGE_SIZE;
constexpr uint64_t least_static = 1u << 20;  // less does not hold the loader's own tables
constexpr uint64_t read_write = SGX_SECINFO_R | SGX_SECINFO_W | SGX_SECINFO_REG;

uint64_t round_up(uint64_t value, uint64_t alignment) {
    return (value + alignment - 1) / alignment * alignment;
}

uint64_t secinfo_of(uint32_t flags) {
    uint64_t secinfo = SGX_SECINFO_REG;
    if ((flags & PF_R) != 0) secinfo |= SGX_SECINFO_R;
    if ((flags & PF_W) != 0) secinfo |= SGX_SECINFO_W;
    if ((flags & PF_X) != 0) secinfo |= SGX_SECINFO_X;
    return secinfo;
}

template <class Structure>
std::vector<uint8_t> page_with(const Structure& structure, uint64_t at) {
    std::vector<uint8_t> bytes(page);
    memcpy(bytes.data() + at, &structure, sizeof(structure));
    return bytes;
}

// See enclave/interface/layout.h for the picture.
void add_thread(EnclaveLayout& layout, uint32_t index, uint64_t entry) {
    const sgxdl_image_info& info = layout.info;
    const uint64_t block = info.threads_offset + index * layout.tcs_stride;
    const uint64_t stack = block + SGXDL_GUARD_PAGES * page;
    const uint64_t stack_size = info.stack_pages * page;
    const uint64_t exception_stack = stack + stack_size + SGXDL_GUARD_PAGES * page;
    const uint64_t area = exception_stack + SGXDL_EXCEPTION_STACK_PAGES * page;
    layout.runs.push_back({stack, stack_size, read_write, {}});
    layout.runs.push_back({exception_stack, area - exception_stack, read_write, {}});
    sgxdl_thread_init init = {};
    init.index = index;
    layout.runs.push_back({area, page, read_write, page_with(init, SGXDL_THREAD_INIT_OFFSET)});
    layout.runs.push_back({area + SGXDL_SSA0, SGXDL_SSA_COUNT * page, read_write, {}});
    sgx_tcs tcs = {};
    tcs.ossa = area + SGXDL_SSA0;
    tcs.nssa = SGXDL_SSA_COUNT;
    tcs.oentry = entry;
    tcs.ofs_base = area;
    tcs.ogs_base = info.void_offset;
    tcs.fs_limit = tcs.gs_limit = 0xfff;
    layout.runs.push_back({area + SGXDL_TCS, page, SGX_SECINFO_TCS, page_with(tcs, 0)});
}

// Not measured: the runtime looks at no byte of them that it has not written (pages.hpp).
void add_static_pages(EnclaveLayout& layout) {
    const sgxdl_image_info& info = layout.info;
    constexpr uint64_t any_use = read_write | SGX_SECINFO_X;
    layout.runs.push_back({info.arena_offset, info.arena_size, any_use, {}, false});
    layout.runs.push_back({info.records_offset, info.records_size, read_write, {}, false});
    layout.runs.push_back({info.heap_offset, info.heap_size, read_write, {}, false});
}

}  // namespace

EnclaveLayout lay_out(ElfImage image, const EnclaveConfig& config) {
    if (!std::has_single_bit(config.elrange_size) || config.elrange_size < (16u << 20)) {
        throw Error(fmt::format("enclave size {:#x} is not a power of two of at least 16 MiB",
                                config.elrange_size));
    }
    if (config.threads == 0 || config.threads > SGXDL_MAX_THREADS) {
        throw Error(
            fmt::format("{} threads: 1 to {} are possible", config.threads, SGXDL_MAX_THREADS));
    }
    if (config.stack_pages < 16) throw Error("a stack needs at least 64 KiB");
    if (config.arena_size % page != 0 || config.arena_size == 0) {
        throw Error("the arena is not a whole number of pages");
    }
    if (config.static_heap_size != 0) {
        if (config.static_heap_size % page != 0) {
            throw Error("the static heap is not a whole number of pages");
        }
        if (config.static_heap_size < least_static || config.arena_size < least_static) {
            throw Error("static arena and static heap need at least 1 MiB each");
        }
    }
    if (config.product.empty() || config.product.size() >= sizeof(sgxdl_image_info::product)) {
        throw Error(
            fmt::format("product name '{}' has no or more than 63 characters", config.product));
    }

    EnclaveLayout layout = {};
    sgxdl_image_info& info = layout.info;
    const Segment& last = image.segments.back();
    info.magic = SGXDL_IMAGE_INFO_MAGIC;
    info.elrange_size = config.elrange_size;
    info.image_size = last.address + last.bytes.size();
    info.threads_offset = round_up(info.image_size, 16 * page);
    info.thread_count = config.threads;
    info.stack_pages = config.stack_pages;
    layout.tcs_stride = (config.stack_pages + SGXDL_THREAD_BLOCK_EXTRA_PAGES) * page;
    info.arena_offset =
        round_up(info.threads_offset + config.threads * layout.tcs_stride, 2u << 20);
    info.arena_size = config.arena_size;
    info.void_offset = info.arena_offset + info.arena_size;
    info.records_offset = info.void_offset + SGXDL_VOID_SIZE;
    info.records_size = round_up(config.elrange_size / page, page);
    info.heap_offset = round_up(info.records_offset + info.records_size, 64 * 1024);
    if (info.heap_offset + (4u << 20) > config.elrange_size) {
        throw Error(
            fmt::format("an enclave of {:#x} bytes has no room for a heap behind its arena "
                        "of {:#x}: {:#x} are taken",
                        config.elrange_size, config.arena_size, info.heap_offset));
    }
    info.heap_size = config.elrange_size - info.heap_offset;
    if (config.static_heap_size != 0) {
        if (config.static_heap_size > info.heap_size) {
            throw Error(
                fmt::format("a static heap of {:#x} bytes does not fit: the range has {:#x}",
                            config.static_heap_size, info.heap_size));
        }
        info.static_pages = 1;
        info.heap_size = config.static_heap_size;
    }
    if (info.arena_offset + info.arena_size > (uint64_t{1} << 31)) {
        throw Error("the arena does not end within 2 GiB of the image");
    }
    memcpy(info.product, config.product.data(), config.product.size());
    if (config.vendor_key) {
        memcpy(info.vendor_key, config.vendor_key->data(), sizeof(info.vendor_key));
        info.has_vendor_key = 1;
    }

    if (image.address_of("sgxdl_image_base") != 0 || image.segments[0].address != 0) {
        throw Error("the image is not linked at address 0 (enclave/image.lds)");
    }
    const uint64_t info_at = image.address_of("sgxdl_image_information");
    if (info_at + sizeof(info) > image.segments[0].bytes.size()) {
        throw Error("the information page is not in the first segment");
    }
    memcpy(image.segments[0].bytes.data() + info_at, &info, sizeof(info));
    for (Segment& segment : image.segments) {
        layout.runs.push_back({segment.address, segment.bytes.size(), secinfo_of(segment.flags),
                               std::move(segment.bytes)});
    }
    for (uint32_t index = 0; index < config.threads; ++index) {
        add_thread(layout, index, image.entry);
    }
    if (info.static_pages != 0) add_static_pages(layout);
    layout.tcs_offset = info.threads_offset + layout.tcs_stride - page;
    return layout;
}

}  // namespace sgxdl::signer
