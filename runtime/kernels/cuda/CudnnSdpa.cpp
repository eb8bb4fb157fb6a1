//===- CudnnSdpa.cpp - attention by cuDNN on the current GPU ----------------------------------===//

#include "runtime/device/cuda/Check.h"
#include "runtime/kernels/cuda/CudnnGraph.h"
#include "runtime/plan/Error.h"

#include <cudnn.h>
#include <fmt/format.h>

namespace deepshard::runtime::cuda {

namespace {

/// The capability of the current GPU, 90 for sm_90.
int currentCapability() {
  int device = 0, major = 0, minor = 0;
  check(cudaGetDevice(&device), "cudaGetDevice", ExitCode::BadInput);
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
        "cudaDeviceGetAttribute", ExitCode::BadInput);
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device),
        "cudaDeviceGetAttribute", ExitCode::BadInput);
  return 10 * major + minor;
}

class CudnnSdpa final : public SdpaLibrary {
public:
  explicit CudnnSdpa(const std::string &libraries) : cudnn(libraries) {
    decltype(cudnnCreate) *create = nullptr;
    decltype(cudnnGetErrorString) *errorText = nullptr;
    cudnn.library().find("cudnnCreate", create);
    cudnn.library().find("cudnnGetErrorString", errorText);
    cudnn.library().find("cudnnDestroy", destroy);
    target.capability = currentCapability();
    if (cudnnStatus_t status = create(&target.handle); status != CUDNN_STATUS_SUCCESS)
      throw Error(fmt::format("cudnnCreate ({}): {}", cudnn.library().path(), errorText(status)));
  }
  ~CudnnSdpa() override { (void)destroy(target.handle); }

  std::string version() const override { return cudnn.version(); }

  std::unique_ptr<SdpaGraph> build(const KernelSpec &spec) const override {
    return buildSdpaGraph(cudnn, target, spec);
  }

private:
  CudnnLibrary cudnn;
  decltype(cudnnDestroy) *destroy = nullptr;
  CudnnTarget target;
};

} // namespace

std::unique_ptr<SdpaLibrary> openSdpaLibrary(const std::string &libraries) {
  return std::make_unique<CudnnSdpa>(libraries);
}

} // namespace deepshard::runtime::cuda
