//===- Folds.h - sum, maximum and minimum -----------------------------------------------------===//
//
// A reduction folds elements of type T, as `Acc`, into what begins as `kInitial`. Extrema are NaN
// if an element is.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_REFERENCE_FOLDS_H
#define DEEPSHARD_RUNTIME_KERNELS_REFERENCE_FOLDS_H

#include "runtime/kernels/reference/Elements.h"

#include <limits>

namespace deepshard::runtime::reference {

template <typename T> struct Sum {
  using Acc = Accumulator<T>;
  static constexpr Acc kInitial = 0;
  static DS_HOST_DEVICE Acc fold(Acc acc, Acc x) {
    if constexpr (std::is_integral_v<Acc>)
      return static_cast<Acc>(static_cast<uint64_t>(acc) + static_cast<uint64_t>(x));
    else
      return acc + x;
  }
};

template <typename T> struct Max {
  using Acc = T;
  static constexpr Acc kInitial = std::is_floating_point_v<T> ? -std::numeric_limits<T>::infinity()
                                                              : std::numeric_limits<T>::lowest();
  static DS_HOST_DEVICE Acc fold(Acc acc, Acc x) { return acc > x || acc != acc ? acc : x; }
};

template <typename T> struct Min {
  using Acc = T;
  static constexpr Acc kInitial = std::is_floating_point_v<T> ? std::numeric_limits<T>::infinity()
                                                              : std::numeric_limits<T>::max();
  static DS_HOST_DEVICE Acc fold(Acc acc, Acc x) { return acc < x || acc != acc ? acc : x; }
};

} // namespace deepshard::runtime::reference

#endif // DEEPSHARD_RUNTIME_KERNELS_REFERENCE_FOLDS_H
