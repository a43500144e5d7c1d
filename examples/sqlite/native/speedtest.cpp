// SQLite's speedtest1 natively, from the same objects that the enclave loads.
#include <cstdio>
#include <cstdlib>

extern "C" {
int enclave_sqlite_start(void);
int speedtest_main(int argc, char** argv);

void speedtest_output(const char* text, unsigned long size) {
    std::fwrite(text, 1, size, stdout);
}
void speedtest_exit(int status) {
    std::exit(status);
}
}

int main(int argc, char** argv) {
    enclave_sqlite_start();
    return speedtest_main(argc, argv);
}
