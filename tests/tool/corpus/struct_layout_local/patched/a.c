struct shape { int kind; long value; short tail; };
__attribute__((noinline)) int get(struct shape *s) { return (int)s->value + s->tail; }
__attribute__((noinline)) void set(struct shape *s, int x) { s->value = (long)x; s->tail = 3; }
int entry(void) { struct shape local = {1, 2, 3}; set(&local, 30); return get(&local); }
