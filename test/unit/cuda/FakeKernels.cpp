//===- FakeKernels.cpp - the library's own kernels on the host --------------------------------===//
//
// Kernels.cu with the words of CUDA as words of C++. Its threads do not meet, so they may run one
// after another.
//
//===------------------------------------------------------------------------------------------===//

#include "test/unit/cuda/FakeKernels.h"

#include <bit>
#include <cstdint>
#include <map>

#undef __device__
#undef __global__
#undef __grid_constant__
#define __device__
#define __global__
#define __grid_constant__

static thread_local uint3 blockIdx, threadIdx;
static thread_local dim3 blockDim, gridDim;
static float __uint_as_float(uint32_t bits) { return std::bit_cast<float>(bits); }
static uint32_t __float_as_uint(float number) { return std::bit_cast<uint32_t>(number); }

#include "runtime/device/cuda/Kernels.cu"

namespace deepshard::runtime::test {

namespace {

using CopyKernel = void (*)(const cuda::StridedWindow);
using ReduceKernel = void (*)(const cuda::ReducedRows);

const std::map<std::string, CopyKernel> kCopies = {{"ds_copy_1", ds_copy_1},
                                                   {"ds_copy_2", ds_copy_2},
                                                   {"ds_copy_4", ds_copy_4},
                                                   {"ds_copy_8", ds_copy_8},
                                                   {"ds_copy_16", ds_copy_16}};

#define DEEPSHARD_ENTRIES(type)                                                                    \
  {"ds_reduce_" #type "_sum", ds_reduce_##type##_sum},                                             \
      {"ds_reduce_" #type "_max", ds_reduce_##type##_max}, {                                       \
    "ds_reduce_" #type "_min", ds_reduce_##type##_min                                              \
  }
const std::map<std::string, ReduceKernel> kReductions = {
    DEEPSHARD_ENTRIES(f32), DEEPSHARD_ENTRIES(f64), DEEPSHARD_ENTRIES(bf16),
    DEEPSHARD_ENTRIES(f16), DEEPSHARD_ENTRIES(i64), DEEPSHARD_ENTRIES(i32)};

template <typename Kernel, typename Argument>
std::function<void()> launchOf(Kernel kernel, dim3 grid, dim3 block, const void *argument) {
  return [kernel, grid, block, argument = *static_cast<const Argument *>(argument)] {
    gridDim = grid;
    blockDim = block;
    for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < block.x; ++threadIdx.x)
          kernel(argument);
  };
}

} // namespace

bool hasBuiltInKernel(const std::string &name) {
  return kCopies.contains(name) || kReductions.contains(name);
}

std::function<void()> builtInKernel(const std::string &name, dim3 grid, dim3 block,
                                    void **arguments) {
  if (auto copy = kCopies.find(name); copy != kCopies.end())
    return launchOf<CopyKernel, cuda::StridedWindow>(copy->second, grid, block, arguments[0]);
  return launchOf<ReduceKernel, cuda::ReducedRows>(kReductions.at(name), grid, block, arguments[0]);
}

} // namespace deepshard::runtime::test
