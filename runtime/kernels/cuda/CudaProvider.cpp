//===- CudaProvider.cpp - kernels that libds_cuda.so brings itself ----------------------------===//

#include "runtime/kernels/cuda/CudaProvider.h"

#include "runtime/device/cuda/Embed.h"
#include "runtime/kernels/cuda/CudaKernel.h"
#include "runtime/kernels/cuda/Primitives.h"
#include "runtime/plan/Error.h"

#include <stdexcept>

// Of device/Primitives.cu.
DEEPSHARD_EMBED(deepshardPrimitives, DEEPSHARD_PRIMITIVES);

namespace deepshard::runtime::cuda {

namespace {

/// A step that is ready to run.
struct Ready {
  Step step;
  cudaKernel_t kernel = nullptr; // of a launch
  Geometry geometry = {};
};

class PrimitiveKernel final : public CudaKernel {
public:
  PrimitiveKernel(std::vector<Ready> steps, BuiltIn &builtIn, Streams &streams)
      : CudaKernel(streams), steps(std::move(steps)), builtIn(builtIn) {}

  void start(const KernelArguments &arguments, cudaStream_t stream) override {
    for (Ready &ready : steps) {
      if (auto *copy = std::get_if<CopyStep>(&ready.step)) {
        builtIn.copy({copy->from.in(arguments), copy->to.in(arguments), copy->shape,
                      copy->fromStrides, copy->toStrides, copy->width},
                     stream);
        continue;
      }
      auto &launched = std::get<LaunchStep>(ready.step);
      char *parameters = launched.parameters.data();
      for (size_t i = 0; i < launched.places.size(); ++i) {
        void *address = launched.places[i].in(arguments);
        std::memcpy(parameters + i * sizeof(address), &address, sizeof(address));
      }
      void *argument = parameters;
      launch(ready.kernel, ready.geometry, &argument, stream);
    }
  }

private:
  std::vector<Ready> steps;
  BuiltIn &builtIn;
};

} // namespace

CudaProvider::CudaProvider(BuiltIn &builtIn, Streams &streams)
    : module(std::make_unique<Module>(deepshardPrimitives)), builtIn(builtIn), streams(streams) {}

std::optional<std::string> CudaProvider::whyNot(const KernelSpec &spec) const {
  try {
    (void)stepsOf(spec);
    return std::nullopt;
  } catch (const std::invalid_argument &error) {
    return error.what();
  }
}

size_t CudaProvider::workspaceBytes(const KernelSpec &spec) const {
  return stepsOf(spec).workspaceBytes;
}

std::unique_ptr<Kernel> CudaProvider::prepare(const KernelSpec &spec) const {
  std::vector<Ready> steps;
  for (Step &step : stepsOf(spec).steps) {
    Ready ready{std::move(step)};
    if (auto *launched = std::get_if<LaunchStep>(&ready.step)) {
      ready.geometry = {dim3(launched->blocks), dim3(launched->threads), 0};
      ready.kernel = module->find(launched->function, ready.geometry);
      if (!ready.kernel)
        throw Error("the library has no device code for " + launched->function, ExitCode::Internal);
    }
    steps.push_back(std::move(ready));
  }
  return std::make_unique<PrimitiveKernel>(std::move(steps), builtIn, streams);
}

} // namespace deepshard::runtime::cuda
