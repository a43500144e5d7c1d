// Seed: direct calls, a function pointer in data, a self-address, literals, imports.
extern int imported_function(int);
extern int imported_object;
static int counter = 3;
static int zeroed[8];
int one(int x);
static int __attribute__((noinline)) helper(int x) { return x * counter + imported_object; }
int two(int x) { return helper(x) + zeroed[x & 7]; }
int (*const table[])(int) = {one, two, helper};
int (*hook)(int) = one;
int one(int x) {
    if (x > 100) hook = one;
    return imported_function(x) + table[x & 1](x);
}
const char *name(void) { return "a literal"; }
const char *names[] = {"a literal", "another"};
