// A library for dlopen that asks the processor about SGX, as the runtimes that are plugins of their
// host program do.
#include <cpuid.h>

// EAX, EBX, ECX, EDX of the leaf.
extern "C" void plugin_cpuid(unsigned int leaf, unsigned int subleaf, unsigned int* registers) {
    __cpuid_count(leaf, subleaf, registers[0], registers[1], registers[2], registers[3]);
}
