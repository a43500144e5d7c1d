volatile int reported;
__attribute__((noinline)) int limit(int x) { return x > 310; }
int entry(void) { return limit(311); }
