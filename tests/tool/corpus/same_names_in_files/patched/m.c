int from_a(int x);
int from_b(int x);
int entry(void) { return from_a(1) * 100 + from_b(2); }
