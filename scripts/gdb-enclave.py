# gdb: symbols of an enclave that runs in the emulator, or a debug enclave on hardware.
#
#   gdb -x scripts/gdb-enclave.py --args ./server server.signed
#   (gdb) break main
#   (gdb) run
#   ... once the enclave is there:
#   (gdb) enclave-symbols server.elf
#   (gdb) break some_function_of_the_enclave
#
# The emulator takes SIGSEGV and SIGILL for ENCLU; the program goes on after them.
import re

import gdb

gdb.execute("handle SIGSEGV SIGILL nostop noprint pass")


def enclave_bases():
    """Where enclaves begin: from executable mappings of their device or memory file."""
    bases = set()
    with open(f"/proc/{gdb.selected_inferior().pid}/maps") as maps:
        for line in maps:
            fields = re.match(
                r"([0-9a-f]+)-\S+ ..x. ([0-9a-f]+) \S+ \d+\s+(/memfd:sgx_enclave|/dev/sgx_enclave)", line
            )
            if fields:
                bases.add(int(fields[1], 16) - int(fields[2], 16))
    return sorted(bases)


class EnclaveSymbols(gdb.Command):
    """enclave-symbols ELF [N]: loads the symbols of the N-th enclave (default: the first)."""

    def __init__(self):
        super().__init__("enclave-symbols", gdb.COMMAND_FILES, gdb.COMPLETE_FILENAME)

    def invoke(self, argument, from_tty):
        arguments = gdb.string_to_argv(argument)
        if not 1 <= len(arguments) <= 2:
            raise gdb.GdbError("usage: enclave-symbols ELF [N]")
        bases = enclave_bases()
        number = int(arguments[1]) if len(arguments) == 2 else 1
        if not 1 <= number <= len(bases):
            raise gdb.GdbError(f"there are {len(bases)} enclaves with code")
        gdb.execute(f"add-symbol-file {arguments[0]} -o {bases[number - 1]:#x}")


EnclaveSymbols()
