static int counter;
int entry(void) { return ++counter; }
