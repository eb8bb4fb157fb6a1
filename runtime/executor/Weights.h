//===- Weights.h - the first values of the parameters -----------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_EXECUTOR_WEIGHTS_H
#define DEEPSHARD_RUNTIME_EXECUTOR_WEIGHTS_H

#include <string>

namespace deepshard::planpb {
class Plan;
}

namespace deepshard::runtime {

class Memory;

/// Reads all parameters of `plan` into `memory`, on at most `threads` threads: from `weights`
/// (safetensors) if it is not empty, else from the files the plan names. A parameter that is not
/// trained may be missing in `weights` if the plan has its value. Throws one Error with every
/// fault: files missing or changed since the plan was made, tensors missing or of another shape or
/// kind, no value at all (a model planned without data).
void loadWeights(const planpb::Plan &plan, const std::string &weights, const Memory &memory,
                 int threads);

/// Writes all parameters to a safetensors file under the model's own names. Throws Error.
void saveWeights(const planpb::Plan &plan, const Memory &memory, const std::string &path);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_EXECUTOR_WEIGHTS_H
