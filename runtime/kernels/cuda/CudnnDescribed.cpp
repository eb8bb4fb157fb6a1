//===- CudnnDescribed.cpp - cuDNN for a GPU that is described ---------------------------------===//

#include "runtime/kernels/cuda/Conv.h"
#include "runtime/kernels/cuda/CudnnGraph.h"
#include "runtime/plan/Error.h"

#include <dlfcn.h>
#include <filesystem>
#include <fmt/format.h>

namespace deepshard::runtime::cuda {

namespace {

/// cuDNN looks for a driver by the name libcuda.so.1, which that of driver/NullDriver.cpp has,
/// opened before.
void openNullDriver() {
  Dl_info self = {};
  (void)::dladdr(reinterpret_cast<void *>(&openNullDriver), &self);
  const std::filesystem::path driver =
      std::filesystem::path(self.dli_fname).parent_path() / DEEPSHARD_NULL_DRIVER;
  if (!::dlopen(driver.c_str(), RTLD_NOW | RTLD_GLOBAL))
    throw Error(
        fmt::format("{} is missing: build DeepShard again ({})", driver.string(), ::dlerror()));
}

class DescribedCudnn final : public GraphCompiler {
public:
  explicit DescribedCudnn(const GraphCompilerOptions &options)
      : cudnn(options.libraries), target{options.gpu} {
    openNullDriver();
  }

  StoredGraph build(const KernelSpec &spec) const override {
    return storeGraph(cudnn, target, isConv(spec) ? convCall(spec) : spec);
  }

private:
  CudnnLibrary cudnn;
  CudnnTarget target;
};

} // namespace

std::unique_ptr<GraphCompiler> makeGraphCompiler(const GraphCompilerOptions &options) {
  return std::make_unique<DescribedCudnn>(options);
}

} // namespace deepshard::runtime::cuda
