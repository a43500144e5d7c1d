// Seed: a jump table, a computed goto, a cold part.
extern void imported_function(int);
int one(int x) {
    switch (x) {
    case 0: return 5;
    case 1: imported_function(1); return 8;
    case 2: return x * 77;
    case 3: imported_function(9); return 2;
    case 4: return 44 - x;
    case 5: imported_function(x); return 0;
    case 6: return x << 3;
    default: return -1;
    }
}
int two(const unsigned char *program) {
    static const void *const labels[] = {&&add, &&sub, &&end};
    int sum = 0;
    goto *labels[*program++ % 3];
add: sum++; goto *labels[*program++ % 3];
sub: sum--; goto *labels[*program++ % 3];
end: return sum;
}
void __attribute__((cold)) failed(int x) { imported_function(x); }
int three(int x) {
    if (__builtin_expect(x < 0, 0)) failed(x);
    return x / 3;
}
