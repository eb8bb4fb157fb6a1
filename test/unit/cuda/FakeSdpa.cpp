//===- FakeSdpa.cpp - attention of cuDNN, computed on the host --------------------------------===//
//
// In place of CudnnSdpa.cpp: the libraries are looked for as there, the native provider computes.
// All of the workspace that a plan gives is overwritten.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/kernels/CpuLevel.h"
#include "runtime/kernels/Providers.h"
#include "runtime/kernels/cuda/CudnnLibrary.h"
#include "runtime/kernels/cuda/Sdpa.h"
#include "runtime/kernels/cuda/SdpaLibrary.h"
#include "runtime/plan/Error.h"
#include "test/unit/cuda/FakeCuda.h"

#include <cstring>

namespace deepshard::runtime {

extern "C" test::FakeEntry deepshardFakeCuda;

namespace cuda {

namespace {

/// The kernel and its own workspace; of the work that waits in a stream.
struct HostAttention {
  std::unique_ptr<Kernel> kernel;
  std::vector<double> workspace;
};

class FakeGraph final : public SdpaGraph {
public:
  explicit FakeGraph(const KernelSpec &spec)
      : bytes(sdpaWorkspace(sdpaOf(spec))), host(std::make_shared<HostAttention>()) {
    const KernelProvider &native = nativeProvider(cpuLevel());
    host->kernel = native.prepare(spec);
    host->workspace.resize(native.workspaceBytes(spec) / sizeof(double) + 8);
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
  std::shared_ptr<HostAttention> host;
};

class FakeSdpa final : public SdpaLibrary {
public:
  explicit FakeSdpa(const std::string &libraries) : cudnn(libraries) {}

  std::string version() const override { return cudnn.version(); }
  std::unique_ptr<SdpaGraph> build(const KernelSpec &spec) const override {
    return std::make_unique<FakeGraph>(spec);
  }

private:
  CudnnLibrary cudnn;
};

} // namespace

std::unique_ptr<SdpaLibrary> openSdpaLibrary(const std::string &libraries) {
  return std::make_unique<FakeSdpa>(libraries);
}

} // namespace cuda
} // namespace deepshard::runtime
