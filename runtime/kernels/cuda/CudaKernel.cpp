//===- CudaKernel.cpp - a kernel that joins the current stream of a GPU -----------------------===//

#include "runtime/kernels/cuda/CudaKernel.h"

#include "runtime/kernels/Providers.h"
#include "runtime/plan/Error.h"

#include <fmt/format.h>

namespace deepshard::runtime {

void cuda::requireLibraryWorkspace(const void *workspace) {
  if (reinterpret_cast<uintptr_t>(workspace) % kLibraryWorkspaceAlignment != 0)
    throw Error(
        fmt::format("a library's workspace is not aligned to {} bytes", kLibraryWorkspaceAlignment),
        ExitCode::BadInput);
}

} // namespace deepshard::runtime
