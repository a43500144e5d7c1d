/*
 * SQLite's mutexes on the enclave's pthread mutexes.
 *
 * SQLite brings a pthread implementation for Unix only; with SQLITE_OS_OTHER it would run without
 * locks, and two clients of one shared memdb would corrupt it. SQLITE_CONFIG_MUTEX takes ours.
 * Fast mutexes are plain, recursive ones PTHREAD_MUTEX_RECURSIVE; the static ones are fast.
 *
 * Reference: sqlite3_mutex_methods and "Mutexes" in sqlite3.h.
 */
#include "enclave_sqlite.h"

#include <pthread.h>
#include <stdlib.h>

struct sqlite3_mutex {
    pthread_mutex_t lock;
};

enum { static_mutexes = SQLITE_MUTEX_STATIC_VFS3 - SQLITE_MUTEX_STATIC_MAIN + 1 };

static struct sqlite3_mutex static_mutex[static_mutexes] = {
    {PTHREAD_MUTEX_INITIALIZER}, {PTHREAD_MUTEX_INITIALIZER}, {PTHREAD_MUTEX_INITIALIZER},
    {PTHREAD_MUTEX_INITIALIZER}, {PTHREAD_MUTEX_INITIALIZER}, {PTHREAD_MUTEX_INITIALIZER},
    {PTHREAD_MUTEX_INITIALIZER}, {PTHREAD_MUTEX_INITIALIZER}, {PTHREAD_MUTEX_INITIALIZER},
    {PTHREAD_MUTEX_INITIALIZER}, {PTHREAD_MUTEX_INITIALIZER}, {PTHREAD_MUTEX_INITIALIZER},
};

static int mutex_init(void) {
    return SQLITE_OK;
}

static int mutex_end(void) {
    return SQLITE_OK;
}

static sqlite3_mutex* mutex_alloc(int kind) {
    pthread_mutexattr_t attributes;
    struct sqlite3_mutex* mutex;
    int failed;
    if (kind >= SQLITE_MUTEX_STATIC_MAIN) {
        int index = kind - SQLITE_MUTEX_STATIC_MAIN;
        return index < static_mutexes ? &static_mutex[index] : 0;
    }
    mutex = malloc(sizeof *mutex); /* sqlite3_malloc would initialise SQLite again */
    if (!mutex) return 0;
    if (kind != SQLITE_MUTEX_RECURSIVE) {
        failed = pthread_mutex_init(&mutex->lock, 0);
    } else {
        failed = pthread_mutexattr_init(&attributes);
        if (!failed) failed = pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
        if (!failed) failed = pthread_mutex_init(&mutex->lock, &attributes);
    }
    if (failed) {
        free(mutex);
        return 0;
    }
    return mutex;
}

static void mutex_free(sqlite3_mutex* mutex) {
    pthread_mutex_destroy(&mutex->lock);
    free(mutex);
}

static void mutex_enter(sqlite3_mutex* mutex) {
    pthread_mutex_lock(&mutex->lock);
}

static int mutex_try(sqlite3_mutex* mutex) {
    return pthread_mutex_trylock(&mutex->lock) == 0 ? SQLITE_OK : SQLITE_BUSY;
}

static void mutex_leave(sqlite3_mutex* mutex) {
    pthread_mutex_unlock(&mutex->lock);
}

int enclave_sqlite_start(void) {
    static const sqlite3_mutex_methods methods = {
        .xMutexInit = mutex_init,
        .xMutexEnd = mutex_end,
        .xMutexAlloc = mutex_alloc,
        .xMutexFree = mutex_free,
        .xMutexEnter = mutex_enter,
        .xMutexTry = mutex_try,
        .xMutexLeave = mutex_leave,
    };
    int rc = sqlite3_config(SQLITE_CONFIG_MUTEX, &methods);
    return rc == SQLITE_OK ? sqlite3_initialize() : rc;
}
