/*
 * The operating system that SQLite sees inside an enclave: no files, only randomness and a clock.
 *
 * Databases live in SQLite's own memdb VFS ("file:/name?vfs=memdb"), which asks the default VFS
 * (this one) for everything that is not storage. Part of the SQLite module, so it is loaded and
 * linked like SQLite itself; what it needs from the enclave it imports by name: getentropy,
 * clock_gettime and nanosleep. Time is the host's and is not trusted.
 *
 * Reference: https://www.sqlite.org/vfs.html, sqlite3_vfs in sqlite3.h.
 */
#include "enclave_sqlite.h"

#include <time.h>
#include <unistd.h>

static int open_refused(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags,
                        int* out_flags) {
    (void)vfs;
    (void)name;
    (void)flags;
    (void)out_flags;
    file->pMethods = 0;
    return SQLITE_CANTOPEN;
}

static int delete_refused(sqlite3_vfs* vfs, const char* name, int sync) {
    (void)vfs;
    (void)name;
    (void)sync;
    return SQLITE_IOERR_DELETE;
}

static int access_nothing(sqlite3_vfs* vfs, const char* name, int flags, int* result) {
    (void)vfs;
    (void)name;
    (void)flags;
    *result = 0;
    return SQLITE_OK;
}

static int full_pathname(sqlite3_vfs* vfs, const char* name, int size, char* out) {
    (void)vfs;
    sqlite3_snprintf(size, out, "%s", name);
    return SQLITE_OK;
}

/* SQLite asks for at most a few dozen bytes; getentropy gives 256 at a time. */
static int randomness(sqlite3_vfs* vfs, int size, char* out) {
    int done = 0;
    (void)vfs;
    while (done < size) {
        int part = size - done < 256 ? size - done : 256;
        if (getentropy(out + done, (size_t)part) != 0) break;
        done += part;
    }
    return done;
}

static int sleep_us(sqlite3_vfs* vfs, int microseconds) {
    struct timespec wish = {microseconds / 1000000, (microseconds % 1000000) * 1000L};
    (void)vfs;
    nanosleep(&wish, 0);
    return microseconds;
}

static int current_time_ms(sqlite3_vfs* vfs, sqlite3_int64* now) {
    /* Julian day of the Unix epoch, in milliseconds. */
    static const sqlite3_int64 unix_epoch = 24405875 * (sqlite3_int64)8640000;
    struct timespec time = {0, 0};
    (void)vfs;
    if (clock_gettime(CLOCK_REALTIME, &time) != 0) return SQLITE_ERROR;
    *now = unix_epoch + 1000 * (sqlite3_int64)time.tv_sec + time.tv_nsec / 1000000;
    return SQLITE_OK;
}

static int current_time(sqlite3_vfs* vfs, double* now) {
    sqlite3_int64 ms = 0;
    int rc = current_time_ms(vfs, &ms);
    *now = (double)ms / 86400000.0;
    return rc;
}

static int last_error(sqlite3_vfs* vfs, int size, char* out) {
    (void)vfs;
    (void)size;
    (void)out;
    return 0;
}

static sqlite3_vfs enclave_vfs = {
    .iVersion = 2,
    .szOsFile = sizeof(sqlite3_file),
    .mxPathname = 512,
    .zName = "enclave",
    .xOpen = open_refused,
    .xDelete = delete_refused,
    .xAccess = access_nothing,
    .xFullPathname = full_pathname,
    .xRandomness = randomness,
    .xSleep = sleep_us,
    .xCurrentTime = current_time,
    .xGetLastError = last_error,
    .xCurrentTimeInt64 = current_time_ms,
};

/* SQLite calls these two from sqlite3_initialize() and sqlite3_shutdown() (SQLITE_OS_OTHER). */
int sqlite3_os_init(void) {
    return sqlite3_vfs_register(&enclave_vfs, 1);
}

int sqlite3_os_end(void) {
    return SQLITE_OK;
}
