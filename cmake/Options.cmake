# Compile options that every target of the project shares, as interface targets.
#   sgxdl::warnings   the warnings of the house, as errors
#   sgxdl::hosted     warnings + sanitizers + include/, for code that runs in an ordinary process
# The enclave's own options are in enclave/CMakeLists.txt.
add_library(sgxdl_warnings INTERFACE)
add_library(sgxdl::warnings ALIAS sgxdl_warnings)
target_compile_options(sgxdl_warnings INTERFACE
    -Wall -Wextra -Werror -Wundef
    $<$<COMPILE_LANGUAGE:CXX>:-Wconversion -Wnon-virtual-dtor>
    # gcc 12 at -O3 warns of overlap inside std::string::operator= (gcc bug 105651).
    $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>)

add_library(sgxdl_hosted INTERFACE)
add_library(sgxdl::hosted ALIAS sgxdl_hosted)
target_link_libraries(sgxdl_hosted INTERFACE sgxdl_warnings)
target_include_directories(sgxdl_hosted INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR})
if(SGXDL_SANITIZE)
    target_compile_options(sgxdl_hosted INTERFACE -fsanitize=${SGXDL_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(sgxdl_hosted INTERFACE -fsanitize=${SGXDL_SANITIZE})
endif()
