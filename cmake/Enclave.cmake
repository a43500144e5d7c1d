# Enclave images.
#
#   sgxdl_enclave_options   interface target: how trusted code is compiled
#   sgxdl_add_enclave(NAME
#       SOURCES file...          the application's trusted code (C, C++, assembly)
#       [IMPORTS file]           names that modules may import, one per line, # comments;
#                                "name object" for data
#       [PRODUCT text]           product whose bundles the enclave takes (default: NAME)
#       [VENDOR_KEY file]        vendor's Ed25519 public key (PEM, `sgxdl keygen`); without it the
#                                enclave takes no bundle
#       [SIGN_KEY file]          RSA-3072 key with exponent 3 (PEM); default: a development key
#                                made once per build folder
#       [THREADS n] [STACK_KIB n] [SIZE_MIB n] [ARENA_MIB n] [PRODUCT_ID n] [SVN n] [DEBUG]
#       [STATIC_ARENA size STATIC_HEAP size])
#                                such as 16M and 64M: the image is signed a second time, for machines
#                                without SGX2, with that much memory added at start (no W^X)
#
# makes the target NAME. Its property SGXDL_IMAGE is the signed image, NAME.signed beside NAME.elf,
# in the current binary folder; SGXDL_STATIC_IMAGE the one for machines without SGX2,
# NAME.static.signed. The image is audited while it is signed: the build fails when it
# contains an instruction that an enclave may not execute, a segment that is writable and
# executable, or an unknown relocation.
include_guard()

set(SGXDL_ENCLAVE_SYSROOT ${PROJECT_BINARY_DIR}/enclave-include)
file(MAKE_DIRECTORY ${SGXDL_ENCLAVE_SYSROOT})
find_path(SGXDL_SODIUM_INCLUDE sodium.h REQUIRED)
# libsodium's headers without the rest of /usr/include.
foreach(entry sodium.h sodium)
    if(NOT EXISTS ${SGXDL_ENCLAVE_SYSROOT}/${entry})
        file(CREATE_LINK ${SGXDL_SODIUM_INCLUDE}/${entry} ${SGXDL_ENCLAVE_SYSROOT}/${entry}
             SYMBOLIC)
    endif()
endforeach()

string(REGEX MATCH "^[0-9]+" sgxdl_gcc_major ${CMAKE_CXX_COMPILER_VERSION})
find_library(SGXDL_SODIUM_ARCHIVE libsodium.a REQUIRED)
find_path(SGXDL_MUSL_INCLUDE features.h PATHS /usr/include/x86_64-linux-musl
          NO_DEFAULT_PATH REQUIRED)
find_file(SGXDL_MUSL_ARCHIVE libc.a PATHS /usr/lib/x86_64-linux-musl NO_DEFAULT_PATH REQUIRED)
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=include
                OUTPUT_VARIABLE sgxdl_gcc_include OUTPUT_STRIP_TRAILING_WHITESPACE)
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-libgcc-file-name
                OUTPUT_VARIABLE sgxdl_libgcc OUTPUT_STRIP_TRAILING_WHITESPACE)
set(SGXDL_LIBGCC ${sgxdl_libgcc} CACHE INTERNAL "The compiler's own functions")

add_library(sgxdl_enclave_options INTERFACE)
target_link_libraries(sgxdl_enclave_options INTERFACE sgxdl_warnings)
target_include_directories(sgxdl_enclave_options INTERFACE
    ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR})
target_compile_definitions(sgxdl_enclave_options INTERFACE
    SGXDL_TRUSTED_CODE=1
    SGXDL_PLATFORM_HEADER="enclave/runtime/enclave_platform.hpp")
# Trusted code is optimised in every configuration: an unoptimised loader is another program.
target_compile_options(sgxdl_enclave_options INTERFACE
    $<$<COMPILE_LANGUAGE:C,CXX>:-O2>
    -fPIE -fvisibility=hidden -ffunction-sections -fdata-sections
    -fno-asynchronous-unwind-tables -fno-plt -fcf-protection=none
    $<$<COMPILE_LANGUAGE:C,CXX>:-fstack-protector-strong>
    $<$<COMPILE_LANGUAGE:C,CXX>:-fstack-clash-protection>
    -mno-avx512f
    $<$<COMPILE_LANGUAGE:C,CXX>:-nostdinc>
    $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions>
    $<$<COMPILE_LANGUAGE:CXX>:-fno-rtti>
    "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-include ${PROJECT_SOURCE_DIR}/enclave/runtime/libstdcxx_on_musl.hpp>"
    "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-isystem /usr/include/c++/${sgxdl_gcc_major}>"
    "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-isystem /usr/include/x86_64-linux-gnu/c++/${sgxdl_gcc_major}>"
    "$<$<COMPILE_LANGUAGE:C,CXX>:SHELL:-isystem ${SGXDL_MUSL_INCLUDE}>"
    "$<$<COMPILE_LANGUAGE:C,CXX>:SHELL:-isystem ${sgxdl_gcc_include}>"
    "$<$<COMPILE_LANGUAGE:C,CXX>:SHELL:-isystem ${SGXDL_ENCLAVE_SYSROOT}>")

function(sgxdl_add_enclave name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "DEBUG"
        "IMPORTS;PRODUCT;VENDOR_KEY;SIGN_KEY;THREADS;STACK_KIB;SIZE_MIB;ARENA_MIB;STATIC_ARENA;STATIC_HEAP;PRODUCT_ID;SVN"
        "SOURCES")
    if(NOT arg_PRODUCT)
        set(arg_PRODUCT ${name})
    endif()
    set(elf ${CMAKE_CURRENT_BINARY_DIR}/${name}.elf)
    set(signed ${CMAKE_CURRENT_BINARY_DIR}/${name}.signed)
    set(imports_source ${CMAKE_CURRENT_BINARY_DIR}/${name}.imports.S)
    if(arg_IMPORTS)
        get_filename_component(imports ${arg_IMPORTS} ABSOLUTE)
    else()
        set(imports ${PROJECT_SOURCE_DIR}/cmake/no-imports.list)
    endif()
    add_custom_command(OUTPUT ${imports_source}
        COMMAND ${CMAKE_COMMAND} -DLIST=${imports} -DOUTPUT=${imports_source}
                -P ${PROJECT_SOURCE_DIR}/cmake/imports.cmake
        DEPENDS ${imports} ${PROJECT_SOURCE_DIR}/cmake/imports.cmake
        VERBATIM)

    add_executable(${name}.elf ${arg_SOURCES} ${imports_source})
    set_target_properties(${name}.elf PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}
        POSITION_INDEPENDENT_CODE OFF
        LINK_DEPENDS ${PROJECT_SOURCE_DIR}/enclave/image.lds)
    target_link_libraries(${name}.elf PRIVATE sgxdl_enclave_options)
    target_link_options(${name}.elf PRIVATE
        -nostdlib -static-pie -Wl,--no-dynamic-linker -Wl,-z,text -Wl,-z,noexecstack
        -Wl,--gc-sections -Wl,--build-id=none -Wl,--hash-style=sysv -Wl,-z,norelro
        -Wl,-z,max-page-size=4096 -Wl,--orphan-handling=error -Wl,--no-undefined
        -Wl,-T,${PROJECT_SOURCE_DIR}/enclave/image.lds
        -Wl,-Map,${CMAKE_CURRENT_BINARY_DIR}/${name}.map)
    # The runtime's replacements come first, so that the archives' own are never pulled in.
    target_link_libraries(${name}.elf PRIVATE
        $<TARGET_OBJECTS:sgxdl_enclave_runtime>
        -Wl,--start-group ${SGXDL_SODIUM_ARCHIVE} ${SGXDL_MUSL_ARCHIVE} ${SGXDL_LIBGCC}
        -Wl,--end-group)
    add_dependencies(${name}.elf sgxdl_enclave_runtime)

    set(options --product ${arg_PRODUCT})
    if(arg_SIGN_KEY)
        get_filename_component(sign_key ${arg_SIGN_KEY} ABSOLUTE)
    else()
        set(sign_key ${PROJECT_BINARY_DIR}/development-sign.pem)
        list(APPEND options --make-key)
    endif()
    set(vendor_key)
    if(arg_VENDOR_KEY)
        get_filename_component(vendor_key ${arg_VENDOR_KEY} ABSOLUTE)
        list(APPEND options --vendor-key ${vendor_key})
    endif()
    foreach(pair THREADS:threads STACK_KIB:stack-kib SIZE_MIB:size-mib PRODUCT_ID:product-id SVN:svn)
        string(REPLACE ":" ";" pair ${pair})
        list(GET pair 0 argument)
        list(GET pair 1 option)
        if(DEFINED arg_${argument})
            list(APPEND options --${option} ${arg_${argument}})
        endif()
    endforeach()
    if(arg_DEBUG)
        list(APPEND options --debug)
    endif()
    function(sgxdl_sign_image image)
        add_custom_command(OUTPUT ${image}
            COMMAND $<TARGET_FILE:sgxdl_sign_enclave> sign-enclave ${elf} --output ${image}
                    --key ${sign_key} ${options} ${ARGN}
            DEPENDS ${name}.elf sgxdl_sign_enclave ${vendor_key} ${arg_SIGN_KEY}
            COMMENT "Signing ${image}" VERBATIM)
    endfunction()
    set(arena)
    if(DEFINED arg_ARENA_MIB)
        set(arena --arena-mib ${arg_ARENA_MIB})
    endif()
    sgxdl_sign_image(${signed} ${arena})
    set(static)
    if(DEFINED arg_STATIC_ARENA)
        set(static ${CMAKE_CURRENT_BINARY_DIR}/${name}.static.signed)
        sgxdl_sign_image(${static} --static-arena ${arg_STATIC_ARENA} --static-heap ${arg_STATIC_HEAP})
    endif()
    add_custom_target(${name} ALL DEPENDS ${signed} ${static})
    set_target_properties(${name} PROPERTIES SGXDL_IMAGE ${signed} SGXDL_STATIC_IMAGE "${static}")
endfunction()
