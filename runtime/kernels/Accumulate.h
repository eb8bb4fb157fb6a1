//===- Accumulate.h - kernels that add what they compute to an operand ------------------------===//
//
// With the attribute `accumulate` a kernel of one result has one input more, the last: what is
// computed is added to it. It has the result's type, and the result may lie where it does.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_ACCUMULATE_H
#define DEEPSHARD_RUNTIME_KERNELS_ACCUMULATE_H

#include "runtime/kernels/Kernel.h"

namespace deepshard::runtime {

inline bool accumulates(const KernelSpec &spec) { return spec.attributes.flag("accumulate"); }

/// The kernel whose result is added. Throws `std::invalid_argument` unless that and the result are
/// contiguous tensors of one type.
KernelSpec withoutAccumulator(const KernelSpec &spec);

/// The kernel of `spec`, given the one that adds to what the result holds.
std::unique_ptr<Kernel> accumulating(std::unique_ptr<Kernel> addsToResult, const KernelSpec &spec);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_ACCUMULATE_H
