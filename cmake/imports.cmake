# cmake -DLIST=names -DOUTPUT=file.S -P imports.cmake
# The import allow-list as the loader reads it: rows {name, address, is function}, sorted by name.
# Assembly, because a C declaration of "memcpy" as anything but itself would be an error.
cmake_minimum_required(VERSION 3.25)
file(STRINGS ${LIST} lines)
set(names)
foreach(line IN LISTS lines)
    string(REGEX REPLACE "#.*" "" line "${line}")
    string(STRIP "${line}" line)
    if(line STREQUAL "")
        continue()
    endif()
    if(NOT line MATCHES "^([A-Za-z_][A-Za-z0-9_]*)([ \t]+object)?$")
        message(FATAL_ERROR "${LIST}: not 'name' or 'name object': ${line}")
    endif()
    if(CMAKE_MATCH_1 IN_LIST names)
        message(FATAL_ERROR "${LIST}: ${CMAKE_MATCH_1} stands twice")
    endif()
    list(APPEND names ${CMAKE_MATCH_1})
    if(CMAKE_MATCH_2)
        set(function_${CMAKE_MATCH_1} 0)
    else()
        set(function_${CMAKE_MATCH_1} 1)
    endif()
endforeach()
# strcmp's order, as the loader searches.
list(SORT names COMPARE STRING CASE SENSITIVE)
set(table "")
set(texts "")
foreach(name IN LISTS names)
    string(APPEND table
        "        .quad   .Lname_${name}, ${name}, ${function_${name}}\n")
    string(APPEND texts ".Lname_${name}: .asciz \"${name}\"\n")
endforeach()
list(LENGTH names count)
file(WRITE ${OUTPUT}.new
"/* Made from the application's import list. */
        .section .data.rel.ro.sgxdl_imports, \"aw\", @progbits
        .p2align 3
        .globl  sgxdl_import_rows, sgxdl_import_count
        .hidden sgxdl_import_rows, sgxdl_import_count
sgxdl_import_rows:
${table}
        .section .rodata.sgxdl_imports, \"a\", @progbits
        .p2align 3
sgxdl_import_count:
        .quad   ${count}
${texts}
        .section .note.GNU-stack, \"\", @progbits
")
file(COPY_FILE ${OUTPUT}.new ${OUTPUT} ONLY_IF_DIFFERENT)
file(REMOVE ${OUTPUT}.new)
file(TOUCH ${OUTPUT})
