int shared;
long long shared_large;
__attribute__((weak)) int choice(void) { return 1; }
int choice(void);
int entry(void) { shared_large = 5; return choice() * 2 + ++shared; }
