//===- FakeKernels.cpp - the library's own kernels on the host --------------------------------===//

#include "test/unit/cuda/FakeKernels.h"

#include "test/unit/cuda/HostCuda.h"

#include "runtime/device/cuda/Kernels.cu"
#include "runtime/kernels/cuda/device/Primitives.cu"

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <vector>

namespace deepshard::runtime::test {

namespace {

using Launch = std::string (*)(const void *argument, dim3 grid, dim3 block, uint32_t seed);

/// The blocks in any order, one after another.
std::string runBlocks(dim3 grid, dim3 block, uint32_t seed, const std::function<void()> &kernel) {
  gridDim = grid;
  blockDim = block;
  std::mt19937 random(seed);
  std::vector<uint32_t> order(grid.x * grid.y);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  // Their stacks are kept from one launch to the next.
  static std::map<uint32_t, Block> blocks;
  Block &threads = blocks.try_emplace(block.x, block.x, seed).first->second;
  threads.reseed(seed);
  for (uint32_t number : order) {
    threads.blockX = number % grid.x;
    threads.blockY = number / grid.x;
    std::memset(__start_ds_shared, 0xff, static_cast<size_t>(__stop_ds_shared - __start_ds_shared));
    if (std::string fault = threads.run(kernel); !fault.empty())
      return fault;
  }
  return "";
}

/// The launch of a kernel that takes one struct.
template <auto kernel> struct LaunchOf;
template <typename Argument, void (*kernel)(Argument)> struct LaunchOf<kernel> {
  static constexpr size_t kBytes = sizeof(Argument);

  static std::string run(const void *argument, dim3 grid, dim3 block, uint32_t seed) {
    return runBlocks(grid, block, seed,
                     [argument] { kernel(*static_cast<const Argument *>(argument)); });
  }
};

struct Entry {
  Launch launch;
  size_t bytes; // of the struct
};

#define DEEPSHARD_ENTRY(name)                                                                      \
  {                                                                                                \
    "ds_" #name, { LaunchOf<ds_##name>::run, LaunchOf<ds_##name>::kBytes }                         \
  }
#define DEEPSHARD_ENTRIES(type)                                                                    \
  DEEPSHARD_ENTRY(reduce_##type##_sum), DEEPSHARD_ENTRY(reduce_##type##_max),                      \
      DEEPSHARD_ENTRY(reduce_##type##_min)
#define DEEPSHARD_FLOATS(name) DEEPSHARD_ENTRY(name##_f32), DEEPSHARD_ENTRY(name##_f64)

const std::map<std::string, Entry> kEntries = {DEEPSHARD_ENTRY(copy_1),
                                               DEEPSHARD_ENTRY(copy_2),
                                               DEEPSHARD_ENTRY(copy_4),
                                               DEEPSHARD_ENTRY(copy_8),
                                               DEEPSHARD_ENTRY(copy_16),
                                               DEEPSHARD_ENTRY(mark),
                                               DEEPSHARD_ENTRIES(f32),
                                               DEEPSHARD_ENTRIES(f64),
                                               DEEPSHARD_ENTRIES(bf16),
                                               DEEPSHARD_ENTRIES(f16),
                                               DEEPSHARD_ENTRIES(i64),
                                               DEEPSHARD_ENTRIES(i32),
                                               DEEPSHARD_FLOATS(elementwise),
                                               DEEPSHARD_ENTRY(elementwise_i64),
                                               DEEPSHARD_ENTRY(select),
                                               DEEPSHARD_ENTRY(convert),
                                               DEEPSHARD_FLOATS(dropout),
                                               DEEPSHARD_ENTRY(fill),
                                               DEEPSHARD_ENTRY(iota),
                                               DEEPSHARD_ENTRY(reshape),
                                               DEEPSHARD_FLOATS(reduce),
                                               DEEPSHARD_ENTRY(reduce_i64),
                                               DEEPSHARD_FLOATS(finish_reduce),
                                               DEEPSHARD_ENTRY(finish_reduce_i64),
                                               DEEPSHARD_ENTRY(gather),
                                               DEEPSHARD_FLOATS(scatter_add),
                                               DEEPSHARD_ENTRY(embedding),
                                               DEEPSHARD_ENTRY(sort_count),
                                               DEEPSHARD_ENTRY(sort_place),
                                               DEEPSHARD_ENTRY(sort_starts),
                                               DEEPSHARD_FLOATS(embedding_grad),
                                               DEEPSHARD_FLOATS(embedding_grad_start),
                                               DEEPSHARD_FLOATS(embedding_grad_atomic),
                                               DEEPSHARD_FLOATS(adamw),
                                               DEEPSHARD_FLOATS(sum_squares),
                                               DEEPSHARD_ENTRY(sum_partials),
                                               DEEPSHARD_ENTRY(update_loss_scale)};

} // namespace

bool hasBuiltInKernel(const std::string &name) { return kEntries.contains(name); }

std::function<std::string(uint32_t)> builtInKernel(const std::string &name, dim3 grid, dim3 block,
                                                   void **arguments) {
  const Entry &entry = kEntries.at(name);
  const char *argument = static_cast<const char *>(arguments[0]);
  return [launch = entry.launch, grid, block,
          copy = std::vector<char>(argument, argument + entry.bytes)](uint32_t seed) {
    return launch(copy.data(), grid, block, seed);
  };
}

} // namespace deepshard::runtime::test
