__attribute__((noinline)) int first(void) { static int count = 1; return ++count; }
__attribute__((noinline)) int second(void) { static int count = 1; count += 2; return count * 2; }
__attribute__((noinline)) int third(void) { static int count = 1; count += 3; return count; }
int entry(void) { return first() * 100 + second() * 10 + third(); }
