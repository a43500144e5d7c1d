// Included before everything else in trusted C++: Debian's libstdc++ headers are configured for
// glibc, the enclave's C library is musl. Only headers are used; libstdc++ itself is not linked.
#pragma once

#define __GLIBC_PREREQ(major, minor) 0
#define __locale_t locale_t

#include <bits/c++config.h>

// What glibc has and musl 1.2.3 lacks.
#undef _GLIBCXX_USE_PTHREAD_COND_CLOCKWAIT
#undef _GLIBCXX_USE_PTHREAD_MUTEX_CLOCKLOCK
#undef _GLIBCXX_USE_PTHREAD_RWLOCK_CLOCKLOCK
