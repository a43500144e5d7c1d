int factor = 3;
__attribute__((noinline)) int scale(int x) { return x * factor + 1; }
int (*pick(void))(int) { return scale; }
int entry(void) { factor++; return scale(14) + pick()(2); }
