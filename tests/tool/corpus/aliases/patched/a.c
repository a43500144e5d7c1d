__attribute__((noinline)) int real(int x) { return x + 2; }
int other_name(int x) __attribute__((alias("real")));
int weak_name(int x) __attribute__((weak, alias("real")));
int (*pointer)(int) = other_name;
int entry(void) { return real(1) + other_name(2) + weak_name(3) + pointer(4); }
