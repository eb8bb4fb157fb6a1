# MLIR 22 as Debian packages it: the shared libMLIR and libLLVM, nothing static beside them (a static MLIR or LLVM
# component would exist twice in the process).

find_package(MLIR REQUIRED CONFIG HINTS /usr/lib/llvm-22)
if(NOT LLVM_VERSION_MAJOR EQUAL 22)
  message(FATAL_ERROR "DeepShard needs MLIR 22, found ${LLVM_VERSION} in ${MLIR_DIR}; set MLIR_DIR")
endif()
list(APPEND CMAKE_MODULE_PATH "${MLIR_CMAKE_DIR}" "${LLVM_CMAKE_DIR}")
include(TableGen)
include(AddLLVM)
include(AddMLIR)
include_directories(${PROJECT_SOURCE_DIR})
include_directories(SYSTEM ${PROJECT_BINARY_DIR} ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
separate_arguments(LLVM_DEFINITIONS_LIST NATIVE_COMMAND ${LLVM_DEFINITIONS})
add_definitions(${LLVM_DEFINITIONS_LIST})

# ds_add_mlir_library(name sources... LINK libs... DEPENDS tablegen-targets... HEADERS carrier): a library over the shared
# MLIR, with precompiled headers: those of `carrier`, if not DSMlirHeaders.
function(ds_add_mlir_library name)
  cmake_parse_arguments(ARG "" "HEADERS" "LINK;DEPENDS" ${ARGN})
  ds_add_library(${name} ${ARG_UNPARSED_ARGUMENTS} LINK ${ARG_LINK} MLIR LLVM DEPENDS ${ARG_DEPENDS})
  target_include_directories(${name} SYSTEM PUBLIC ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
  if(NOT ARG_HEADERS)
    set(ARG_HEADERS DSMlirHeaders)
  endif()
  target_precompile_headers(${name} REUSE_FROM ${ARG_HEADERS})
endfunction()

# ds_add_mlir_unit_test(name sources... LINK libs...): a GoogleTest program over the shared MLIR, with precompiled headers.
function(ds_add_mlir_unit_test name)
  ds_add_unit_test(${name} ${ARGN})
  ds_use_mlir(${name})
  target_precompile_headers(${name} REUSE_FROM DSMlirTestHeaders)
endfunction()

# What a program over the shared MLIR needs beside its libraries.
function(ds_use_mlir name)
  target_link_libraries(${name} PRIVATE MLIR LLVM)
  target_include_directories(${name} SYSTEM PRIVATE ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
endfunction()

# The precompiled headers: what nearly every file of the compiler includes, and beside it what those include that emit and
# lower kernels. test/CMakeLists.txt has those of the unit tests.
set(MLIR_HEADERS
  <mlir/Bytecode/BytecodeOpInterface.h>
  <mlir/Dialect/Func/IR/FuncOps.h>
  <mlir/IR/Builders.h>
  <mlir/IR/BuiltinOps.h>
  <mlir/IR/DialectImplementation.h>
  <mlir/IR/OpImplementation.h>
  <mlir/IR/PatternMatch.h>
  <mlir/Interfaces/InferTypeOpInterface.h>
  <mlir/Interfaces/SideEffectInterfaces.h>
  <mlir/Pass/Pass.h>)
ds_add_library(DSMlirHeaders ${PROJECT_SOURCE_DIR}/cmake/MlirHeaders.cpp)
target_precompile_headers(DSMlirHeaders PRIVATE ${MLIR_HEADERS})

ds_add_library(DSKernelHeaders ${PROJECT_SOURCE_DIR}/cmake/MlirHeaders.cpp)
target_precompile_headers(DSKernelHeaders PRIVATE ${MLIR_HEADERS}
  <mlir/Dialect/Arith/IR/Arith.h>
  <mlir/Dialect/GPU/IR/GPUDialect.h>
  <mlir/Dialect/LLVMIR/LLVMDialect.h>
  <mlir/Dialect/Math/IR/Math.h>
  <mlir/Dialect/SCF/IR/SCF.h>
  <mlir/Dialect/Vector/IR/VectorOps.h>)
