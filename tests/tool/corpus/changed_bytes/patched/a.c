__attribute__((noinline)) int scale(int x) { return x * 5 + 1; }
int entry(void) { return scale(14); }
