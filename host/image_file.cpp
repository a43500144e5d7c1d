#include "host/image_file.hpp"

#include <cstring>
#include <fstream>
#include <iterator>

#include "sgxdl/host.hpp"

namespace sgxdl::host {

namespace {

constexpr uint64_t page = 4096;
constexpr uint64_t sigstruct_size = 1808;
constexpr uint64_t max_elrange = uint64_t{1} << 40;

bool pages_within(uint64_t offset, uint64_t size, uint64_t limit) {
    return offset % page == 0 && size % page == 0 && offset <= limit && size <= limit - offset;
}

}  // namespace

ImageFile read_image_file(const std::string& path) {
    const auto fail = [&](const char* what) { throw Error(path + ": " + what); };
    std::ifstream stream(path, std::ios::binary);
    if (!stream) fail("cannot be opened");
    ImageFile image;
    image.bytes.assign(std::istreambuf_iterator<char>(stream), {});
    const uint64_t file_size = image.bytes.size();
    sgxdl_image_header& h = image.header;
    if (file_size < sizeof(h)) fail("too short for a signed enclave image");
    memcpy(&h, image.bytes.data(), sizeof(h));
    if (memcmp(h.magic, SGXDL_IMAGE_MAGIC, sizeof(h.magic)) != 0 ||
        h.format != SGXDL_IMAGE_FORMAT || h.header_size != sizeof(h)) {
        fail("not a signed enclave image of this format (`sgxdl sign-enclave` makes them)");
    }
    if (h.elrange_size < page || h.elrange_size > max_elrange ||
        (h.elrange_size & (h.elrange_size - 1)) != 0) {
        fail("size of the enclave is not a power of two");
    }
    if (h.segments_at > file_size || h.segment_count > 4096 ||
        h.segment_count * sizeof(sgxdl_image_segment) > file_size - h.segments_at ||
        h.sigstruct_at > file_size || sigstruct_size > file_size - h.sigstruct_at) {
        fail("truncated");
    }
    image.segments.resize(h.segment_count);
    memcpy(image.segments.data(), image.bytes.data() + h.segments_at,
           h.segment_count * sizeof(sgxdl_image_segment));
    for (const sgxdl_image_segment& s : image.segments) {
        if (s.size == 0 || !pages_within(s.offset, s.size, h.elrange_size)) {
            fail("a segment lies outside the enclave");
        }
        if (s.contents_at != 0 && !pages_within(s.contents_at, s.size, file_size)) {
            fail("truncated");
        }
    }
    if (!pages_within(h.code_offset, h.code_size, h.elrange_size) ||
        !pages_within(h.data_offset, h.data_size, h.elrange_size)) {
        fail("a dynamic window lies outside the enclave");
    }
    if (h.thread_count == 0 || h.thread_count > 4096 || h.tcs_offset % page != 0 ||
        h.tcs_offset >= h.elrange_size || h.tcs_stride % page != 0 ||
        (h.thread_count - 1) > (h.elrange_size - 1 - h.tcs_offset) / (h.tcs_stride | page)) {
        fail("threads lie outside the enclave");
    }
    return image;
}

}  // namespace sgxdl::host
