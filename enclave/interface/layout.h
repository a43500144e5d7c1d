/* Where things stand inside an enclave's linear range (ELRANGE), shared by the entry code, the
 * runtime, the signer and nobody else. Offsets are from the enclave's base, in bytes.
 *
 *   0                 image information page (struct sgxdl_image_info below), read-only
 *   page_size...      text R-X, constants R--, data RW-
 *   threads_offset    one block per thread, see below
 *   arena_offset      modules: dynamic pages, any use; within 2 GiB of the image
 *   void_offset       never backed: GS of a thread that is pinned to no generation points here
 *   records_offset    the page manager's own records: dynamic, RW
 *   heap_offset       dynamic, RW
 *
 * With static_pages (SGX1) nothing is dynamic: arena (RWX), records and heap (RW) are added before
 * EINIT, by address and permission only; their first content is whatever the host gave.
 *
 * A thread's block, ascending. Pages called "absent" (SGXDL_GUARD_PAGES each) are never added and
 * never accepted, so a stack that overflows faults:
 *   absent | stack (stack_pages) | absent | exception stack | thread area | SSA[0] | SSA[1] | TCS
 *
 * TCS, SSA: SDM volume 3D, 37.8 and 37.9. FS is the thread area, GS starts at void_offset. */
#ifndef SGXDL_ENCLAVE_INTERFACE_LAYOUT_H
#define SGXDL_ENCLAVE_INTERFACE_LAYOUT_H

#define SGXDL_PAGE_SIZE 4096
#define SGXDL_EXCEPTION_STACK_PAGES 4
#define SGXDL_GUARD_PAGES 16 /* more than a frame of code that does not probe its stack */
#define SGXDL_SSA_COUNT 2    /* slot 1 is for the exception handler; a fault in it is the end */
#define SGXDL_SSA_FRAME_PAGES 1
#define SGXDL_MAX_THREADS 64

/* From the thread area (FS). */
#define SGXDL_EXCEPTION_STACK_TOP 0
#define SGXDL_STACK_TOP (-(SGXDL_EXCEPTION_STACK_PAGES + SGXDL_GUARD_PAGES) * SGXDL_PAGE_SIZE)
#define SGXDL_SSA0 SGXDL_PAGE_SIZE
#define SGXDL_SSA1 (2 * SGXDL_PAGE_SIZE)
#define SGXDL_TCS (3 * SGXDL_PAGE_SIZE)

/* Pages of a block besides the stack. */
#define SGXDL_THREAD_BLOCK_EXTRA_PAGES \
    (2 * SGXDL_GUARD_PAGES + SGXDL_EXCEPTION_STACK_PAGES + 1 + SGXDL_SSA_COUNT + 1)

/* Bytes reserved at void_offset: a jump through GS with any stub index falls in. */
#define SGXDL_VOID_SIZE (8 * 1024 * 1024)

#define SGXDL_IMAGE_INFO_MAGIC 0x4f464e494c445853ull /* "SXDLINFO" */

#ifndef __ASSEMBLER__
#include <stdint.h>

/* Written by the signer before it measures; everything in it is part of MRENCLAVE. */
struct sgxdl_image_info {
    uint64_t magic;
    uint64_t elrange_size;
    uint64_t image_size; /* text, constants, data */
    uint64_t threads_offset;
    uint32_t thread_count;
    uint32_t stack_pages;
    uint64_t arena_offset, arena_size;
    uint64_t void_offset;
    uint64_t records_offset, records_size;
    uint64_t heap_offset, heap_size;
    char product[64];       /* the only product whose bundles this enclave takes */
    uint8_t vendor_key[32]; /* Ed25519; all zero: takes no bundle */
    uint32_t has_vendor_key;
    uint32_t static_pages; /* 1: see above; then no page comes or goes, and W^X does not hold */
};

/* The parts of the thread area that the signer writes. */
struct sgxdl_thread_init {
    uint32_t index;
    uint32_t reserved;
};
#define SGXDL_THREAD_INIT_OFFSET 0x200 /* in the thread area */
#endif
#endif
