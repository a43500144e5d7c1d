int level = 4;
const int *where = &level;
int entry(void) { return level++ + *where; }
