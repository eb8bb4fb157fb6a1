//===- EmitPhilox.h - random words of elements, as runtime/kernels/Philox.h defines them ------===//

#ifndef DEEPSHARD_PASSES_KERNELS_ROWLOOPS_EMITPHILOX_H
#define DEEPSHARD_PASSES_KERNELS_ROWLOOPS_EMITPHILOX_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/Value.h"

namespace deepshard {

/// What a mask of dropout depends on besides the element: scalars of i32.
struct PhiloxKey {
  mlir::Value seedLow, seedHigh, step, id;
};

/// The words (vector of i32) of `width` elements one after another, of which the first has the
/// index `first` (i64) in the logical tensor.
mlir::Value emitPhiloxWords(mlir::OpBuilder &builder, mlir::Location location, mlir::Value first,
                            int64_t width, const PhiloxKey &key);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_ROWLOOPS_EMITPHILOX_H
