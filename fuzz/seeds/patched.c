// Seed for patches of the module that calls.c makes: `two` and `one` changed, `fresh` is new.
extern int imported_function(int);
static int __attribute__((noinline)) fresh(int x) { return x - 7; }
int two(int x) { return imported_function(x) + fresh(x); }
int one(int x) { return two(x) * 3; }
