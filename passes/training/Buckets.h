//===- Buckets.h - which parameter lies where in which bucket ---------------------------------===//

#ifndef DEEPSHARD_PASSES_TRAINING_BUCKETS_H
#define DEEPSHARD_PASSES_TRAINING_BUCKETS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace deepshard {

/// One parameter in a bucket: the argument it is, and where it starts, in elements.
struct BucketMember {
  unsigned argument;
  int64_t offset;
};

/// A flat tensor of one element type; `size` counts elements, padding included.
struct Bucket {
  mlir::Type elementType;
  int64_t size = 0;
  llvm::SmallVector<BucketMember> members;
};

/// Fills buckets of up to `bucketSize` elements with the parameters of `function`, in argument
/// order. A parameter that does not fit opens the next bucket, so one that is larger than
/// `bucketSize` has a bucket of its own. Offsets and sizes are multiples of 64 bytes.
llvm::SmallVector<Bucket> assignBuckets(mlir::func::FuncOp function, int64_t bucketSize);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_TRAINING_BUCKETS_H
