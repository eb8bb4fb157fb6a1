//===- CudnnOnGpu.cpp - cuDNN on the current GPU ---------------------------------------------===//

#include "runtime/device/cuda/CurrentGpu.h"
#include "runtime/kernels/cuda/CudnnStored.h"
#include "runtime/plan/Error.h"

#include <cudnn.h>
#include <fmt/format.h>

namespace deepshard::runtime::cuda {

namespace {

class CudnnOnGpu final : public GraphLibrary {
public:
  CudnnOnGpu(const std::string &libraries, std::vector<StoredGraph> graphs)
      : cudnn(libraries), graphs(std::move(graphs)) {
    decltype(cudnnCreate) *create = nullptr;
    decltype(cudnnGetErrorString) *errorText = nullptr;
    cudnn.library().find("cudnnCreate", create);
    cudnn.library().find("cudnnGetErrorString", errorText);
    cudnn.library().find("cudnnDestroy", destroy);
    target.gpu = currentGpu();
    if (cudnnStatus_t status = create(&target.handle); status != CUDNN_STATUS_SUCCESS)
      throw Error(fmt::format("cudnnCreate ({}): {}", cudnn.library().path(), errorText(status)));
  }
  ~CudnnOnGpu() override { (void)destroy(target.handle); }

  std::string version() const override { return cudnn.version(); }

  std::unique_ptr<LibraryGraph> build(const KernelSpec &spec) const override {
    return loadOrBuildGraph(cudnn, target, spec, graphs);
  }

private:
  CudnnLibrary cudnn;
  decltype(cudnnDestroy) *destroy = nullptr;
  CudnnTarget target;
  std::vector<StoredGraph> graphs;
};

} // namespace

std::unique_ptr<GraphLibrary> openGraphLibrary(const std::string &libraries,
                                               std::vector<StoredGraph> graphs) {
  return std::make_unique<CudnnOnGpu>(libraries, std::move(graphs));
}

} // namespace deepshard::runtime::cuda
