int table[4] = {1, 2, 3, 4};
int entry(void) { return table[3]++; }
