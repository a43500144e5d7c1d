// The bundle: what `sgxdl pack` and `sgxdl diff` write and the loader core reads.
//
// A bundle is one fixed-size signed header followed by the payload, an ELF relocatable file that
// ordinary tools can read (cut off the header: `tail -c +513 m.sgxm > m.o; objdump -dr m.o`).
// docs/bundle-format.md describes the payload's normal form. Shared by trusted and untrusted code;
// little-endian, no padding, no pointers.
#pragma once

#include <stdint.h>

#define SGXDL_BUNDLE_MAGIC "SGXDLBN1"
#define SGXDL_BUNDLE_FORMAT 1u
#define SGXDL_BUNDLE_NAME_SIZE 64u /* bytes, NUL-terminated and NUL-padded */

enum sgxdl_bundle_kind {
    SGXDL_BUNDLE_MODULE = 1, /* a whole module: its first definitions */
    SGXDL_BUNDLE_PATCH = 2,  /* changed and new definitions for a loaded module */
};

enum sgxdl_bundle_flags {
    /* The vendor allows the host to roll this patch back. Without it the patch raises the floor. */
    SGXDL_BUNDLE_ROLLBACK_ALLOWED = 1u << 0,
    /* Every bit that this loader does not know makes it refuse the bundle. */
    SGXDL_BUNDLE_KNOWN_FLAGS = 1u << 0,
};

struct sgxdl_bundle_header {
    char magic[8];              /*   0 SGXDL_BUNDLE_MAGIC, without NUL */
    uint32_t format;            /*   8 SGXDL_BUNDLE_FORMAT */
    uint32_t kind;              /*  12 enum sgxdl_bundle_kind */
    uint32_t flags;             /*  16 enum sgxdl_bundle_flags */
    uint32_t header_size;       /*  20 sizeof(struct sgxdl_bundle_header) */
    char product[64];           /*  24 must equal the enclave's product name */
    char module[64];            /*  88 the module that this bundle makes or changes */
    char version[64];           /* 152 for people; the state after this bundle */
    uint64_t security_version;  /* 216 never below the loader's floor for the module */
    uint64_t payload_size;      /* 224 bytes that follow the header */
    uint8_t payload_digest[32]; /* 232 BLAKE2b-256 over the payload */
    uint8_t predecessor[32]; /* 264 digest (below) of the bundle whose state this one changes; zero
                                for a module */
    uint8_t reserved[152];   /* 296 zero */
    uint8_t signature[64];   /* 448 Ed25519 by the vendor's key over bytes 0 to 447 */
};

/* The digest that names a bundle, in `predecessor`, in logs and in the measurement register:
 * BLAKE2b-256 over the signed bytes of the header (which contain the payload's digest). */
#define SGXDL_BUNDLE_SIGNED_SIZE 448u
#define SGXDL_BUNDLE_HEADER_SIZE 512u

#ifdef __cplusplus
static_assert(sizeof(sgxdl_bundle_header) == SGXDL_BUNDLE_HEADER_SIZE);
static_assert(__builtin_offsetof(sgxdl_bundle_header, signature) == SGXDL_BUNDLE_SIGNED_SIZE);
static_assert(__builtin_offsetof(sgxdl_bundle_header, security_version) == 216);
static_assert(__builtin_offsetof(sgxdl_bundle_header, reserved) == 296);
#else
_Static_assert(sizeof(struct sgxdl_bundle_header) == SGXDL_BUNDLE_HEADER_SIZE, "bundle header");
#endif
