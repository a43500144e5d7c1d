/* The page that the signer fills in before it measures the image: layout, product, vendor's key. */
#include "enclave/interface/layout.h"

__attribute__((section(".sgxdl.information"), used, aligned(4096)))
const struct sgxdl_image_info sgxdl_image_information = {.magic = 0};
