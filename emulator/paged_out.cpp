#include "emulator/paged_out.hpp"

#include "emulator/host.hpp"

namespace sgxemu {

namespace {

void* map_zeros(size_t size) {
    void* p = host::mmap(host::far_away(size), size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? nullptr : p;
}

void unmap(void* p, size_t size) {
    if (p != nullptr) host::munmap(p, size);
}

}  // namespace

PagedOut::~PagedOut() {
    unmap(content_, pages_ * SGX_ARCH_PAGE_SIZE);
    unmap(pcmd_, pages_ * sizeof(sgx_pcmd));
    unmap(versions_, pages_ * sizeof(uint64_t));
}

bool PagedOut::make(size_t pages) {
    if (versions_ != nullptr) return true;
    pages_ = pages;
    if (content_ == nullptr)
        content_ = static_cast<uint8_t*>(map_zeros(pages * SGX_ARCH_PAGE_SIZE));
    if (pcmd_ == nullptr) pcmd_ = static_cast<sgx_pcmd*>(map_zeros(pages * sizeof(sgx_pcmd)));
    if (content_ == nullptr || pcmd_ == nullptr) return false;
    versions_ = static_cast<uint64_t*>(map_zeros(pages * sizeof(uint64_t)));
    return versions_ != nullptr;
}

void PagedOut::drop_content(size_t index) {
    ::madvise(content(index), SGX_ARCH_PAGE_SIZE, MADV_DONTNEED);
}

}  // namespace sgxemu
