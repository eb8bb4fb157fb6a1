# What every target of the project shares: warnings, ccache, the linker, library and test helpers.

find_program(CCACHE_EXE ccache)
if(CCACHE_EXE)
  # Precompiled headers are cached too; their timestamps and __TIME__ do not matter here.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE_EXE})
endif()

find_program(LLD_EXE NAMES ld.lld-22 ld.lld)
if(LLD_EXE)
  get_filename_component(LLD_DIR "${LLD_EXE}" REALPATH)
  get_filename_component(LLD_DIR "${LLD_DIR}" DIRECTORY)
  # g++ 12 looks for a program called ld.lld in the -B directories.
  add_link_options(-fuse-ld=lld -B${LLD_DIR})
endif()

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)

# ds_add_library(name sources... LINK libs... LINK_PRIVATE libs... DEPENDS targets...): a static library of the project.
# Its public headers are included by their path from the project's root ("runtime/plan/Checker.h"). What is linked
# privately leaves no compile flags with the library's users.
function(ds_add_library name)
  cmake_parse_arguments(ARG "" "" "LINK;LINK_PRIVATE;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_include_directories(${name} SYSTEM PUBLIC ${PROJECT_BINARY_DIR})
  target_compile_options(${name} PRIVATE -Wall -Wextra -Werror)
  target_link_libraries(${name} PUBLIC ${ARG_LINK} PRIVATE ${ARG_LINK_PRIVATE})
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
endfunction()

# ds_add_executable(name sources... LINK libs...)
function(ds_add_executable name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_include_directories(${name} SYSTEM PRIVATE ${PROJECT_BINARY_DIR})
  target_compile_options(${name} PRIVATE -Wall -Wextra -Werror)
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
endfunction()

# Warnings of tests: with the checks of a sanitizer g++ sees ways through them that are closed.
function(ds_warn_as_test name)
  if(DEEPSHARD_SANITIZE)
    target_compile_options(${name} PRIVATE -Wno-maybe-uninitialized -Wno-mismatched-new-delete)
  endif()
endfunction()

# ds_add_unit_test(name sources... LINK libs...): a GoogleTest program, run by ctest and by `./dev test`.
function(ds_add_unit_test name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  ds_add_executable(${name} ${ARG_UNPARSED_ARGUMENTS} LINK ${ARG_LINK} GTest::gmock GTest::gtest_main)
  ds_warn_as_test(${name})
  add_test(NAME ${name} COMMAND ${name})
  set_property(GLOBAL APPEND PROPERTY DEEPSHARD_UNIT_TESTS ${name})
endfunction()
