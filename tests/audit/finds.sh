#!/bin/bash
# Runs one of the audit scripts on small trees that are wrong in one way each: it must accept the
# right tree and complain about every wrong one with the expected words.
# usage: finds.sh check-includes|check-hygiene|check-format|check-size
set -uo pipefail

check=$1
repo=$(cd "$(dirname "$0")/../.." && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
bad=0

fresh() {
    rm -rf "${tree:?}"/*
    mkdir -p "$tree"/{scripts,include/sgxdl,enclave/{loader,runtime},host,tests}
    cp "$repo"/scripts/{list-files,check-*} "$tree/scripts/"
    cp "$repo/.clang-format" "$tree/"
    printf '// A bundle.\n#pragma once\n' >"$tree/include/sgxdl/bundle.h"
    printf '// The loader.\n#pragma once\n\n#include "sgxdl/bundle.h"\n' >"$tree/enclave/loader/loader.hpp"
    printf '// The runtime.\n#pragma once\n\n#include "enclave/loader/loader.hpp"\n' >"$tree/enclave/runtime/runtime.hpp"
    printf '// The host.\n#pragma once\n\n#include "sgxdl/bundle.h"\n' >"$tree/host/host.hpp"
}
put() { printf '%b' "$2" >>"$tree/$1"; }
# expect accepts|WORDS TITLE [ARGUMENT...]
expect() {
    local words=$1 title=$2 output code
    shift 2
    output=$("$tree/scripts/$check" "$@" 2>&1)
    code=$?
    if [ "$words" = accepts ]; then
        [ $code = 0 ] && return
    else
        [ $code = 1 ] && grep -qF -- "$words" <<<"$output" && return
    fi
    echo "$title: expected '$words', got exit code $code and: $output"
    bad=1
}

fresh
expect accepts "a right tree"
case $check in
    check-includes)
        put enclave/loader/a.hpp '// A.\n#pragma once\n#include "enclave/runtime/runtime.hpp"\n'
        expect "enclave/loader may not include enclave/runtime" "upward include"
        fresh; put host/host.hpp '#include "enclave/runtime/runtime.hpp"\n'
        expect "host may not include enclave/runtime" "untrusted includes trusted"
        fresh; put tests/both.cpp '// A test.\n#include "enclave/runtime/runtime.hpp"\n#include "host/host.hpp"\n'
        expect "reaches both trusted and untrusted code" "mixing"
        fresh; put tests/a.hpp '// A.\n#pragma once\n#include "host/host.hpp"\n'
        put tests/both.cpp '// A test.\n#include "tests/a.hpp"\n#include "enclave/runtime/runtime.hpp"\n'
        expect "tests/both.cpp: reaches both" "mixing through another header"
        fresh; put enclave/loader/a.hpp '// A.\n#pragma once\n#include "enclave/loader/b.hpp"\n'
        put enclave/loader/b.hpp '// B.\n#pragma once\n#include "enclave/loader/a.hpp"\n'
        expect "in a circle" "cycle"
        fresh; put enclave/loader/loader.hpp '#include "enclave/loader/gone.hpp"\n'
        expect "does not exist" "missing header"
        fresh; put host/a.cpp '// A.\n#include "host.hpp"\n'
        expect "not rooted at the repository" "relative include"
        ;;
    check-hygiene)
        put host/a.cpp '// A. TO''DO: more\n'
        expect "unfinished work" "marker"
        fresh; put enclave/loader/a.cpp '// A.\nvoid f() { assert(1); }\n'
        expect "assert() in trusted code" "assert"
        fresh; put enclave/loader/a.cpp '// A.\nvoid f() { SGXDL_ASSERT(1); static_assert(1); }\n'
        expect accepts "the permitted asserts"
        fresh; put enclave/loader/a.cpp '// A.\nvoid f() { abort(); }\n'
        expect "ends nobody" "abort in the core"
        fresh; put enclave/loader/a.cpp '// A.\n#include <vector>\n'
        expect "operating system header" "library header in the core"
        fresh; put enclave/runtime/a.cpp '// A.\nint p = PROT_READ | PROT_WRITE | PROT_EXEC;\n'
        expect "writable and executable" "W+X source"
        fresh; put host/a.cpp '// A.\n#ifdef SGX_SIM''ULATION\n#endif\n'
        expect "only in a simulation" "simulation"
        fresh; put host/a.cpp '#include <cstdio>\n\nint f();\n\n'
        expect "does not begin with what it is for" "file top"
        fresh; put host/a.hpp '// A.\n'
        expect "no #pragma once" "include guard"
        fresh; { echo '// Long.'; yes '' | head -n 801; } >"$tree/host/long.cpp"
        expect "at most 800" "length"
        fresh; mkdir -p "$tree/docs" "$tree/tests/a"
        echo 'C1 is shown by `Suite.Name`.' >"$tree/docs/consistency-model.md"
        put tests/a/a_test.cpp '// A.\nTEST(Suite, OtherName) {}\n'
        expect "there is no test Suite.Name" "promise without its test"
        put tests/a/a_test.cpp 'TEST(Suite, Name) {}\n'
        expect accepts "promise with its test"
        # A linked file with a segment that is writable and executable.
        fresh; mkdir "$tree/build"
        echo 'int data = 1; int main(void) { return data; }' >"$tree/build/a.c"
        gcc -o "$tree/build/good" "$tree/build/a.c"
        expect accepts "a good program" --build "$tree/build"
        gcc -nostdlib -static -Wl,-N,--no-warnings,-emain -o "$tree/build/bad" "$tree/build/a.c" || bad=1
        expect "bad has a segment" "W+X program" --build "$tree/build"
        ;;
    check-format)
        put host/a.cpp '// A.\nint  f( );\n'
        expect "not formatted: host/a.cpp" "bad format"
        "$tree/scripts/check-format" --fix
        expect accepts "after --fix"
        ;;
    check-size)
        yes 'int x;' | head -n 5001 >"$tree/enclave/loader/a.cpp"
        expect "larger than was promised" "too many lines"
        fresh; printf '#!/bin/sh\necho "{ \"own_text_bytes\": 131073 }"\n' >"$tree/tool"
        chmod +x "$tree/tool"
        expect "larger than was promised" "too much text" "$tree/tool" image.elf
        printf '#!/bin/sh\nexit 1\n' >"$tree/tool"
        expect "larger than was promised" "no count of the text" "$tree/tool" image.elf
        ;;
    *) echo "usage: finds.sh check-includes|check-hygiene|check-format|check-size" >&2; exit 2 ;;
esac
[ $bad = 0 ] && echo "$check finds what it is for"
exit $bad
