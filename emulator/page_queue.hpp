// The pages of one enclave that are in the EPC, oldest first: the driver's sgx_active_page_list.
// The links are in the EPCM entries.
#pragma once

#include <cstdint>

#include "emulator/epcm.hpp"

namespace sgxemu {

class PageQueue {
 public:
    uint32_t oldest() const { return oldest_; }

    void push(EpcmEntry* entries, uint32_t index) {
        entries[index].older = newest_;
        entries[index].newer = no_page;
        (newest_ == no_page ? oldest_ : entries[newest_].newer) = index;
        newest_ = index;
    }

    void remove(EpcmEntry* entries, uint32_t index) {
        EpcmEntry& e = entries[index];
        (e.older == no_page ? oldest_ : entries[e.older].newer) = e.newer;
        (e.newer == no_page ? newest_ : entries[e.newer].older) = e.older;
        e.older = e.newer = no_page;
    }

 private:
    uint32_t oldest_ = no_page, newest_ = no_page;
};

}  // namespace sgxemu
