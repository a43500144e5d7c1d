int from_a(int x);
int entry(void) { return from_a(1); }
