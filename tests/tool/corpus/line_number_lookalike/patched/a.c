volatile int reported;
__attribute__((noinline)) int limit(int x) { return x > 313; }
int entry(void) { return limit(311); }
