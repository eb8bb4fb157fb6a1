//===- FakeGraphs.cpp - graphs of cuDNN, computed on the host ---------------------------------===//
//
// In place of CudnnOnGpu.cpp: the libraries are looked for as there, the native provider computes
// attention and the reference provider convolutions. All of the workspace that they may use is
// overwritten.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/device/cuda/CurrentGpu.h"
#include "runtime/kernels/CpuLevel.h"
#include "runtime/kernels/Providers.h"
#include "runtime/kernels/Require.h"
#include "runtime/kernels/cuda/Conv.h"
#include "runtime/kernels/cuda/CudnnLibrary.h"
#include "runtime/kernels/cuda/GraphLibrary.h"
#include "runtime/kernels/cuda/Sdpa.h"
#include "runtime/plan/Error.h"
#include "test/unit/cuda/FakeCuda.h"

#include <fmt/format.h>

#include <cstring>

namespace deepshard::runtime {

extern "C" test::FakeEntry deepshardFakeCuda;

namespace cuda {

namespace {

/// The kernel and its own workspace; of the work that waits in a stream.
struct HostKernel {
  std::unique_ptr<Kernel> kernel;
  std::vector<double> workspace;
};

class FakeGraph final : public LibraryGraph {
public:
  explicit FakeGraph(const KernelSpec &spec)
      : bytes(isConv(spec) ? workspaceAttribute(spec) : sdpaWorkspace(sdpaOf(spec))),
        host(std::make_shared<HostKernel>()) {
    const KernelProvider &provider =
        isConv(spec) ? referenceProvider() : nativeProvider(cpuLevel());
    host->kernel = provider.prepare(spec);
    host->workspace.resize(provider.workspaceBytes(spec) / sizeof(double) + 8);
  }

  uint64_t workspaceBytes() const override { return bytes; }

  void run(const KernelArguments &arguments, cudaStream_t stream) override {
    if (deepshardFakeCuda()->fails("cudnnBackendExecute"))
      throw Error("cudnnBackendExecute: made to fail", ExitCode::RankFailed);
    auto work = [host = host, bytes = bytes, workspace = arguments.workspace,
                 inputs = std::vector(arguments.inputs.begin(), arguments.inputs.end()),
                 outputs = std::vector(arguments.outputs.begin(), arguments.outputs.end())] {
      std::memset(workspace, 0xff, bytes);
      auto own = reinterpret_cast<uintptr_t>(host->workspace.data());
      host->kernel->run({inputs, outputs, reinterpret_cast<void *>((own + 63) / 64 * 64)});
      return true;
    };
    deepshardFakeCuda()->issue(stream, "cudnnBackendExecute", work);
  }

private:
  uint64_t bytes;
  std::shared_ptr<HostKernel> host;
};

/// What stands in a plan for a graph.
std::string planOf(const KernelSpec &spec) { return "fake " + spec.name; }

class FakeGraphs final : public GraphLibrary {
public:
  FakeGraphs(const std::string &libraries, std::vector<StoredGraph> graphs)
      : cudnn(libraries), graphs(std::move(graphs)) {}

  std::string version() const override { return cudnn.version(); }

  /// Calls tell which it was.
  std::unique_ptr<LibraryGraph> build(const KernelSpec &spec) const override {
    const StoredGraph *stored = storedFor(spec, graphs, version(), textOf(currentGpu()));
    if (stored && stored->plan != planOf(spec))
      throw Error(fmt::format("{} got the plan \"{}\"", spec.name, stored->plan));
    if (deepshardFakeCuda()->fails(stored ? "cudnnLoad" : "cudnnBuild"))
      throw Error("cuDNN: made to fail");
    return std::make_unique<FakeGraph>(spec);
  }

private:
  CudnnLibrary cudnn;
  std::vector<StoredGraph> graphs;
};

class FakeCompiler final : public GraphCompiler {
public:
  explicit FakeCompiler(const GraphCompilerOptions &options)
      : cudnn(options.libraries), gpu(options.gpu) {}

  StoredGraph build(const KernelSpec &spec) const override {
    return {cudnn.version(), textOf(gpu), planOf(spec), {}, {}, 0};
  }

private:
  CudnnLibrary cudnn;
  GpuDescription gpu;
};

} // namespace

std::unique_ptr<GraphLibrary> openGraphLibrary(const std::string &libraries,
                                               std::vector<StoredGraph> graphs) {
  return std::make_unique<FakeGraphs>(libraries, std::move(graphs));
}

std::unique_ptr<GraphCompiler> makeGraphCompiler(const GraphCompilerOptions &options) {
  return std::make_unique<FakeCompiler>(options);
}

} // namespace cuda
} // namespace deepshard::runtime
