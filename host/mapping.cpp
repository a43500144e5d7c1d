// Building an enclave from its image: ECREATE, EADD and EEXTEND of every page, EINIT, and the
// mappings. Documentation/x86/sgx.rst; SDM volume 3D, 36.1.

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "host/enclave_impl.hpp"
#include "sgxdl/arch/sgx.h"

namespace sgxdl::host {

namespace {

struct Unmapper {
    size_t size = 0;
    void operator()(void* address) const { ::munmap(address, size); }
};
using Anonymous = std::unique_ptr<void, Unmapper>;

[[noreturn]] void fail(const std::string& what, int error) {
    throw Error(what + ": " + strerror(error));
}

// Memory that the driver may add pages from: it refuses sources mapped from noexec file systems.
Anonymous anonymous(size_t size) {
    void* const memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("memory for the image", errno);
    return Anonymous(memory, Unmapper{size});
}

int protection_of(uint64_t secinfo) {
    if ((secinfo & SGX_SECINFO_PT_MASK) == SGX_SECINFO_TCS) return PROT_READ | PROT_WRITE;
    int protection = 0;
    if ((secinfo & SGX_SECINFO_R) != 0) protection |= PROT_READ;
    if ((secinfo & SGX_SECINFO_W) != 0) protection |= PROT_WRITE;
    if ((secinfo & SGX_SECINFO_X) != 0) protection |= PROT_EXEC;
    return protection;
}

}  // namespace

Mapping::Mapping(SgxDevice& device, const ImageFile& image) : device_(device) {
    descriptor_ = device_.open();
    if (descriptor_ < 0) fail("opening the SGX device", -descriptor_);
    try {
        if (!image.static_pages() && !device_.adds_pages_later(descriptor_)) {
            throw Error(
                "the image needs SGX2, to add pages to the running enclave, and this machine's "
                "processor or kernel has none: sign it with --static-arena and --static-heap");
        }
        create(image);
        map(image);
    } catch (...) {
        release();
        throw;
    }
}

Mapping::~Mapping() {
    release();
}

void Mapping::release() {
    if (base_ != 0) device_.munmap(reinterpret_cast<void*>(base_), size_);
    if (descriptor_ >= 0) device_.close(descriptor_);
    base_ = 0;
    descriptor_ = -1;
}

void Mapping::create(const ImageFile& image) {
    const sgxdl_image_header& h = image.header;
    size_ = h.elrange_size;
    // ELRANGE must be aligned to its size.
    void* const reserved =
        ::mmap(nullptr, 2 * size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) fail("address range for the enclave", errno);
    const uint64_t begin = reinterpret_cast<uint64_t>(reserved);
    base_ = (begin + size_ - 1) / size_ * size_;
    if (base_ != begin) ::munmap(reserved, base_ - begin);
    const uint64_t end = base_ + size_;
    if (end != begin + 2 * size_) {
        ::munmap(reinterpret_cast<void*>(end), begin + 2 * size_ - end);
    }

    alignas(4096) sgx_secs secs = {};
    secs.size = size_;
    secs.base = base_;
    secs.ssa_frame_size = h.ssa_frame_size;
    secs.miscselect = h.miscselect;
    secs.attributes.flags = h.attributes;
    secs.attributes.xfrm = h.xfrm;
    sgx_enclave_create create = {};
    create.src = reinterpret_cast<uint64_t>(&secs);
    if (const int error = device_.ioctl(descriptor_, SGX_IOC_ENCLAVE_CREATE, &create)) {
        fail("SGX_IOC_ENCLAVE_CREATE", -error);
    }

    uint64_t largest = 0;
    for (const sgxdl_image_segment& s : image.segments)
        largest = std::max(largest, s.size);
    const Anonymous zeros = anonymous(largest);
    const Anonymous contents = anonymous(largest);
    for (const sgxdl_image_segment& s : image.segments) {
        const void* source = zeros.get();
        if (s.contents_at != 0) {
            memcpy(contents.get(), image.bytes.data() + s.contents_at, s.size);
            source = contents.get();
        }
        sgx_secinfo secinfo = {};
        secinfo.flags = s.secinfo;
        for (uint64_t done = 0; done < s.size;) {
            sgx_enclave_add_pages add = {};
            add.src = reinterpret_cast<uint64_t>(source) + done;
            add.offset = s.offset + done;
            add.length = s.size - done;
            add.secinfo = reinterpret_cast<uint64_t>(&secinfo);
            add.flags = s.measured != 0 ? SGX_PAGE_MEASURE : 0;
            const int error = device_.ioctl(descriptor_, SGX_IOC_ENCLAVE_ADD_PAGES, &add);
            done += add.count;
            // A signal may interrupt a long run: what was added counts.
            if (error != 0 && error != -EINTR && (error != -EAGAIN || add.count == 0)) {
                fail("SGX_IOC_ENCLAVE_ADD_PAGES", -error);
            }
        }
    }

    alignas(4096) uint8_t sigstruct[4096] = {};
    memcpy(sigstruct, image.bytes.data() + h.sigstruct_at, 1808);
    sgx_enclave_init init = {};
    init.sigstruct = reinterpret_cast<uint64_t>(sigstruct);
    int error;
    do {
        error = device_.ioctl(descriptor_, SGX_IOC_ENCLAVE_INIT, &init);
    } while (error == -EINTR);
    if (error == -EPERM) fail("SGX_IOC_ENCLAVE_INIT: image and signature do not match", EPERM);
    if (error != 0) fail("SGX_IOC_ENCLAVE_INIT", -error);
}

void Mapping::map(const ImageFile& image) {
    const auto map_range = [&](uint64_t offset, uint64_t size, int protection) {
        if (size == 0) return;  // an image with static pages has no windows
        void* const wanted = reinterpret_cast<void*>(base_ + offset);
        if (device_.mmap(wanted, size, protection, MAP_SHARED | MAP_FIXED, descriptor_) != wanted) {
            fail("mapping the enclave", errno);
        }
    };
    for (const sgxdl_image_segment& s : image.segments) {
        map_range(s.offset, s.size, protection_of(s.secinfo));
    }
    // The page tables belong to the OS anyway; who may write or execute what is the EPCM's word.
    map_range(image.header.code_offset, image.header.code_size, PROT_READ | PROT_WRITE | PROT_EXEC);
    map_range(image.header.data_offset, image.header.data_size, PROT_READ | PROT_WRITE);
}

}  // namespace sgxdl::host
