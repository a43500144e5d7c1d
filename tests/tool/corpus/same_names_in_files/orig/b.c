static int state = 2;
__attribute__((noinline)) static int helper(int x) { static int calls; calls++; return x * 3 + state + calls; }
int from_b(int x) { return helper(x); }
