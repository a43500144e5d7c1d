// A signed image file, read and checked for what creating an enclave from it relies on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sgxdl/signed_image.h"

namespace sgxdl::host {

struct ImageFile {
    sgxdl_image_header header;
    std::vector<sgxdl_image_segment> segments;
    std::vector<uint8_t> bytes;  // the whole file
    // All pages are there from the start (sgxdl/signed_image.h).
    bool static_pages() const { return header.code_size == 0 && header.data_size == 0; }
};

// Throws Error, naming the file and what is wrong with it.
ImageFile read_image_file(const std::string& path);

}  // namespace sgxdl::host
