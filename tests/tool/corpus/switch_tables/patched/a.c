__attribute__((noinline)) const char *name_of(int x) {
    switch (x) { case 0: return "zero"; case 1: return "one"; case 2: return "two"; case 3: return "three"; case 4: return "four"; default: return "many"; }
}
__attribute__((noinline)) int value_of(int x) {
    switch (x) { case 0: return 8; case 1: return 13; case 2: return 4; case 3: return 22; case 4: return 1; default: return 0; }
}
int entry(void) { int s = 0; for (int i = 0; i < 6; i++) s = s * 3 + name_of(i)[0] + value_of(i); return s; }
