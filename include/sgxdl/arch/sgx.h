/* The structures and numbers that the SGX hardware defines, and only those.
 *
 * Source: Intel SDM volume 3D, chapters 35 (enclave operation), 37 (data structures; the section
 * is given at each) and 38 (instructions, error codes). What Linux defines is in <asm/sgx.h>; no
 * name here clashes with it. The constants can be used from assembly.
 *
 * Everything is little-endian; every structure is the size the hardware reads. Reserved fields
 * must be zero unless said otherwise. */
#ifndef SGXDL_ARCH_SGX_H
#define SGXDL_ARCH_SGX_H

#define SGX_ARCH_PAGE_SIZE 4096

/* ENCLU leaves, in EAX (SDM 38.1, table 38-2). */
#define SGX_ENCLU_EREPORT 0
#define SGX_ENCLU_EGETKEY 1
#define SGX_ENCLU_EENTER 2
#define SGX_ENCLU_ERESUME 3
#define SGX_ENCLU_EEXIT 4
#define SGX_ENCLU_EACCEPT 5
#define SGX_ENCLU_EMODPE 6
#define SGX_ENCLU_EACCEPTCOPY 7

/* ENCLS leaves, in EAX (SDM 38.1, table 38-1). */
#define SGX_ENCLS_ECREATE 0x00
#define SGX_ENCLS_EADD 0x01
#define SGX_ENCLS_EINIT 0x02
#define SGX_ENCLS_EREMOVE 0x03
#define SGX_ENCLS_EDBGRD 0x04
#define SGX_ENCLS_EDBGWR 0x05
#define SGX_ENCLS_EEXTEND 0x06
#define SGX_ENCLS_ELDB 0x07
#define SGX_ENCLS_ELDU 0x08
#define SGX_ENCLS_EBLOCK 0x09
#define SGX_ENCLS_EPA 0x0a
#define SGX_ENCLS_EWB 0x0b
#define SGX_ENCLS_ETRACK 0x0c
#define SGX_ENCLS_EAUG 0x0d
#define SGX_ENCLS_EMODPR 0x0e
#define SGX_ENCLS_EMODT 0x0f

/* Error codes that a leaf leaves in EAX (SDM 38.1.3, table 38-4). Neither faults nor errnos. */
#define SGX_SUCCESS 0
#define SGX_INVALID_SIG_STRUCT 1
#define SGX_INVALID_ATTRIBUTE 2
#define SGX_BLKSTATE 3
#define SGX_INVALID_MEASUREMENT 4
#define SGX_NOTBLOCKABLE 5
#define SGX_PG_INVLD 6
#define SGX_EPC_PAGE_CONFLICT 7
#define SGX_INVALID_SIGNATURE 8
#define SGX_MAC_COMPARE_FAIL 9
#define SGX_PAGE_NOT_BLOCKED 10
#define SGX_NOT_TRACKED 11
#define SGX_VA_SLOT_OCCUPIED 12
#define SGX_CHILD_PRESENT 13
#define SGX_ENCLAVE_ACT 14
#define SGX_ENTRYEPOCH_LOCKED 15
#define SGX_INVALID_EINITTOKEN 16
#define SGX_PREV_TRK_INCMPL 17
#define SGX_PG_IS_SECS 18
#define SGX_PAGE_ATTRIBUTES_MISMATCH 19
#define SGX_PAGE_NOT_MODIFIABLE 20
#define SGX_PAGE_NOT_DEBUGGABLE 21
#define SGX_INVALID_CPUSVN 32
#define SGX_INVALID_ISVSVN 64
#define SGX_UNMASKED_EVENT 128
#define SGX_INVALID_KEYNAME 256

/* Page types (SDM 37.19, table 37-19). */
#define SGX_PT_SECS 0
#define SGX_PT_TCS 1
#define SGX_PT_REG 2
#define SGX_PT_VA 3
#define SGX_PT_TRIM 4

/* SECINFO.FLAGS (SDM 37.12.1, table 37-11). */
#define SGX_SECINFO_R 0x01
#define SGX_SECINFO_W 0x02
#define SGX_SECINFO_X 0x04
#define SGX_SECINFO_PENDING 0x08
#define SGX_SECINFO_MODIFIED 0x10
#define SGX_SECINFO_PR 0x20
#define SGX_SECINFO_PT_SHIFT 8
#define SGX_SECINFO_PT_MASK 0xff00
#define SGX_SECINFO_SECS (SGX_PT_SECS << SGX_SECINFO_PT_SHIFT)
#define SGX_SECINFO_TCS (SGX_PT_TCS << SGX_SECINFO_PT_SHIFT)
#define SGX_SECINFO_REG (SGX_PT_REG << SGX_SECINFO_PT_SHIFT)
#define SGX_SECINFO_TRIM (SGX_PT_TRIM << SGX_SECINFO_PT_SHIFT)

/* ATTRIBUTES.FLAGS (SDM 37.7.1, table 37-3). Bits 3, 6 and above 7 are reserved here. */
#define SGX_ATTR_INIT 0x01
#define SGX_ATTR_DEBUG 0x02
#define SGX_ATTR_MODE64BIT 0x04
#define SGX_ATTR_PROVISIONKEY 0x10
#define SGX_ATTR_EINITTOKENKEY 0x20
#define SGX_ATTR_KSS 0x80

/* ATTRIBUTES.XFRM (SDM 37.7.2): XCR0's layout; x87 and SSE must both be set. */
#define SGX_XFRM_LEGACY 0x3
#define SGX_XFRM_AVX 0x4

/* MISCSELECT (SDM 37.7.3). */
#define SGX_MISC_EXINFO 0x01

/* TCS.FLAGS (SDM 37.8.1). */
#define SGX_TCS_DBGOPTIN 0x01

/* EXITINFO bit fields (SDM 37.9.1.1) and exit types (37.9.1.2). */
#define SGX_EXITINFO_VECTOR_MASK 0xff
#define SGX_EXITINFO_TYPE_SHIFT 8
#define SGX_EXITINFO_TYPE_HARDWARE 3
#define SGX_EXITINFO_TYPE_SOFTWARE 6
#define SGX_EXITINFO_VALID 0x80000000

/* Page-fault error code bits as an enclave or the kernel sees them (SDM 4.7 and 37.3). */
#define SGX_PFEC_P 0x0001
#define SGX_PFEC_W 0x0002
#define SGX_PFEC_U 0x0004
#define SGX_PFEC_I 0x0010
#define SGX_PFEC_SGX 0x8000

/* Key names and policy bits of EGETKEY (SDM 37.18.1, 37.18.2). */
#define SGX_KEY_EINITTOKEN 0
#define SGX_KEY_PROVISION 1
#define SGX_KEY_PROVISION_SEAL 2
#define SGX_KEY_REPORT 3
#define SGX_KEY_SEAL 4
#define SGX_KEYPOLICY_MRENCLAVE 0x01
#define SGX_KEYPOLICY_MRSIGNER 0x02
#define SGX_KEYPOLICY_NOISVPRODID 0x04
#define SGX_KEYPOLICY_CONFIGID 0x08
#define SGX_KEYPOLICY_ISVFAMILYID 0x10
#define SGX_KEYPOLICY_ISVEXTPRODID 0x20

/* Offsets that entry code needs: GPRSGX within the last 184 bytes of an SSA frame. */
#define SGX_GPRSGX_SIZE 184
#define SGX_GPRSGX_RAX 0
#define SGX_GPRSGX_RCX 8
#define SGX_GPRSGX_RDX 16
#define SGX_GPRSGX_RBX 24
#define SGX_GPRSGX_RSP 32
#define SGX_GPRSGX_RBP 40
#define SGX_GPRSGX_RSI 48
#define SGX_GPRSGX_RDI 56
#define SGX_GPRSGX_R8 64
#define SGX_GPRSGX_R9 72
#define SGX_GPRSGX_R10 80
#define SGX_GPRSGX_R11 88
#define SGX_GPRSGX_R12 96
#define SGX_GPRSGX_R13 104
#define SGX_GPRSGX_R14 112
#define SGX_GPRSGX_R15 120
#define SGX_GPRSGX_RFLAGS 128
#define SGX_GPRSGX_RIP 136
#define SGX_GPRSGX_URSP 144
#define SGX_GPRSGX_URBP 152
#define SGX_GPRSGX_EXITINFO 160
#define SGX_GPRSGX_FSBASE 168
#define SGX_GPRSGX_GSBASE 176
#define SGX_EXINFO_SIZE 16

#ifndef __ASSEMBLER__

#include <stdint.h>

#ifdef __cplusplus
#define SGX_ARCH_SIZE(type, bytes) static_assert(sizeof(type) == (bytes), #type)
#define SGX_ARCH_OFFSET(type, field, bytes) \
    static_assert(__builtin_offsetof(type, field) == (bytes), #type "." #field)
#define SGX_ARCH_ALIGN(bytes) alignas(bytes)
extern "C" {
#else
#define SGX_ARCH_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)
#define SGX_ARCH_OFFSET(type, field, bytes) \
    _Static_assert(__builtin_offsetof(type, field) == (bytes), #type "." #field)
#define SGX_ARCH_ALIGN(bytes) _Alignas(bytes)
#endif

/* ATTRIBUTES (37.7.1). */
struct sgx_attributes {
    uint64_t flags; /* SGX_ATTR_* */
    uint64_t xfrm;
};
SGX_ARCH_SIZE(struct sgx_attributes, 16);

/* SGX enclave control structure (37.7). Page aligned; never readable by software. */
struct sgx_secs {
    SGX_ARCH_ALIGN(4096) uint64_t size; /* bytes of ELRANGE, a power of two */
    uint64_t base;                      /* naturally aligned to size */
    uint32_t ssa_frame_size;            /* pages */
    uint32_t miscselect;
    uint8_t reserved1[24];
    struct sgx_attributes attributes;
    uint8_t mrenclave[32];
    uint8_t reserved2[32];
    uint8_t mrsigner[32];
    uint8_t reserved3[32];
    uint8_t config_id[64];
    uint16_t isv_prod_id;
    uint16_t isv_svn;
    uint16_t config_svn;
    uint8_t reserved4[3834];
};
SGX_ARCH_SIZE(struct sgx_secs, 4096);
SGX_ARCH_OFFSET(struct sgx_secs, attributes, 48);
SGX_ARCH_OFFSET(struct sgx_secs, mrenclave, 64);
SGX_ARCH_OFFSET(struct sgx_secs, mrsigner, 128);
SGX_ARCH_OFFSET(struct sgx_secs, config_id, 192);
SGX_ARCH_OFFSET(struct sgx_secs, isv_prod_id, 256);

/* Thread control structure (37.8). Offsets are from the enclave's base. */
struct sgx_tcs {
    SGX_ARCH_ALIGN(4096) uint64_t state; /* used by the processor; zero when added */
    uint64_t flags;                      /* SGX_TCS_* */
    uint64_t ossa;                       /* offset of the SSA stack, page aligned */
    uint32_t cssa;                       /* current slot; zero when added */
    uint32_t nssa;                       /* number of slots */
    uint64_t oentry;                     /* offset of the entry point */
    uint64_t aep;                        /* used by the processor */
    uint64_t ofs_base;                   /* offset added to base to form FS.base */
    uint64_t ogs_base;
    uint32_t fs_limit; /* 32-bit enclaves; low 12 bits must be set when added */
    uint32_t gs_limit;
    uint8_t reserved[4024];
};
SGX_ARCH_SIZE(struct sgx_tcs, 4096);
SGX_ARCH_OFFSET(struct sgx_tcs, oentry, 32);
SGX_ARCH_OFFSET(struct sgx_tcs, fs_limit, 64);

/* The end of an SSA frame (37.9.1). */
struct sgx_gprsgx {
    uint64_t rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rflags, rip;
    uint64_t ursp, urbp; /* the host's, saved by EENTER and ERESUME */
    uint32_t exitinfo;   /* SGX_EXITINFO_* */
    uint8_t reserved[3];
    uint8_t aexnotify;
    uint64_t fsbase, gsbase;
};
SGX_ARCH_SIZE(struct sgx_gprsgx, SGX_GPRSGX_SIZE);
SGX_ARCH_OFFSET(struct sgx_gprsgx, rip, SGX_GPRSGX_RIP);
SGX_ARCH_OFFSET(struct sgx_gprsgx, exitinfo, SGX_GPRSGX_EXITINFO);
SGX_ARCH_OFFSET(struct sgx_gprsgx, gsbase, SGX_GPRSGX_GSBASE);

/* MISC region's EXINFO (37.9.2), just below GPRSGX when MISCSELECT has SGX_MISC_EXINFO. */
struct sgx_exinfo {
    uint64_t maddr; /* #PF: linear address; #GP: 0 */
    uint32_t errcd; /* error code */
    uint32_t reserved;
};
SGX_ARCH_SIZE(struct sgx_exinfo, SGX_EXINFO_SIZE);

/* SECINFO (37.12). */
struct sgx_secinfo {
    SGX_ARCH_ALIGN(64) uint64_t flags; /* SGX_SECINFO_* */
    uint8_t reserved[56];
};
SGX_ARCH_SIZE(struct sgx_secinfo, 64);

/* PAGEINFO (37.11). */
struct sgx_pageinfo {
    SGX_ARCH_ALIGN(32) uint64_t linaddr;
    uint64_t srcpge;
    uint64_t secinfo; /* or PCMD */
    uint64_t secs;
};
SGX_ARCH_SIZE(struct sgx_pageinfo, 32);

/* Enclave signature structure (37.14). EINIT wants it page aligned. Numbers are little-endian. */
struct sgx_sigstruct {
    uint8_t header[16];  /* bytes 06 00 00 00 e1 00 00 00 00 00 01 00 00 00 00 00 */
    uint32_t vendor;     /* 0, or 8086h */
    uint32_t date;       /* BCD yyyymmdd */
    uint8_t header2[16]; /* bytes 01 01 00 00 60 00 00 00 60 00 00 00 01 00 00 00 */
    uint32_t swdefined;
    uint8_t reserved1[84];
    uint8_t modulus[384];
    uint32_t exponent; /* 3 */
    uint8_t signature[384];
    /* The signature covers bytes 0 to 127 and 900 to 1027 (miscselect to isv_svn). */
    uint32_t miscselect;
    uint32_t miscmask;
    uint8_t cet_attributes;
    uint8_t cet_attributes_mask;
    uint8_t reserved2[2];
    uint8_t isv_family_id[16];
    struct sgx_attributes attributes;
    struct sgx_attributes attributes_mask;
    uint8_t enclave_hash[32];
    uint8_t reserved3[16];
    uint8_t isv_ext_prod_id[16];
    uint16_t isv_prod_id;
    uint16_t isv_svn;
    uint8_t reserved4[12];
    uint8_t q1[384];
    uint8_t q2[384];
};
SGX_ARCH_SIZE(struct sgx_sigstruct, 1808);
SGX_ARCH_OFFSET(struct sgx_sigstruct, modulus, 128);
SGX_ARCH_OFFSET(struct sgx_sigstruct, exponent, 512);
SGX_ARCH_OFFSET(struct sgx_sigstruct, signature, 516);
SGX_ARCH_OFFSET(struct sgx_sigstruct, miscselect, 900);
SGX_ARCH_OFFSET(struct sgx_sigstruct, attributes, 928);
SGX_ARCH_OFFSET(struct sgx_sigstruct, enclave_hash, 960);
SGX_ARCH_OFFSET(struct sgx_sigstruct, isv_prod_id, 1024);
SGX_ARCH_OFFSET(struct sgx_sigstruct, q1, 1040);
SGX_ARCH_OFFSET(struct sgx_sigstruct, q2, 1424);

/* The 64 bytes that an enclave binds into its report (37.16.1). */
struct sgx_reportdata {
    SGX_ARCH_ALIGN(128) uint8_t bytes[64];
};

/* REPORT (37.15). EREPORT wants its output 512-byte aligned. The MAC covers bytes 0 to 383. */
struct sgx_report {
    SGX_ARCH_ALIGN(16) uint8_t cpu_svn[16];
    uint32_t miscselect;
    uint8_t cet_attributes;
    uint8_t reserved1[11];
    uint8_t isv_ext_prod_id[16];
    struct sgx_attributes attributes;
    uint8_t mrenclave[32];
    uint8_t reserved2[32];
    uint8_t mrsigner[32];
    uint8_t reserved3[32];
    uint8_t config_id[64];
    uint16_t isv_prod_id;
    uint16_t isv_svn;
    uint16_t config_svn;
    uint8_t reserved4[42];
    uint8_t isv_family_id[16];
    uint8_t report_data[64];
    uint8_t key_id[32];
    uint8_t mac[16];
};
SGX_ARCH_SIZE(struct sgx_report, 432);
SGX_ARCH_OFFSET(struct sgx_report, attributes, 48);
SGX_ARCH_OFFSET(struct sgx_report, config_id, 192);
SGX_ARCH_OFFSET(struct sgx_report, report_data, 320);
SGX_ARCH_OFFSET(struct sgx_report, key_id, 384);

/* TARGETINFO (37.16): for whom EREPORT makes the report. */
struct sgx_targetinfo {
    SGX_ARCH_ALIGN(512) uint8_t measurement[32];
    struct sgx_attributes attributes;
    uint8_t cet_attributes;
    uint8_t reserved1;
    uint16_t config_svn;
    uint32_t miscselect;
    uint8_t reserved2[8];
    uint8_t config_id[64];
    uint8_t reserved3[384];
};
SGX_ARCH_SIZE(struct sgx_targetinfo, 512);
SGX_ARCH_OFFSET(struct sgx_targetinfo, config_id, 64);

/* PCMD (37.12): what EWB leaves beside a page's ciphertext. */
struct sgx_pcmd {
    SGX_ARCH_ALIGN(128) struct sgx_secinfo secinfo;
    uint64_t enclave_id;
    uint8_t reserved[40];
    uint8_t mac[16];
};
SGX_ARCH_SIZE(struct sgx_pcmd, 128);
SGX_ARCH_OFFSET(struct sgx_pcmd, mac, 112);

/* KEYREQUEST (37.18): what EGETKEY derives. */
struct sgx_keyrequest {
    SGX_ARCH_ALIGN(512) uint16_t key_name; /* SGX_KEY_* */
    uint16_t key_policy;                   /* SGX_KEYPOLICY_* */
    uint16_t isv_svn;
    uint8_t cet_attributes_mask;
    uint8_t reserved1;
    uint8_t cpu_svn[16];
    struct sgx_attributes attribute_mask;
    uint8_t key_id[32];
    uint32_t misc_mask;
    uint16_t config_svn;
    uint8_t reserved2[434];
};
SGX_ARCH_SIZE(struct sgx_keyrequest, 512);
SGX_ARCH_OFFSET(struct sgx_keyrequest, cpu_svn, 8);
SGX_ARCH_OFFSET(struct sgx_keyrequest, key_id, 40);

#ifdef __cplusplus
}
#endif

#undef SGX_ARCH_SIZE
#undef SGX_ARCH_OFFSET
#undef SGX_ARCH_ALIGN

#endif /* __ASSEMBLER__ */

#endif /* SGXDL_ARCH_SGX_H */
