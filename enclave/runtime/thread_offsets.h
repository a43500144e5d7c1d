/* Offsets in the thread area (what FS points at) for the entry code; thread.hpp asserts them. */
#ifndef SGXDL_ENCLAVE_RUNTIME_THREAD_OFFSETS_H
#define SGXDL_ENCLAVE_RUNTIME_THREAD_OFFSETS_H

#define THREAD_SELF 0x000
#define THREAD_CANARY 0x028
#define THREAD_INDEX 0x200
#define THREAD_EXIT_TARGET 0x210
#define THREAD_OCALL_FRAME 0x218

/* In the frame that an ocall leaves on the stack. */
#define OCALL_FRAME_PREVIOUS 8
#define OCALL_FRAME_GS 16

#endif
