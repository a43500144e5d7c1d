int entry(void) { return 1; }
