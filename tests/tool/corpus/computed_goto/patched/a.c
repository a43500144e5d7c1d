__attribute__((noinline)) int run(const unsigned char *code) {
    static const void *const labels[] = {&&halt, &&inc, &&dbl, &&neg};
    int value = 1;
    goto *labels[*code++];
inc:
    value += 4;
    goto *labels[*code++];
dbl:
    value *= 2;
    goto *labels[*code++];
neg:
    value = -value;
    goto *labels[*code++];
halt:
    return value;
}
static const unsigned char program[] = {1, 2, 1, 3, 2, 0};
int entry(void) { return run(program); }
