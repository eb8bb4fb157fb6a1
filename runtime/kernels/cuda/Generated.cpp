//===- Generated.cpp - kernels whose device code comes with the plan --------------------------===//

#include "runtime/kernels/cuda/Generated.h"

#include "runtime/device/cuda/Check.h"
#include "runtime/kernels/Require.h"
#include "runtime/kernels/cuda/CudaKernel.h"
#include "runtime/kernels/generated/Generated.h"

#include <fmt/format.h>

#include <charconv>
#include <stdexcept>

namespace deepshard::runtime::cuda {

namespace {

/// What "sm_90", "sm_90a" or "compute_80" says.
struct Target {
  int capability = 0; // 0: not understood
  bool isExact = false;
  bool isPtx = false;

  explicit Target(std::string_view text) {
    isPtx = text.starts_with("compute_");
    size_t prefix = isPtx ? 8 : text.starts_with("sm_") ? 3 : text.size();
    std::string_view digits = text.substr(prefix);
    isExact = digits.ends_with('a');
    if (isExact)
      digits.remove_suffix(1);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), capability);
    if (error != std::errc() || end != digits.data() + digits.size())
      capability = 0;
  }

  bool runsOn(int gpu) const {
    if (capability == 0 || isExact)
      return capability != 0 && capability == gpu;
    return capability <= gpu && (isPtx || capability / 10 == gpu / 10);
  }
};

int currentCapability() {
  int gpu = 0, major = 0, minor = 0;
  check(cudaGetDevice(&gpu), "cudaGetDevice", ExitCode::BadInput);
  for (auto [attribute, value] : {std::pair{cudaDevAttrComputeCapabilityMajor, &major},
                                  std::pair{cudaDevAttrComputeCapabilityMinor, &minor}})
    check(cudaDeviceGetAttribute(value, attribute, gpu), "cudaDeviceGetAttribute",
          ExitCode::BadInput);
  return 10 * major + minor;
}

struct Loop {
  cudaKernel_t kernel;
  Geometry geometry;
};

/// Three numbers of `values` from `first` on, each up to its limit.
dim3 extent(const std::vector<int64_t> &values, size_t first, const char *name, int64_t least,
            const int64_t (&limits)[3]) {
  unsigned sizes[3];
  for (size_t i = 0; i < 3; ++i) {
    int64_t size = values[first + i];
    require(size >= least && size <= limits[i],
            fmt::format("attribute {}: {} of loop {} is not between {} and {}", name, size,
                        first / 3, least, limits[i]));
    sizes[i] = static_cast<unsigned>(size);
  }
  return {sizes[0], sizes[1], sizes[2]};
}

std::vector<Loop> loopsOf(const KernelSpec &spec, Module &module) {
  const std::vector<int64_t> &grid = spec.attributes.integers("grid");
  const std::vector<int64_t> &block = spec.attributes.integers("block");
  const std::vector<int64_t> &shared = spec.attributes.integers("shared_bytes");
  require(spec.attributes.integer("workspace_bytes") >= 0, "attribute workspace_bytes is negative");
  require(!shared.empty() && grid.size() == 3 * shared.size() && block.size() == grid.size(),
          fmt::format("attributes grid, block and shared_bytes have {}, {} and {} numbers; three, "
                      "three and one a loop were expected",
                      grid.size(), block.size(), shared.size()));
  std::vector<Loop> loops;
  for (size_t i = 0; i < shared.size(); ++i) {
    Geometry geometry;
    geometry.grid = extent(grid, 3 * i, "grid", 0, {INT32_MAX, 65535, 65535});
    geometry.block = extent(block, 3 * i, "block", 1, {1024, 1024, 64});
    require(shared[i] >= 0 && shared[i] <= INT32_MAX,
            fmt::format("attribute shared_bytes: {} of loop {}", shared[i], i));
    geometry.sharedBytes = static_cast<uint32_t>(shared[i]);
    std::string symbol = loopSymbol(spec.name, i);
    cudaKernel_t kernel = module.find(symbol, geometry);
    require(kernel, fmt::format("the plan's device code has no function {}", symbol));
    loops.push_back({kernel, geometry});
  }
  return loops;
}

class GeneratedKernel final : public CudaKernel {
public:
  GeneratedKernel(std::vector<Loop> loops, const KernelSpec &spec, Streams &streams)
      : CudaKernel(streams), loops(std::move(loops)),
        hasWorkspace(spec.attributes.integer("workspace_bytes") > 0) {
    operands.resize(spec.inputs.size() + spec.outputs.size() + (hasWorkspace ? 1 : 0));
    for (void *&operand : operands)
      arguments.push_back(&operand);
  }

  void start(const KernelArguments &given, cudaStream_t stream) override {
    auto end = std::copy(given.inputs.begin(), given.inputs.end(), operands.begin());
    end = std::copy(given.outputs.begin(), given.outputs.end(), end);
    if (hasWorkspace)
      *end = given.workspace;
    for (const Loop &loop : loops)
      if (const dim3 &grid = loop.geometry.grid; grid.x && grid.y && grid.z)
        launch(loop.kernel, loop.geometry, arguments.data(), stream);
  }

private:
  std::vector<Loop> loops;
  bool hasWorkspace;
  std::vector<void *> operands;  // of the run in progress
  std::vector<void *> arguments; // their addresses
};

} // namespace

const CudaOptions::Code *codeFor(const std::vector<CudaOptions::Code> &codes, int capability) {
  const CudaOptions::Code *best = nullptr;
  auto rank = [](const CudaOptions::Code &code) {
    Target target(code.target);
    return std::tuple(!target.isPtx, target.capability, target.isExact);
  };
  for (const CudaOptions::Code &code : codes)
    if (Target(code.target).runsOn(capability) && (!best || rank(code) > rank(*best)))
      best = &code;
  return best;
}

GeneratedProvider::GeneratedProvider(const std::vector<CudaOptions::Code> &codes, Streams &streams)
    : streams(streams) {
  int capability = currentCapability();
  const CudaOptions::Code *code = codeFor(codes, capability);
  if (!code) {
    std::string targets;
    for (const CudaOptions::Code &other : codes)
      targets += fmt::format("{}{}", targets.empty() ? "" : ", ", other.target);
    throw Error(fmt::format("the plan has device code for {}, this GPU is sm_{}: run ds-opt again "
                            "for it",
                            targets.empty() ? "no GPU" : targets, capability));
  }
  try {
    module = std::make_unique<Module>(code->image.data());
  } catch (const Error &error) {
    throw Error(fmt::format("the plan's device code for {} cannot be loaded on this GPU (sm_{}): "
                            "{}",
                            code->target, capability, error.what()));
  }
}

std::optional<std::string> GeneratedProvider::whyNot(const KernelSpec &spec) const {
  try {
    (void)loopsOf(spec, *module);
    return std::nullopt;
  } catch (const std::invalid_argument &error) {
    return error.what();
  }
}

size_t GeneratedProvider::workspaceBytes(const KernelSpec &spec) const {
  return static_cast<size_t>(spec.attributes.integer("workspace_bytes"));
}

std::unique_ptr<Kernel> GeneratedProvider::prepare(const KernelSpec &spec) const {
  return std::make_unique<GeneratedKernel>(loopsOf(spec, *module), spec, streams);
}

} // namespace deepshard::runtime::cuda
