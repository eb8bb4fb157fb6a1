//===- Peaks.cpp - what a GPU can do ----------------------------------------------------------===//

#include "runtime/device/cuda/Peaks.h"

#include "runtime/device/cuda/Check.h"
#include "runtime/plan/Error.h"

#include <algorithm>
#include <array>
#include <random>

namespace deepshard::runtime::cuda {

namespace {

/// Calls `start` as work of a stream some times; the seconds of the shortest, the first of which
/// does not count.
double leastSeconds(Device &device, const std::function<void()> &start) {
  constexpr size_t kRuns = 10;
  struct Context {
    const std::function<void()> &start;
    TaskClock &clock;
    std::exception_ptr failure;
  };
  std::unique_ptr<TaskClock> clock = device.clock(kRuns + 1);
  std::unique_ptr<Stream> stream = device.stream("peaks");
  Context context{start, *clock, nullptr};
  clock->beginStep();
  for (size_t run = 0; run <= kRuns; ++run)
    stream->issue(
        [](void *data, uint64_t run) noexcept {
          auto &context = *static_cast<Context *>(data);
          try {
            context.clock.begin(run);
            context.start();
            context.clock.end(run);
          } catch (...) {
            context.failure = std::current_exception();
          }
        },
        &context, run);
  if (context.failure)
    std::rethrow_exception(context.failure);
  device.throwIfFailed();
  stream->join();
  double least = 0;
  for (size_t run = 1; run <= kRuns; ++run) {
    auto [begin, end] = clock->read(run);
    double seconds = (end - begin).count();
    least = run == 1 ? seconds : std::min(least, seconds);
  }
  return least;
}

/// Numbers around 1: a GPU is faster, and cooler, with zeros.
void fill(Device &device, Arena &arena, DType type) {
  std::mt19937 random(1);
  std::vector<char> numbers(std::min<uint64_t>(arena.size(), 1 << 20));
  size_t width = sizeOf(type);
  for (char &byte : numbers)
    byte = static_cast<char>(random());
  // The exponent's bits: those of 0.5 to 2.
  for (size_t i = width - 1; i < numbers.size(); i += width)
    numbers[i] = 0x3f;
  if (type == DType::F16)
    for (size_t i = 1; i < numbers.size(); i += width)
      numbers[i] = 0x3a;
  for (uint64_t at = 0; at < arena.size(); at += numbers.size())
    device.write(arena.data() + at, numbers.data(),
                 std::min<uint64_t>(numbers.size(), arena.size() - at));
}

double matmulPeak(Device &device, DType type) {
  const KernelProvider *library = nullptr;
  try {
    library = device.provider("cublaslt");
  } catch (const Error &) {
    return 0; // the plan does without
  }
  const int64_t size = type == DType::F64 ? 2048 : type == DType::F32 ? 4096 : 8192;
  constexpr int64_t kWorkspaceBytes = int64_t{32} << 20;
  KernelSpec spec = squareMatmul(type, size);
  spec.attributes.set("workspace_bytes", kWorkspaceBytes);
  if (library->whyNot(spec))
    return 0;
  std::unique_ptr<Kernel> kernel = library->prepare(spec);
  uint64_t bytes = static_cast<uint64_t>(size * size) * sizeOf(type);
  std::unique_ptr<Arena> lhs = device.arena(Space::Device, bytes),
                         rhs = device.arena(Space::Device, bytes),
                         out = device.arena(Space::Device, bytes),
                         workspace = device.arena(Space::Device, kWorkspaceBytes);
  fill(device, *lhs, type);
  fill(device, *rhs, type);
  void *inputs[] = {lhs->data(), rhs->data()}, *outputs[] = {out->data()};
  const double flops = 2.0 * static_cast<double>(size * size * size);
  return flops / leastSeconds(device, [&] { kernel->run({inputs, outputs, workspace->data()}); });
}

double copyPeak(Device &device) {
  constexpr uint64_t kBytes = uint64_t{256} << 20; // several times the largest cache
  std::unique_ptr<Arena> from = device.arena(Space::Device, kBytes),
                         to = device.arena(Space::Device, kBytes);
  const std::array<int64_t, 1> shape = {kBytes}, strides = {1};
  return 2.0 * kBytes / leastSeconds(device, [&] {
           device.copy({from->data(), to->data(), shape, strides, strides, 1});
         });
}

} // namespace

MachinePeaks measurePeaks(Device &device, DType products) {
  return {matmulPeak(device, products), products, copyPeak(device)};
}

} // namespace deepshard::runtime::cuda
