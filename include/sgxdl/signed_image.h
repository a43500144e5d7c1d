/* The signed enclave image: what `sgxdl sign-enclave` writes and the host library loads.
 *
 * A header, `segment_count` segment records, the SIGSTRUCT, and page-aligned page contents. The
 * host replays the records in order (ECREATE, then EADD for every page, with 16 times EEXTEND if
 * its content is measured, EINIT), so the file's order is the measurement's.
 *
 * An image without windows (code_size and data_size 0) has static pages: all that it will ever have
 * stand in the segments, and it needs no SGX2. Nothing in here needs to be trusted: an image
 * that was changed gets another MRENCLAVE and EINIT refuses it. Little-endian. */
#ifndef SGXDL_SIGNED_IMAGE_H
#define SGXDL_SIGNED_IMAGE_H

#include <stdint.h>

#define SGXDL_IMAGE_MAGIC "SGXDLIMG"
#define SGXDL_IMAGE_FORMAT 2u

struct sgxdl_image_header {
    char magic[8];        /* SGXDL_IMAGE_MAGIC, without NUL */
    uint32_t format;      /* SGXDL_IMAGE_FORMAT */
    uint32_t header_size; /* sizeof(struct sgxdl_image_header) */
    uint64_t elrange_size;
    uint32_t ssa_frame_size; /* pages */
    uint32_t miscselect;
    uint64_t attributes, xfrm;
    uint32_t segment_count;
    uint32_t thread_count;
    uint64_t segments_at;            /* file offset of the segment records */
    uint64_t sigstruct_at;           /* file offset of the SIGSTRUCT, 1808 bytes */
    uint64_t code_offset, code_size; /* dynamic window for modules: any protection */
    uint64_t data_offset, data_size; /* dynamic window for records and heap: RW */
    uint64_t tcs_offset, tcs_stride; /* of the first TCS in ELRANGE, and to the next */
    uint8_t mrenclave[32];           /* for people; the processor computes its own */
};

struct sgxdl_image_segment {
    uint64_t offset;      /* in ELRANGE, page aligned */
    uint64_t size;        /* bytes, whole pages */
    uint64_t secinfo;     /* SECINFO.FLAGS */
    uint64_t contents_at; /* file offset, page aligned; 0: zero pages */
    uint32_t measured;    /* 1: with EEXTEND; 0: MRENCLAVE has address and SECINFO only */
    uint32_t reserved;    /* 0 */
};

#endif
