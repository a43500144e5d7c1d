/* The checked functions that -D_FORTIFY_SOURCE makes code compiled against glibc's headers call
 * (Debian's libsodium is built so, and modules may be). Each ends the enclave when the object at
 * the destination is too small; glibc, "Fortify" in its manual. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

_Noreturn void __chk_fail(void);

#define CHECK(needed, available)                  \
    do {                                          \
        if ((needed) > (available)) __chk_fail(); \
    } while (0)

/* clang-format off */
void* __memcpy_chk(void*, const void*, size_t, size_t);
void* __memmove_chk(void*, const void*, size_t, size_t);
void* __mempcpy_chk(void*, const void*, size_t, size_t);
void* __memset_chk(void*, int, size_t, size_t);
void __explicit_bzero_chk(void*, size_t, size_t);
char* __strcpy_chk(char*, const char*, size_t);
char* __stpcpy_chk(char*, const char*, size_t);
char* __strncpy_chk(char*, const char*, size_t, size_t);
char* __strcat_chk(char*, const char*, size_t);
char* __strncat_chk(char*, const char*, size_t, size_t);
int __vsnprintf_chk(char*, size_t, int, size_t, const char*, va_list);
int __snprintf_chk(char*, size_t, int, size_t, const char*, ...);
int __vsprintf_chk(char*, int, size_t, const char*, va_list);
int __sprintf_chk(char*, int, size_t, const char*, ...);
int __vfprintf_chk(FILE*, int, const char*, va_list);
int __fprintf_chk(FILE*, int, const char*, ...);
int __vprintf_chk(int, const char*, va_list);
int __printf_chk(int, const char*, ...);
int __isoc99_sscanf(const char*, const char*, ...);
/* clang-format on */

void* __memcpy_chk(void* to, const void* from, size_t size, size_t room) {
    CHECK(size, room);
    return memcpy(to, from, size);
}

void* __memmove_chk(void* to, const void* from, size_t size, size_t room) {
    CHECK(size, room);
    return memmove(to, from, size);
}

void* __mempcpy_chk(void* to, const void* from, size_t size, size_t room) {
    CHECK(size, room);
    return (char*)memcpy(to, from, size) + size;
}

void* __memset_chk(void* to, int byte, size_t size, size_t room) {
    CHECK(size, room);
    return memset(to, byte, size);
}

void __explicit_bzero_chk(void* to, size_t size, size_t room) {
    CHECK(size, room);
    explicit_bzero(to, size);
}

char* __strcpy_chk(char* to, const char* from, size_t room) {
    const size_t size = strlen(from) + 1;
    CHECK(size, room);
    return memcpy(to, from, size);
}

char* __stpcpy_chk(char* to, const char* from, size_t room) {
    const size_t size = strlen(from) + 1;
    CHECK(size, room);
    return (char*)memcpy(to, from, size) + size - 1;
}

char* __strncpy_chk(char* to, const char* from, size_t size, size_t room) {
    CHECK(size, room);
    return strncpy(to, from, size);
}

char* __strcat_chk(char* to, const char* from, size_t room) {
    const size_t present = strlen(to);
    CHECK(present, room);
    CHECK(strlen(from) + 1, room - present);
    return strcat(to, from);
}

char* __strncat_chk(char* to, const char* from, size_t size, size_t room) {
    const size_t present = strlen(to);
    CHECK(present, room);
    CHECK(strnlen(from, size) + 1, room - present);
    return strncat(to, from, size);
}

int __vsnprintf_chk(char* to, size_t size, int flag, size_t room, const char* format,
                    va_list list) {
    (void)flag;
    CHECK(size, room);
    return vsnprintf(to, size, format, list);
}

int __snprintf_chk(char* to, size_t size, int flag, size_t room, const char* format, ...) {
    va_list list;
    va_start(list, format);
    const int result = __vsnprintf_chk(to, size, flag, room, format, list);
    va_end(list);
    return result;
}

int __vsprintf_chk(char* to, int flag, size_t room, const char* format, va_list list) {
    (void)flag;
    const int result = vsnprintf(to, room, format, list);
    if (result >= 0) CHECK((size_t)result + 1, room);
    return result;
}

int __sprintf_chk(char* to, int flag, size_t room, const char* format, ...) {
    va_list list;
    va_start(list, format);
    const int result = __vsprintf_chk(to, flag, room, format, list);
    va_end(list);
    return result;
}

int __vfprintf_chk(FILE* file, int flag, const char* format, va_list list) {
    (void)flag;
    return vfprintf(file, format, list);
}

int __fprintf_chk(FILE* file, int flag, const char* format, ...) {
    (void)flag;
    va_list list;
    va_start(list, format);
    const int result = vfprintf(file, format, list);
    va_end(list);
    return result;
}

int __vprintf_chk(int flag, const char* format, va_list list) {
    (void)flag;
    return vprintf(format, list);
}

int __printf_chk(int flag, const char* format, ...) {
    (void)flag;
    va_list list;
    va_start(list, format);
    const int result = vprintf(format, list);
    va_end(list);
    return result;
}

int __isoc99_sscanf(const char* text, const char* format, ...) {
    va_list list;
    va_start(list, format);
    const int result = vsscanf(text, format, list);
    va_end(list);
    return result;
}
