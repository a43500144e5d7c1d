static int fresh_state = 4;
static const short fresh_table[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
__attribute__((noinline)) int fresh(int x) { static int helper; helper += x; fresh_state += helper; return fresh_table[x + fresh_state - 6]; }
__attribute__((noinline)) int keep(int x) { return x + 1; }
int entry(void) { return keep(1) + fresh(2); }
