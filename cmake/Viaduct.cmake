# Flags and helpers that every target uses. Warnings are errors.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

set(VIADUCT_WARNINGS
    -Wall -Wextra -Werror -Wimplicit-fallthrough -Wshadow -Wstrict-prototypes
    -Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wwrite-strings -Wvla
    -Wformat=2 -Wundef -Wno-missing-field-initializers
    # snprintf() into texts for people may cut them short; that is what it is for.
    -Wno-format-truncation -Wno-unknown-warning-option)
set(VIADUCT_DEFINES _GNU_SOURCE)
if(NOT VIADUCT_SANITIZE)
    set(VIADUCT_HARDENING -fstack-protector-strong)
    add_compile_options("$<$<CONFIG:Release,RelWithDebInfo>:-D_FORTIFY_SOURCE=2>")
else()
    add_compile_options(-fsanitize=${VIADUCT_SANITIZE} -fno-omit-frame-pointer
                        -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${VIADUCT_SANITIZE})
endif()
if(VIADUCT_FUZZ)
    # Coverage feedback from every library, not only from the fuzz target itself.
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
add_link_options(-Wl,--as-needed -Wl,-z,relro,-z,now)

function(viaduct_target_flags name)
    target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:C>:${VIADUCT_WARNINGS}>
                           ${VIADUCT_HARDENING})
    target_compile_definitions(${name} PRIVATE ${VIADUCT_DEFINES})
    # Headers are included as "folder/header.h" from the top of the tree.
    target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
endfunction()

# viaduct_module(NAME SOURCES... [LINK targets...]): a static library, one per module.
function(viaduct_module name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
    add_library(${name} STATIC ${ARG_SOURCES})
    viaduct_target_flags(${name})
    target_link_libraries(${name} PUBLIC ${ARG_LINK} PRIVATE ${ARG_PRIVATE_LINK})
endfunction()

# viaduct_program(NAME SOURCES... LINK targets...): an executable in bin/.
function(viaduct_program name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    viaduct_target_flags(${name})
    target_link_libraries(${name} PRIVATE ${ARG_LINK})
    target_link_options(${name} PRIVATE -Wl,--gc-sections)
endfunction()

# viaduct_test(NAME SOURCES... LINK targets... [LABELS ...]): a cmocka program under tests/unit.
function(viaduct_test name)
    cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINK;LABELS" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    viaduct_target_flags(${name})
    target_link_libraries(${name} PRIVATE ${ARG_LINK} cmocka)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    add_test(NAME ${name} COMMAND ${name})
    if(NOT ARG_TIMEOUT)
        set(ARG_TIMEOUT 60)
    endif()
    if(NOT ARG_LABELS)
        set(ARG_LABELS unit)
    endif()
    set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
endfunction()

# viaduct_threaded(TESTS...): unit tests with threads; they also run under ThreadSanitizer.
add_custom_target(threaded_tests)
function(viaduct_threaded)
    add_dependencies(threaded_tests ${ARGN})
    set_property(TEST ${ARGN} APPEND PROPERTY LABELS threaded)
endfunction()
