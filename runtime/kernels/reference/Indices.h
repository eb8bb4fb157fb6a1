//===- Indices.h - what kernels that take indices share ---------------------------------------===//
//
// An index outside its dimension reads and writes nothing: gathered elements and rows become NaN (0
// for types without one), added ones are left out. A loss computed from such a row is NaN, which
// stops a run.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_REFERENCE_INDICES_H
#define DEEPSHARD_RUNTIME_KERNELS_REFERENCE_INDICES_H

#include "runtime/kernels/Kernel.h"

namespace deepshard::runtime::reference {

/// The bits of what stands for an element that does not exist.
uint64_t missingElement(DType dtype);

/// The dimensions of `desc` from `first` on.
inline TensorDesc tail(const TensorDesc &desc, int64_t first) {
  return {desc.dtype,
          {desc.shape.begin() + first, desc.shape.end()},
          {desc.strides.begin() + first, desc.strides.end()}};
}

/// The dimensions of `desc` before `end`.
inline TensorDesc head(const TensorDesc &desc, int64_t end) {
  return {desc.dtype,
          {desc.shape.begin(), desc.shape.begin() + end},
          {desc.strides.begin(), desc.strides.begin() + end}};
}

} // namespace deepshard::runtime::reference

#endif // DEEPSHARD_RUNTIME_KERNELS_REFERENCE_INDICES_H
