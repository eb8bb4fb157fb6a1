//===- LibraryGraphs.h - kernels of cuDNN, compiled for a plan --------------------------------===//

#ifndef DEEPSHARD_PASSES_PLAN_LIBRARYGRAPHS_H
#define DEEPSHARD_PASSES_PLAN_LIBRARYGRAPHS_H

#include <string>

namespace deepshard::planpb {
class Plan;
} // namespace deepshard::planpb

namespace deepshard {

/// Puts into `plan`, for CUDA, the graphs that its launches of provider "cudnn" need on the GPU of
/// data centres that `chip` stands for (describedGpu), so that a rank need not build them. Where
/// libds_cuda.so or cuDNN is missing there will be none: says why, and is empty if all is well or
/// nothing is needed. `libraries`: where cuDNN is looked for first; may be empty.
std::string addLibraryGraphs(const std::string &chip, const std::string &libraries,
                             planpb::Plan &plan);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_PLAN_LIBRARYGRAPHS_H
