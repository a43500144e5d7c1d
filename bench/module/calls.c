// The module of the `call` benchmark: one small function, called in a loop in three ways.
// Everything starts on a cache line of its own, so that the ways differ in nothing but the call.
typedef int leaf_function(int);

// Not a word about it reaches its callers: no inlining, no clone, no -fipa-ra.
__attribute__((noipa, aligned(64))) int bench_leaf(int x) {
    return x + 1;
}

// Through its canonical address, as any pointer to it has.
leaf_function* bench_leaf_address(void) {
    return bench_leaf;
}

__attribute__((noipa, aligned(64))) int bench_direct(unsigned long count) {
    int x = 0;
    for (unsigned long i = 0; i < count; i++)
        x = bench_leaf(x);
    return x;
}

// The same loop for a plain pointer and for a canonical address.
__attribute__((noipa, aligned(64))) int bench_pointer(leaf_function* leaf, unsigned long count) {
    int x = 0;
    for (unsigned long i = 0; i < count; i++)
        x = leaf(x);
    return x;
}
