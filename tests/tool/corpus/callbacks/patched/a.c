typedef int (*callback)(int);
static int first(int x) { return x + 1; }
static int second(int x) { return x * 20; }
static const struct { const char *name; callback call; } table[] = {{"first", first}, {"second", second}};
callback current = second;
int entry(void) {
    int sum = current(3);
    for (int i = 0; i < 2; i++) sum += table[i].call(10) + table[i].name[0];
    return sum;
}
