__attribute__((noinline)) static int work0(int x) __asm__("work.constprop.0");
static int work0(int x) { return x * 2 + 3; }

__attribute__((noinline)) int user0(int x) { return work0(x) + 1; }
__attribute__((noinline)) int user1(int x) { return x; }
int entry(void) { return user0(3) + user1(4); }
