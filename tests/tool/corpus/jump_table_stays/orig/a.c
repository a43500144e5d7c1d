volatile int sink;
__attribute__((noinline)) int pick(int x) {
    switch (x) {
        case 0: sink = 4; return 3;
        case 1: sink += 1; return x * 7;
        case 2: sink -= 9; return sink;
        case 3: sink ^= 5; return -x;
        case 4: sink <<= 2; return x + sink;
        case 5: sink |= 3; return sink;
        default: return 99;
    }
}
__attribute__((noinline)) int other(int x) { return x * 3; }
int entry(void) {
    int sum = 0;
    for (int i = -1; i < 8; i++) sum = sum * 3 + pick(i) + other(i);
    return sum;
}
