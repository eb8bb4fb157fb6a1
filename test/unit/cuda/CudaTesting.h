//===- CudaTesting.h - plans of the CPU as plans of a GPU that is not there -------------------===//

#ifndef DEEPSHARD_TEST_UNIT_CUDA_CUDATESTING_H
#define DEEPSHARD_TEST_UNIT_CUDA_CUDATESTING_H

#include "runtime/executor/Executor.h"
#include "test/unit/cuda/FakeCuda.h"
#include "test/unit/runtime/PlanBuilder.h"

namespace deepshard::runtime::test {

/// The library with the fake runtime, which `openCuda` opens too from now on.
FakeCuda &fakeCuda();

/// `plan` for CUDA: each launch becomes a generated kernel of its own, "kI" for the I-th of the
/// program, that computes in the fake what the launch did; feeds come first. `matmulsBy`: the
/// provider that matmuls get instead.
planpb::Plan cudaPlan(planpb::Plan plan, const std::string &matmulsBy = "generated");

} // namespace deepshard::runtime::test

#endif // DEEPSHARD_TEST_UNIT_CUDA_CUDATESTING_H
