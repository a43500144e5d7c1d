__attribute__((noinline)) int scale(int x) { return x * 3; }
int entry(void) { return scale(14); }
