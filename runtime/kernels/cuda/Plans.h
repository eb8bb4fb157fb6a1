//===- Plans.h - primitives become steps ------------------------------------------------------===//
//
// One function per family, as the reference provider has them. What it checks (it has checked the
// spec before) is not checked again.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_PLANS_H
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_PLANS_H

#include "runtime/kernels/cuda/Parameters.h"
#include "runtime/kernels/cuda/Steps.h"
#include "runtime/kernels/reference/LoopNest.h"

#include <map>

namespace deepshard::runtime::cuda {

/// Throw `std::invalid_argument` with the reason if the provider does not take a sound spec.
using Plan = Steps (*)(const KernelSpec &spec);
using PlanTable = std::map<std::string, Plan, std::less<>>;

void addElementwise(PlanTable &table);
void addLayout(PlanTable &table);
void addReduce(PlanTable &table);
void addIndexing(PlanTable &table);
void addEmbeddingGrad(PlanTable &table);
void addUpdate(PlanTable &table);

//===-- what they share -----------------------------------------------------------------------===//

Nest nestOf(const reference::LoopNest &loops);
/// The nest over `shape`; every operand has these sizes, up to four of them. The first decides the
/// order.
Nest nestOf(const std::vector<int64_t> &shape, const std::vector<TensorDesc> &operands);
/// The nest over one operand, whose element i is that of its row-major order.
Nest nestInRowMajorOrder(const TensorDesc &operand);

Element elementOf(DType dtype);

/// "f32", "f64" or "i64": what a kernel computes elements of `dtype` in.
const char *computedIn(DType dtype);

/// Blocks of kThreads for `count` threads; each takes several elements where there are very many.
int64_t blocksFor(int64_t count);

/// Writes zeros to the elements of result 0, which `out` is a window of.
LaunchStep zeros(const TensorDesc &out);

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_PLANS_H
