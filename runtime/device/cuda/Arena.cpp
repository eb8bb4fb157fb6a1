//===- Arena.cpp - memory of a GPU, and of the host for it ------------------------------------===//

#include "runtime/device/cuda/Arena.h"

#include "runtime/device/cuda/Check.h"

#include <fmt/format.h>

#include <cstring>

namespace deepshard::runtime::cuda {

DeviceArena::DeviceArena(uint64_t bytes) : Arena(bytes) {
  if (bytes == 0)
    return;
  // Whole blocks of 2 MiB, which CUDA takes from the device anyway and aligns as much.
  constexpr uint64_t kBlock = uint64_t{2} << 20;
  void *memory = nullptr;
  if (cudaError_t result = cudaMalloc(&memory, (bytes + kBlock - 1) / kBlock * kBlock);
      result != cudaSuccess) {
    size_t free = 0, total = 0;
    (void)cudaGetLastError();
    (void)cudaMemGetInfo(&free, &total);
    throw Error(fmt::format("this GPU does not give {} bytes of memory, which the plan needs; {} "
                            "of {} bytes are free: {}",
                            bytes, free, total, cudaGetErrorString(result)));
  }
  base = static_cast<char *>(memory);
}

DeviceArena::~DeviceArena() { (void)cudaFree(base); }

PinnedArena::PinnedArena(uint64_t bytes) : Arena(bytes) {
  if (bytes == 0)
    return;
  void *memory = nullptr;
  if (cudaError_t result = cudaHostAlloc(&memory, bytes, cudaHostAllocPortable);
      result != cudaSuccess) {
    (void)cudaGetLastError();
    throw Error(fmt::format("the host does not give {} bytes of pinned memory, which the plan "
                            "needs: {}; `ulimit -l` may limit it",
                            bytes, cudaGetErrorString(result)));
  }
  base = static_cast<char *>(memory);
  std::memset(base, 0, bytes);
}

PinnedArena::~PinnedArena() { (void)cudaFreeHost(base); }

void clear(char *memory, uint64_t bytes) {
  check(cudaMemset(memory, 0, bytes), "cudaMemset");
  check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
}

} // namespace deepshard::runtime::cuda
