/*
 * The few stdio functions that speedtest1.c uses, on speedtest_output(). Text only, and no files.
 */
#include <stdarg.h>
#include <string.h>

#include "sqlite3.h"

typedef struct speedtest_file speedtest_file;
struct speedtest_file {
    int descriptor;
};
speedtest_file speedtest_stdout = {1}, speedtest_stderr = {2};

void speedtest_output(const char* text, unsigned long size);

/* SQLite's own formatter: it knows every directive that speedtest1 uses, %.*s and %llu included. */
int speedtest_vfprintf(speedtest_file* file, const char* format, va_list arguments) {
    char* text = sqlite3_vmprintf(format, arguments);
    int size;
    (void)file;
    if (!text) return -1;
    size = (int)strlen(text);
    speedtest_output(text, (unsigned long)size);
    sqlite3_free(text);
    return size;
}

int speedtest_printf(const char* format, ...) {
    va_list arguments;
    int size;
    va_start(arguments, format);
    size = speedtest_vfprintf(&speedtest_stdout, format, arguments);
    va_end(arguments);
    return size;
}

int speedtest_fprintf(speedtest_file* file, const char* format, ...) {
    va_list arguments;
    int size;
    va_start(arguments, format);
    size = speedtest_vfprintf(file, format, arguments);
    va_end(arguments);
    return size;
}

speedtest_file* speedtest_fopen(const char* name, const char* mode) {
    (void)name;
    (void)mode;
    return 0;
}

char* speedtest_fgets(char* out, int size, speedtest_file* file) {
    (void)out;
    (void)size;
    (void)file;
    return 0;
}

unsigned long speedtest_fwrite(const void* bytes, unsigned long size, unsigned long count,
                               speedtest_file* file) {
    (void)file;
    speedtest_output(bytes, size * count);
    return count;
}

int speedtest_fclose(speedtest_file* file) {
    (void)file;
    return 0;
}

int speedtest_fflush(speedtest_file* file) {
    (void)file;
    return 0;
}

int speedtest_unlink(const char* name) {
    (void)name;
    return 0;
}

int speedtest_getpid(void) {
    return 1;
}
