//===- Cudnn.cpp - attention of cuDNN ---------------------------------------------------------===//

#include "runtime/kernels/cuda/Cudnn.h"

#include "runtime/kernels/Require.h"
#include "runtime/kernels/cuda/CudaKernel.h"
#include "runtime/kernels/cuda/Sdpa.h"
#include "runtime/plan/Error.h"

#include <fmt/format.h>

#include <stdexcept>

namespace deepshard::runtime::cuda {

namespace {

class AttentionKernel final : public CudaKernel {
public:
  AttentionKernel(std::unique_ptr<SdpaGraph> graph, Streams &streams)
      : CudaKernel(streams), graph(std::move(graph)) {}

private:
  void start(const KernelArguments &arguments, cudaStream_t stream) override {
    for (std::span<void *const> operands : {arguments.inputs, arguments.outputs})
      for (void *operand : operands)
        if (reinterpret_cast<uintptr_t>(operand) % kSdpaAlignment != 0)
          throw Error(
              fmt::format("an operand of attention is not aligned to {} bytes", kSdpaAlignment),
              ExitCode::BadInput);
    graph->run(arguments, stream);
  }

  std::unique_ptr<SdpaGraph> graph;
};

} // namespace

std::optional<std::string> CudnnProvider::whyNot(const KernelSpec &spec) const {
  try {
    (void)sdpaOf(spec);
    (void)workspaceAttribute(spec);
    return std::nullopt;
  } catch (const std::invalid_argument &error) {
    return error.what();
  }
}

size_t CudnnProvider::workspaceBytes(const KernelSpec &spec) const {
  return workspaceAttribute(spec);
}

std::unique_ptr<Kernel> CudnnProvider::prepare(const KernelSpec &spec) const {
  uint64_t given = workspaceAttribute(spec);
  std::unique_ptr<SdpaGraph> graph = sdpa->build(spec);
  if (graph->workspaceBytes() > given)
    throw Error(fmt::format("{} needs a workspace of {} bytes for {}, the plan gives it {}",
                            sdpa->version(), graph->workspaceBytes(), spec.name, given));
  return std::make_unique<AttentionKernel>(std::move(graph), streams);
}

} // namespace deepshard::runtime::cuda
