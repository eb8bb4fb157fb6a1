//===- NoSdpa.cpp - a build without the headers of cuDNN --------------------------------------===//

#include "runtime/kernels/cuda/SdpaLibrary.h"
#include "runtime/plan/Error.h"

namespace deepshard::runtime::cuda {

std::unique_ptr<SdpaLibrary> openSdpaLibrary(const std::string &) {
  throw Error("the plan has attention of cuDNN, without which this libds_cuda.so was built: build "
              "it where the headers of cuDNN and of its frontend are found");
}

} // namespace deepshard::runtime::cuda
