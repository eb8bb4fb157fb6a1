//===- Buckets.h - which parameter lies where in which bucket ---------------------------------===//

#ifndef DEEPSHARD_PASSES_TRAINING_BUCKETS_H
#define DEEPSHARD_PASSES_TRAINING_BUCKETS_H

#include "dialects/sharding/Sharding.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace deepshard {

/// One parameter in a bucket: the argument it is, and where it starts, in elements.
struct BucketMember {
  unsigned argument;
  int64_t offset;
};

/// A flat tensor of one element type; `size` counts elements, padding included. Master and
/// optimizer state of mixed precision have the same members at the same offsets, in elements.
struct Bucket {
  mlir::Type elementType;
  mlir::Type master; ///< of which the parameters are copies; the same type if they are not
  int64_t size = 0;
  llvm::SmallVector<BucketMember> members;
  sharding::AxisListAttr axes; ///< over which the members are cut (tensor splits)
  bool keptWhole = false;      ///< of small parameters, which ZeRO 3 does not cut
};

/// Fills buckets of up to `bucketSize` elements with the parameters of `function`, in argument
/// order. A parameter that does not fit opens the next bucket, so one that is larger than
/// `bucketSize` has a bucket of its own. A bucket holds parameters of one element type (and one
/// type of their masters) that are cut over the same axes; where `sharding.zero` cuts buckets,
/// small parameters have buckets of their own. Offsets are multiples of 64 bytes, and so are the
/// equal parts that a bucket can be cut into. What ZeRO stage is chosen makes no difference.
llvm::SmallVector<Bucket> assignBuckets(mlir::func::FuncOp function, int64_t bucketSize);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_TRAINING_BUCKETS_H
