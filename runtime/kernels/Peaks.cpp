//===- Peaks.cpp - what the machine can do ----------------------------------------------------===//

#include "runtime/kernels/Peaks.h"

#include "runtime/kernels/Kernel.h"
#include "runtime/kernels/Parallel.h"

#include <chrono>
#include <cstring>
#include <vector>

namespace deepshard::runtime {

/// The shortest of some runs, the first of which does not count.
template <typename Work> static double leastSeconds(int runs, const Work &work) {
  using Clock = std::chrono::steady_clock;
  double least = 0;
  for (int i = 0; i <= runs; ++i) {
    const Clock::time_point begin = Clock::now();
    work();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    if (i == 1 || (i > 1 && seconds < least))
      least = seconds;
  }
  return least;
}

KernelSpec squareMatmul(DType type, int64_t size) {
  KernelSpec spec;
  spec.name = "matmul";
  const TensorDesc square = TensorDesc::contiguous(type, {size, size});
  spec.inputs = {square, square};
  spec.outputs = {square};
  using List = std::vector<int64_t>;
  spec.attributes.set("lhs_batch", List{});
  spec.attributes.set("rhs_batch", List{});
  spec.attributes.set("lhs_contract", List{1});
  spec.attributes.set("rhs_contract", List{0});
  return spec;
}

static double matmulPeak(DType type, int threads) {
  constexpr int64_t kSize = 1024;
  KernelSpec spec = squareMatmul(type, kSize);
  spec.threads = threads;
  const KernelProvider *provider = findProvider("onednn");
  if (!provider || provider->whyNot(spec))
    return 0;
  const std::unique_ptr<Kernel> kernel = provider->prepare(spec);
  // Of these bytes every float type makes small numbers.
  const std::vector<char> numbers(kSize * kSize * sizeOf(type), 0x3c);
  std::vector<char> lhs = numbers, rhs = numbers, out = numbers;
  constexpr size_t kLine = 64;
  std::vector<char> memory(provider->workspaceBytes(spec) + kLine);
  const auto misplaced = reinterpret_cast<uintptr_t>(memory.data()) % kLine;
  void *inputs[] = {lhs.data(), rhs.data()}, *outputs[] = {out.data()};
  const KernelArguments arguments{inputs, outputs, memory.data() + (kLine - misplaced) % kLine};
  constexpr double kFlops = 2.0 * kSize * kSize * kSize;
  return kFlops / leastSeconds(5, [&] { kernel->run(arguments); });
}

static double copyPeak(int threads) {
  constexpr int64_t kBytes = int64_t{96} << 20, kGrain = int64_t{1} << 20;
  std::vector<char> from(kBytes, 1), to(kBytes);
  return 2.0 * kBytes / leastSeconds(5, [&] {
           parallelRanges(threads, kBytes, kGrain, [&](int64_t begin, int64_t end) {
             std::memcpy(to.data() + begin, from.data() + begin, static_cast<size_t>(end - begin));
           });
         });
}

MachinePeaks measurePeaks(DType products, int threads) {
  MachinePeaks peaks{matmulPeak(DType::F32, threads), DType::F32, copyPeak(threads)};
  if (double own = matmulPeak(products, threads); own > peaks.flopsPerSecond) {
    peaks.flopsPerSecond = own;
    peaks.matmulType = products;
  }
  return peaks;
}

} // namespace deepshard::runtime
