static int state = 1;
__attribute__((noinline)) static int helper(int x) { static int calls; calls++; return x * 2 + state + calls; }
int from_a(int x) { return helper(x); }
