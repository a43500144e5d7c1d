/* A module for the whole way: bundle file, host, ecalls, loader, patch. The patch is the same file
 * with STEP at 10. */
#ifndef STEP
#define STEP 1
#endif

static int calls;

__attribute__((noinline)) static int step(int n) {
    return n + STEP;
}

int advance(int n) {
    calls++;
    return step(n);
}

int call_count(int unused) {
    (void)unused;
    return calls;
}
