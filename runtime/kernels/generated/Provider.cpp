//===- Provider.cpp - the provider of generated kernels ---------------------------------------===//

#include "runtime/kernels/Providers.h"
#include "runtime/kernels/Require.h"
#include "runtime/kernels/generated/Generated.h"

#include <fmt/format.h>
#include <omp.h>

#include <stdexcept>
#include <vector>

namespace deepshard::runtime {

namespace {

/// So that the bounds of chunks do not overflow.
constexpr int64_t kMostChunks = 1 << 16;
constexpr int64_t kLargestExtent = int64_t{1} << 46;

using LoopFunction = void (*)(void *const *operands, int64_t begin, int64_t end, int64_t slot);

struct Loop {
  LoopFunction function = nullptr;
  int64_t extent = 0;
  int64_t chunks = 1;

  void run(void *const *operands, int64_t chunk) const {
    function(operands, extent * chunk / chunks, extent * (chunk + 1) / chunks, chunk);
  }
};

/// The loops of a sound spec, without functions.
std::vector<Loop> loopsOf(const KernelSpec &spec) {
  const std::vector<int64_t> &extents = spec.attributes.integers("extents");
  const std::vector<int64_t> &chunks = spec.attributes.integers("chunks");
  require(!extents.empty(), "attribute extents is empty: a kernel has at least one loop");
  require(
      extents.size() == chunks.size(),
      fmt::format("attribute extents has {} loops, chunks has {}", extents.size(), chunks.size()));
  require(spec.attributes.integer("workspace_bytes") >= 0, "attribute workspace_bytes is negative");
  require(spec.threads >= 1, "a kernel needs at least one thread");
  std::vector<Loop> loops;
  for (size_t i = 0; i < extents.size(); ++i) {
    require(extents[i] >= 0 && extents[i] <= kLargestExtent,
            fmt::format("attribute extents: {} of loop {} is not between 0 and {}", extents[i], i,
                        kLargestExtent));
    require(chunks[i] >= 1 && chunks[i] <= kMostChunks,
            fmt::format("attribute chunks: {} of loop {} is not between 1 and {}", chunks[i], i,
                        kMostChunks));
    loops.push_back({nullptr, extents[i], chunks[i]});
  }
  return loops;
}

/// The same with the functions of `code`.
std::vector<Loop> loopsOf(const KernelSpec &spec, const Code &code) {
  std::vector<Loop> loops = loopsOf(spec);
  for (size_t i = 0; i < loops.size(); ++i) {
    std::string symbol = loopSymbol(spec.name, i);
    loops[i].function = reinterpret_cast<LoopFunction>(code.find(symbol));
    require(loops[i].function, fmt::format("the plan's code has no function {}", symbol));
  }
  return loops;
}

class GeneratedKernel : public Kernel {
public:
  GeneratedKernel(std::vector<Loop> loops, const KernelSpec &spec)
      : loops(std::move(loops)), threads(spec.threads),
        hasWorkspace(spec.attributes.integer("workspace_bytes") > 0) {
    operands.resize(spec.inputs.size() + spec.outputs.size() + (hasWorkspace ? 1 : 0));
    for (const Loop &loop : this->loops)
      needsTeam |= threads > 1 && loop.chunks > 1;
  }

  void run(const KernelArguments &arguments) noexcept override {
    auto end = std::copy(arguments.inputs.begin(), arguments.inputs.end(), operands.begin());
    end = std::copy(arguments.outputs.begin(), arguments.outputs.end(), end);
    if (hasWorkspace)
      *end = arguments.workspace;
    if (!needsTeam) {
      for (const Loop &loop : loops)
        for (int64_t chunk = 0; chunk < loop.chunks; ++chunk)
          loop.run(operands.data(), chunk);
      return;
    }
#pragma omp parallel num_threads(threads)
    {
      const int64_t team = omp_get_num_threads();
      for (size_t i = 0; i < loops.size(); ++i) {
        if (i > 0) {
#pragma omp barrier
        }
        for (int64_t chunk = omp_get_thread_num(); chunk < loops[i].chunks; chunk += team)
          loops[i].run(operands.data(), chunk);
      }
    }
  }

private:
  std::vector<Loop> loops;
  int threads;
  bool hasWorkspace;
  bool needsTeam = false;
  std::vector<void *> operands; // of the run in progress
};

} // namespace

std::optional<std::string> GeneratedProvider::whyNot(const KernelSpec &spec) const {
  try {
    code ? loopsOf(spec, *code) : loopsOf(spec);
    return std::nullopt;
  } catch (const std::invalid_argument &error) {
    return error.what();
  }
}

size_t GeneratedProvider::workspaceBytes(const KernelSpec &spec) const {
  return static_cast<size_t>(spec.attributes.integer("workspace_bytes"));
}

std::unique_ptr<Kernel> GeneratedProvider::prepare(const KernelSpec &spec) const {
  require(code, "there is no code: generated kernels run from a plan only");
  return std::make_unique<GeneratedKernel>(loopsOf(spec, *code), spec);
}

const KernelProvider &generatedProvider() {
  static const GeneratedProvider provider;
  return provider;
}

} // namespace deepshard::runtime
