__attribute__((noinline)) static int work(int x) __asm__("work.isra.0");
static int work(int x) { return x * 2 + 1; }
__attribute__((noinline)) static int side(int x) __asm__("side.constprop.1");
static int side(int x) { return x - 7; }
__attribute__((noinline)) static int part(int x) __asm__("work.isra.0.part.3");
static int part(int x) { return x ^ 3; }
__attribute__((noinline)) int changed(int x) { return x * 2; }
int entry(void) { return work(1) + side(2) + part(3) + changed(4); }
