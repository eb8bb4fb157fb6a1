//===- Check.h - results of the CUDA runtime --------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DEVICE_CUDA_CHECK_H
#define DEEPSHARD_RUNTIME_DEVICE_CUDA_CHECK_H

#include "runtime/plan/Error.h"

#include <cuda_runtime_api.h>

namespace deepshard::runtime::cuda {

/// Throws Error with the name of the call and CUDA's text unless `result` is success. Work on a
/// device fails late: the message may be about work that was started before.
void check(cudaError_t result, const char *call, ExitCode code = ExitCode::RankFailed);

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_DEVICE_CUDA_CHECK_H
