/*
 * Included in front of SQLite's speedtest1.c (gcc -include), which stays as Debian ships it: its
 * standard output and its exit go to functions that a module can have.
 *
 * speedtest1 prints to standard output and error only, unless options name files; files cannot be
 * opened here.
 */
#ifndef SGXDL_EXAMPLES_SPEEDTEST_H
#define SGXDL_EXAMPLES_SPEEDTEST_H

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct speedtest_file speedtest_file;
extern speedtest_file speedtest_stdout, speedtest_stderr;

int speedtest_printf(const char* format, ...) __attribute__((format(printf, 1, 2)));
int speedtest_fprintf(speedtest_file* file, const char* format, ...)
    __attribute__((format(printf, 2, 3)));
int speedtest_vfprintf(speedtest_file* file, const char* format, va_list arguments);
speedtest_file* speedtest_fopen(const char* name, const char* mode);
char* speedtest_fgets(char* out, int size, speedtest_file* file);
unsigned long speedtest_fwrite(const void* bytes, unsigned long size, unsigned long count,
                               speedtest_file* file);
int speedtest_fclose(speedtest_file* file);
int speedtest_fflush(speedtest_file* file);
int speedtest_unlink(const char* name);
int speedtest_getpid(void);

/* Provided by whoever runs the test: takes text, and ends the test when speedtest1 gives up. */
void speedtest_output(const char* text, unsigned long size);
void speedtest_exit(int status) __attribute__((noreturn));

/* speedtest1's main(), under the name that sgxdl_sym() is asked for. */
int speedtest_main(int argc, char** argv);

#undef stdout
#undef stderr
#define FILE speedtest_file
#define stdout (&speedtest_stdout)
#define stderr (&speedtest_stderr)
#define printf speedtest_printf
#define fprintf speedtest_fprintf
#define vfprintf speedtest_vfprintf
#define fopen speedtest_fopen
#define fgets speedtest_fgets
#define fwrite speedtest_fwrite
#define fclose speedtest_fclose
#define fflush speedtest_fflush
#define unlink speedtest_unlink
#define getpid speedtest_getpid
#define exit speedtest_exit
#define main speedtest_main

#endif
