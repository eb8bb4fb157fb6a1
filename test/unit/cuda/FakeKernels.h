//===- FakeKernels.h - the library's own kernels on the host ----------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_CUDA_FAKEKERNELS_H
#define DEEPSHARD_TEST_UNIT_CUDA_FAKEKERNELS_H

#include <vector_types.h>

#include <cstdint>
#include <functional>
#include <string>

namespace deepshard::runtime::test {

bool hasBuiltInKernel(const std::string &name);

/// What a launch does, with a copy of its arguments: all blocks in an order that follows from the
/// given seed, one after another, the threads of each in turns. It returns what went wrong, or
/// nothing.
std::function<std::string(uint32_t)> builtInKernel(const std::string &name, dim3 grid, dim3 block,
                                                   void **arguments);

} // namespace deepshard::runtime::test

#endif // DEEPSHARD_TEST_UNIT_CUDA_FAKEKERNELS_H
