// A library of the program that looks for the vDSO in a constructor.
#include <sys/auxv.h>

namespace {

unsigned long seen_by_constructor = 0;

__attribute__((constructor)) void look() {
    seen_by_constructor = ::getauxval(AT_SYSINFO_EHDR);
}

}  // namespace

extern "C" unsigned long vdso_seen_by_constructor() {
    return seen_by_constructor;
}
