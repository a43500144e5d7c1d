__attribute__((noinline)) int entry(void) {
    int sum = 0;
    { static int count; sum += ++count; }
    { static int count; sum += count += 2; }
    return sum;
}
