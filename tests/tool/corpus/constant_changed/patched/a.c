const int weights[4] = {1, 2, 3, 5};
__attribute__((noinline)) int weigh(const int *w) { return w[0] + w[3]; }
const int *kept = weights;
int entry(void) { return weigh(weights); }
