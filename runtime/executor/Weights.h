//===- Weights.h - the first and the last values of the parameters ----------------------------===//
//
// Every rank reads the pieces of parameters that it holds, and no other. All ranks write one file
// together: each element is written at its place by the lowest rank that holds it, so no rank waits
// for another and nothing is gathered.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_EXECUTOR_WEIGHTS_H
#define DEEPSHARD_RUNTIME_EXECUTOR_WEIGHTS_H

#include <string>

namespace deepshard::planpb {
class Plan;
}

namespace deepshard::runtime {

class Memory;
class OutputFile;

/// Reads what the rank of `memory` holds of all parameters of `plan`, on at most `threads` threads:
/// from `weights` (safetensors) if it is not empty, else from the files the plan names. A parameter
/// that is not trained may be missing in `weights` if the plan has its value. Memory must be zero:
/// padding is not written. Throws one Error with every fault: files missing or changed since the
/// plan was made, tensors missing or of another shape or kind, no value at all (a model planned
/// without data).
void loadWeights(const planpb::Plan &plan, const std::string &weights, const Memory &memory,
                 int threads);

/// Writes this rank's share of a safetensors file with all parameters under the model's own names;
/// rank 0 writes the header too. The file is complete when all ranks have returned; who opened it
/// commits it then. Throws Error.
void saveWeights(const planpb::Plan &plan, const Memory &memory, OutputFile &file);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_EXECUTOR_WEIGHTS_H
