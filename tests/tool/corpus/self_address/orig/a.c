typedef int (*step_t)(int);
step_t saved;
__attribute__((noinline)) static int again(int x) {
    if (x > 100) return x;
    saved = again;
    return x + 3;
}
__attribute__((noinline)) int plain(int x) { return x - 1; }
int entry(void) {
    int x = plain(again(1));
    return saved(x) + (saved == again);
}
