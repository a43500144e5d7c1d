/* What stub.S and C++ know of each other. A thread's FastThread (fast.hpp) lies behind its Thread.
 */
#ifndef SGXEMU_FAST_OFFSETS_H
#define SGXEMU_FAST_OFFSETS_H

/* struct Thread (thread.hpp) */
#define THREAD_INSIDE 0
#define THREAD_HOST_FS 8
#define THREAD_HOST_GS 16
#define THREAD_SYSCALLS 24
#define SYSCALLS_ALLOWED 0
#define SYSCALLS_BLOCKED 1

#define FAST 2048
#define FAST_EXIT_ALLOWED (FAST + 0)
#define FAST_AFTER (FAST + 8)
#define FAST_AEP (FAST + 16)
#define FAST_RAX (FAST + 24)
#define FAST_RCX (FAST + 32)
#define FAST_FLAGS (FAST + 40)
#define FAST_RSP (FAST + 48)
#define FAST_BUSY (FAST + 56)
#define FAST_STUB (FAST + 64)
#define FAST_NEXT (FAST + 72)
#define FAST_STACK (FAST + 80)
#define FAST_XFRM (FAST + 88)

/* Bytes kept for an XSAVE area without AMX; 8 KiB holds every other component. */
#define FAST_XSAVE_SIZE 8192

/* How a range of the stub is left when a signal comes (struct Range of stub.hpp). */
#define AT_ENCLU 0    /* nothing has changed */
#define SWAPPED 1     /* RAX is in RCX, less `value`, and RCX in RAX */
#define RCX_IN_RAX 2  /* RAX was `value`, RCX is in RAX */
#define FOUND 3       /* RAX is in FAST_RAX, RCX in RAX */
#define SAVED 4       /* RAX is in FAST_RAX, RCX in FAST_RCX */
#define FLAGS_SAVED 5 /* the same; the arithmetic flags are in FAST_FLAGS */
#define LEFT 6        /* EEXIT has happened but for the registers */
#define LEAF_DONE 7   /* the registers are in the frame of the leaf */

#endif
