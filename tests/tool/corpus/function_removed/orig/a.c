__attribute__((noinline)) int gone(int x) { return x + 3; }
__attribute__((noinline)) int keep(int x) { return x + 1; }
int entry(void) { return keep(1) + gone(2); }
