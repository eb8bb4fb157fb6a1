//===- NoCudnn.cpp - a build without the headers of cuDNN -------------------------------------===//

#include "runtime/kernels/cuda/GraphLibrary.h"
#include "runtime/plan/Error.h"

namespace deepshard::runtime::cuda {

std::unique_ptr<GraphLibrary> openGraphLibrary(const std::string &, std::vector<StoredGraph>) {
  throw Error("the plan has kernels of cuDNN, without which this libds_cuda.so was built: build it "
              "where the headers of cuDNN and of its frontend are found");
}

std::unique_ptr<GraphCompiler> makeGraphCompiler(const GraphCompilerOptions &) {
  throw Error("libds_cuda.so was built without cuDNN");
}

} // namespace deepshard::runtime::cuda
