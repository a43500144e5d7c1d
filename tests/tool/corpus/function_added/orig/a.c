__attribute__((noinline)) int keep(int x) { return x + 1; }
int entry(void) { return keep(1); }
