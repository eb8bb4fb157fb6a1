//===- CudnnLibrary.cpp - cuDNN and what it opens itself --------------------------------------===//

#include "runtime/kernels/cuda/CudnnLibrary.h"

#include "runtime/plan/Error.h"

#include <fmt/format.h>

namespace deepshard::runtime::cuda {

/// The first with a deterministic gradient on all GPUs from sm_80 to sm_100.
static constexpr size_t kOldest = 91800;

/// The builtins are of exactly the version of NVRTC, and lie beside it.
static Library builtinsOf(const Library &nvrtc) {
  int (*version)(int *major, int *minor) = nullptr;
  nvrtc.find("nvrtcVersion", version);
  int major = 0, minor = 0;
  if (version(&major, &minor) != 0)
    throw Error(fmt::format("nvrtcVersion ({}) fails", nvrtc.path()));
  return {"NVRTC's builtins",
          {fmt::format("libnvrtc-builtins.so.{}.{}", major, minor)},
          nvrtc.directory()};
}

static std::string versionText(size_t number) {
  return fmt::format("{}.{}.{}", number / 10000, number / 100 % 100, number % 100);
}

CudnnLibrary::CudnnLibrary(const std::string &libraries)
    : cudnn("cuDNN", {"libcudnn.so.9"}, libraries), nvrtc("NVRTC", {"libnvrtc.so.13"}, libraries),
      builtins(builtinsOf(nvrtc)), cublaslt("cuBLASLt", {"libcublasLt.so.13"}, libraries) {
  size_t (*find)() = nullptr;
  cudnn.find("cudnnGetVersion", find);
  number = find();
  if (number < kOldest)
    throw Error(fmt::format("cuDNN {} or newer is needed; {} is {}", versionText(kOldest),
                            cudnn.path(), versionText(number)));
}

std::string CudnnLibrary::version() const { return "cuDNN " + versionText(number); }

} // namespace deepshard::runtime::cuda
