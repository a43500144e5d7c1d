int shared;
char shared_large[64];
int choice(void) { return 30; }
