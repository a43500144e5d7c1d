volatile int noise;
__attribute__((noinline, cold)) void complain(int x) { noise = x; }
__attribute__((noinline)) int check(int x) {
    if (__builtin_expect(x > 1000, 0)) {
        complain(x);
        noise += 70;
        if (noise > 3) { complain(noise); return noise; }
        goto again;
    }
    x *= 3;
again:
    return x + noise;
}
int entry(void) { return check(1) + check(5000); }
