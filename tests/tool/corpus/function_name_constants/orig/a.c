__attribute__((noinline)) static int tell(const char *who) { return who[0] + who[1]; }

__attribute__((noinline)) int alpha(void) { return tell(__func__); }
__attribute__((noinline)) int omega(void) { return tell(__func__); }
int entry(void) { return alpha() * 3 + omega(); }
