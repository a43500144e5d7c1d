int shared;
long long shared_large;
__attribute__((weak)) int choice(void) { return 1; }
int choice(void);
int entry(void) { shared_large = 4; return choice() + ++shared; }
