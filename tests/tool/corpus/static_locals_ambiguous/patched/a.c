__attribute__((noinline)) int entry(void) {
    int sum = 5;
    { static int count; sum += count += 2; }
    { static int extra; sum += ++extra; }
    { static int count; sum -= ++count; }
    return sum * sum;
}
