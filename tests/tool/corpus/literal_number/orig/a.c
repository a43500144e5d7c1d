volatile int where;
__attribute__((noinline)) static int length(const char *s) { int n = 0; while (s[n]) n++; return n + s[0]; }
__attribute__((noinline)) int uses(void) { return length("a long text to point into") + length("old words"); }
__attribute__((noinline)) int middle(void) { return length("a long text to point into" + 7) + length(&"a long text to point into"[where + 2]); }
__attribute__((noinline)) double number(double x) { return x * 1.25 + 2.5; }
int entry(void) { return uses() + middle() + (int)number(4); }
