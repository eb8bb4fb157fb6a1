//===- Cudnn.cpp - attention and convolutions of cuDNN ----------------------------------------===//

#include "runtime/kernels/cuda/Cudnn.h"

#include "runtime/kernels/Require.h"
#include "runtime/kernels/cuda/Conv.h"
#include "runtime/kernels/cuda/CudaKernel.h"
#include "runtime/kernels/cuda/Sdpa.h"
#include "runtime/plan/Error.h"

#include <fmt/format.h>

#include <stdexcept>

namespace deepshard::runtime::cuda {

namespace {

class GraphKernel final : public CudaKernel {
public:
  GraphKernel(std::string name, std::unique_ptr<LibraryGraph> graph, Streams &streams)
      : CudaKernel(streams), name(std::move(name)), graph(std::move(graph)) {}

private:
  void start(const KernelArguments &arguments, cudaStream_t stream) override {
    for (std::span<void *const> operands : {arguments.inputs, arguments.outputs})
      for (void *operand : operands)
        if (reinterpret_cast<uintptr_t>(operand) % kGraphAlignment != 0)
          throw Error(
              fmt::format("an operand of {} is not aligned to {} bytes", name, kGraphAlignment),
              ExitCode::BadInput);
    requireLibraryWorkspace(arguments.workspace);
    graph->run(arguments, stream);
  }

  std::string name;
  std::unique_ptr<LibraryGraph> graph;
};

/// Copies of the operands in f32 at the beginning of the workspace, then the kernel on these.
class WidenedKernel final : public Kernel {
public:
  struct Widening {
    std::unique_ptr<Kernel> convert;
    uint64_t bytes;
  };

  WidenedKernel(std::vector<Widening> widenings, std::unique_ptr<Kernel> kernel)
      : widenings(std::move(widenings)), kernel(std::move(kernel)), copies(this->widenings.size()) {
  }

  void run(const KernelArguments &arguments) noexcept override {
    auto *place = static_cast<char *>(arguments.workspace);
    for (size_t i = 0; i < widenings.size(); ++i) {
      copies[i] = place;
      widenings[i].convert->run({arguments.inputs.subspan(i, 1), std::span(copies).subspan(i, 1)});
      place += widenings[i].bytes;
    }
    kernel->run({copies, arguments.outputs, place});
  }

private:
  std::vector<Widening> widenings;
  std::unique_ptr<Kernel> kernel;
  std::vector<void *> copies;
};

/// `tensor` in f32.
KernelSpec convertSpec(const TensorDesc &tensor) {
  return {"convert", {tensor}, {TensorDesc::contiguous(DType::F32, tensor.shape)}, {}};
}

} // namespace

std::optional<std::string> CudnnProvider::whyNot(const KernelSpec &spec) const {
  try {
    if (isConv(spec))
      (void)convCall(spec);
    else
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
  if (!isConv(spec))
    return prepareGraph(spec);
  std::unique_ptr<Kernel> kernel = prepareGraph(convCall(spec));
  std::vector<WidenedKernel::Widening> widenings;
  const std::vector<uint64_t> copies = convWorkspace(spec).copies;
  for (size_t i = 0; i < copies.size(); ++i)
    widenings.push_back({own.prepare(convertSpec(spec.inputs[i])), copies[i]});
  if (widenings.empty())
    return kernel;
  return std::make_unique<WidenedKernel>(std::move(widenings), std::move(kernel));
}

std::unique_ptr<Kernel> CudnnProvider::prepareGraph(const KernelSpec &call) const {
  uint64_t given = workspaceAttribute(call);
  std::unique_ptr<LibraryGraph> graph = graphs->build(call);
  if (graph->workspaceBytes() > given)
    throw Error(fmt::format("{} needs a workspace of {} bytes for {}, the plan gives it {}",
                            graphs->version(), graph->workspaceBytes(), call.name, given));
  return std::make_unique<GraphKernel>(call.name, std::move(graph), streams);
}

} // namespace deepshard::runtime::cuda
