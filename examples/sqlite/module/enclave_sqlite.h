/*
 * What the SQLite module adds to sqlite3.h for the enclave's base code.
 */
#ifndef SGXDL_EXAMPLES_ENCLAVE_SQLITE_H
#define SGXDL_EXAMPLES_ENCLAVE_SQLITE_H

#include "sqlite3.h"

/*
 * Configures SQLite for the enclave (mutexes) and initialises it. Call it once, before any other
 * function of SQLite. Returns SQLITE_OK or SQLite's error code.
 */
int enclave_sqlite_start(void);

#endif
