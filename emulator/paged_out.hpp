// Where the pages of one enclave are that the reclaimer wrote out: the backing store, which belongs
// to the operating system and could be changed by it, and the version array, which lies in the EPC.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "sgxdl/arch/sgx.h"

namespace sgxemu {

class PagedOut {
 public:
    PagedOut() = default;
    ~PagedOut();
    PagedOut(const PagedOut&) = delete;
    PagedOut& operator=(const PagedOut&) = delete;

    // Makes the store for an enclave of that many pages, at the first page that is written out.
    bool make(size_t pages);

    // The backing store: ciphertext and PCMD of a page, by its place in ELRANGE.
    uint8_t* content(size_t index) { return content_ + index * SGX_ARCH_PAGE_SIZE; }
    sgx_pcmd& pcmd(size_t index) { return pcmd_[index]; }
    // The memory of a page's ciphertext is the host's again.
    void drop_content(size_t index);
    // The version of the page's last write-out; 0: none is out. EPC: not the system's to change.
    uint64_t& version(size_t index) { return versions_[index]; }

    void count(int change) { count_ += static_cast<size_t>(change); }
    size_t count() const { return count_; }

    // Pages of version array that the driver set aside, 512 slots each.
    size_t va_pages() const { return va_pages_; }
    void add_va_page() { ++va_pages_; }

 private:
    size_t pages_ = 0;
    uint8_t* content_ = nullptr;
    sgx_pcmd* pcmd_ = nullptr;
    uint64_t* versions_ = nullptr;
    size_t count_ = 0;
    size_t va_pages_ = 0;
};

}  // namespace sgxemu
