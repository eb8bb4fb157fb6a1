# What libds_cuda.so is built with: nvcc for the device code, headers, the static runtime. From the packages of
# requirements-cuda.txt in the project's environment, else from a toolkit (CUDA_PATH, /usr/local/cuda, the system's).
# Libraries are opened at run time. Sets DEEPSHARD_CUDA_FOUND. ds-opt takes its assembler, where there is no other.

file(GLOB packages ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/nvidia/*)
set(roots ${packages} $ENV{CUDA_PATH} $ENV{CUDA_HOME} /usr/local/cuda)

find_program(DEEPSHARD_NVCC nvcc HINTS ${roots} PATH_SUFFIXES bin)
find_program(DEEPSHARD_PTXAS ptxas HINTS ${roots} PATH_SUFFIXES bin)
find_library(DEEPSHARD_CUDART libcudart_static.a HINTS ${roots} PATH_SUFFIXES lib lib64)
set(DEEPSHARD_CUDA_INCLUDES)
# The last two are included by headers of cuda_runtime_api.h and cublasLt.h.
foreach(header cuda_runtime_api.h cublasLt.h nccl.h crt/host_defines.h nv/target)
  string(MAKE_C_IDENTIFIER "DEEPSHARD_INCLUDE_${header}" variable)
  find_path(${variable} ${header} HINTS ${roots} PATH_SUFFIXES include include/cccl)
  mark_as_advanced(${variable})
  list(APPEND DEEPSHARD_CUDA_INCLUDES ${${variable}})
  if(NOT ${variable})
    list(APPEND missing ${header})
  endif()
endforeach()
list(REMOVE_DUPLICATES DEEPSHARD_CUDA_INCLUDES)
mark_as_advanced(DEEPSHARD_NVCC DEEPSHARD_PTXAS DEEPSHARD_CUDART)
foreach(found DEEPSHARD_NVCC DEEPSHARD_CUDART)
  if(NOT ${found})
    list(APPEND missing ${found})
  endif()
endforeach()

if(missing)
  set(DEEPSHARD_CUDA_FOUND OFF)
  list(JOIN missing ", " missing)
  message(STATUS "No libds_cuda.so: ${missing} not found (requirements-cuda.txt)")
else()
  set(DEEPSHARD_CUDA_FOUND ON)
  message(STATUS "libds_cuda.so is built with ${DEEPSHARD_NVCC}")
endif()

# Kernels of cuDNN are left out where the headers of cuDNN or of its frontend are not found.
file(GLOB sites ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages)
find_path(DEEPSHARD_INCLUDE_cudnn_h cudnn.h HINTS ${roots} PATH_SUFFIXES include)
find_path(DEEPSHARD_INCLUDE_cudnn_frontend_h cudnn_frontend.h HINTS ${sites} ${roots} PATH_SUFFIXES include)
mark_as_advanced(DEEPSHARD_INCLUDE_cudnn_h DEEPSHARD_INCLUDE_cudnn_frontend_h)
set(DEEPSHARD_CUDNN_INCLUDES ${DEEPSHARD_INCLUDE_cudnn_h} ${DEEPSHARD_INCLUDE_cudnn_frontend_h})
set(DEEPSHARD_CUDNN_FOUND OFF)
if(DEEPSHARD_INCLUDE_cudnn_h AND DEEPSHARD_INCLUDE_cudnn_frontend_h)
  set(DEEPSHARD_CUDNN_FOUND ON)
elseif(DEEPSHARD_CUDA_FOUND)
  message(STATUS "libds_cuda.so is built without kernels of cuDNN: cudnn.h or cudnn_frontend.h not found "
                 "(requirements-cuda.txt)")
endif()
