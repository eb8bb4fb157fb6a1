//===- Types.h - the schema's types as the kernels name them ----------------------------------===//

#ifndef DEEPSHARD_RUNTIME_PLAN_TYPES_H
#define DEEPSHARD_RUNTIME_PLAN_TYPES_H

#include "runtime/kernels/Kernel.h"
#include "runtime/kernels/cuda/StoredGraph.h"
#include "runtime/plan/plan.pb.h"

#include <string>

namespace deepshard::runtime {

/// The element type that `dtype` stands for. Throws Error if it is not one (a checked plan has none
/// such).
DType dtypeOf(planpb::DType dtype);

/// The schema's name of an element type.
planpb::DType schemaType(DType dtype);

/// Type, shape and strides of a view.
TensorDesc descOf(const planpb::View &view);

/// "all_reduce", ...: a kind of collective as people call it.
std::string nameOf(planpb::Collective::Kind kind);

/// Whether the elements of a view are neighbours in row-major order.
bool isRowMajor(const planpb::View &view);

/// The attributes of a launch as a kernel reads them.
Attributes attributesOf(const planpb::Launch &launch);

/// What a launch asks of its provider.
KernelSpec kernelSpec(const planpb::Launch &launch, int threads);

/// Equal for launches that ask for the same: all but places and flops.
std::string kernelKey(const planpb::Launch &launch);

/// A graph of a plan as kernels read it, and back.
StoredGraph storedGraph(const planpb::LibraryGraph &graph);
planpb::LibraryGraph schemaGraph(const StoredGraph &graph);

/// The kind of the bucket that is the state of the loss scale (kernel update_loss_scale), how many
/// numbers it has, and which one counts the steps that were skipped.
inline constexpr std::string_view kLossScaleKind = "loss_scale";
inline constexpr size_t kLossScaleNumbers = 4, kSkippedSteps = 3;

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_PLAN_TYPES_H
