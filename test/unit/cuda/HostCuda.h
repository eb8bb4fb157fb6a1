//===- HostCuda.h - the words of CUDA as words of C++ -----------------------------------------===//
//
// Included before device code that is compiled for the host. Its threads are those of a Block
// (test/unit/gpu/Fibers.h), which take turns in any order; shared memory is what is in a section of
// its own, for one block after another.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_CUDA_HOSTCUDA_H
#define DEEPSHARD_TEST_UNIT_CUDA_HOSTCUDA_H

#include "test/unit/gpu/Fibers.h"

#include <vector_types.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#undef __device__
#undef __global__
#undef __grid_constant__
#undef __shared__
#undef __launch_bounds__
#define __device__
#define __global__
#define __grid_constant__
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("ds_shared")))

// What is known of shared memory when a block begins.
extern "C" char __start_ds_shared[], __stop_ds_shared[];

static dim3 gridDim, blockDim;

static uint3 hostThread() { return {deepshard::Block::current->thread(), 0, 0}; }
static uint3 hostBlock() {
  return {static_cast<unsigned>(deepshard::Block::current->blockX),
          static_cast<unsigned>(deepshard::Block::current->blockY), 0};
}
#define threadIdx hostThread()
#define blockIdx hostBlock()

static inline float __uint_as_float(uint32_t bits) { return std::bit_cast<float>(bits); }
static inline uint32_t __float_as_uint(float number) { return std::bit_cast<uint32_t>(number); }
static inline int __popc(uint32_t bits) { return std::popcount(bits); }
static inline void __syncthreads() { deepshard::Block::current->barrier(); }
template <typename T> static T atomicAdd(T *sum, T value) {
  T before = *sum;
  *sum += value;
  return before;
}

/// What another lane of the warp gave, or `from` given its own number; all lanes take part.
template <typename T, typename LaneOf>
static T hostShuffle(uint32_t mask, T value, uint32_t which, const LaneOf &laneOf) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  auto &block = *deepshard::Block::current;
  if (mask != 0xffffffff)
    block.fail("a shuffle of some lanes only");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  const auto &given = block.meet(bits, which);
  T result;
  std::memcpy(&result, &given[laneOf(block.thread() % deepshard::Block::kWarp)], sizeof(T));
  return result;
}
template <typename T> static T __shfl_sync(uint32_t mask, T value, int from) {
  return hostShuffle(mask, value, 0x100,
                     [=](uint32_t) { return static_cast<uint32_t>(from) % 32; });
}
template <typename T> static T __shfl_xor_sync(uint32_t mask, T value, int distance) {
  return hostShuffle(mask, value, 0x200 + static_cast<uint32_t>(distance),
                     [=](uint32_t lane) { return (lane ^ static_cast<uint32_t>(distance)) % 32; });
}
template <typename T> static T __shfl_up_sync(uint32_t mask, T value, int distance) {
  auto by = static_cast<uint32_t>(distance);
  return hostShuffle(mask, value, 0x300 + by,
                     [=](uint32_t lane) { return lane < by ? lane : lane - by; });
}
static inline uint32_t __match_any_sync(uint32_t mask, uint32_t value) {
  auto &block = *deepshard::Block::current;
  if (mask != 0xffffffff)
    block.fail("a match of some lanes only");
  const auto &given = block.meet(value, 0x400);
  uint32_t alike = 0;
  for (uint32_t lane = 0; lane < deepshard::Block::kWarp; ++lane)
    alike |= given[lane] == value ? 1u << lane : 0;
  return alike;
}

#endif // DEEPSHARD_TEST_UNIT_CUDA_HOSTCUDA_H
