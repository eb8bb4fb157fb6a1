//===- Buckets.cpp - which parameter lies where in which bucket -------------------------------===//

#include "passes/training/Buckets.h"
#include "passes/training/Step.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace deepshard {

SmallVector<Bucket> assignBuckets(func::FuncOp function, int64_t bucketSize) {
  SmallVector<Bucket> buckets;
  for (BlockArgument argument : function.getArguments()) {
    if (!function.getArgAttr(argument.getArgNumber(), graph::kParameterAttr))
      continue;
    auto type = cast<RankedTensorType>(argument.getType());
    // Every member takes a multiple of the alignment, so the next one starts aligned.
    int64_t elements =
        llvm::alignTo(type.getNumElements(), alignmentInElements(type.getElementType()));
    if (buckets.empty() || buckets.back().elementType != type.getElementType() ||
        buckets.back().size + elements > bucketSize)
      buckets.push_back({type.getElementType(), 0, {}});
    Bucket &bucket = buckets.back();
    bucket.members.push_back({argument.getArgNumber(), bucket.size});
    bucket.size += elements;
  }
  return buckets;
}

} // namespace deepshard
