//===- PartitionBuilder.cpp - helpers shared by the partitions of ops -------------------------===//

#include "dialects/graph/PartitionBuilder.h"

#include "dialects/graph/PrimitiveBuilder.h"

using namespace mlir;

namespace deepshard::graph {

RankedTensorType PartitionBuilder::localType(Type type, const TensorFactors &tensor) const {
  SmallVector<int64_t> parts;
  for (unsigned factor = 0; factor < rule().factors.size(); ++factor)
    parts.push_back(numParts(factor));
  return RankedTensorType::get(rule().localShape(tensor, parts),
                               cast<RankedTensorType>(type).getElementType());
}

Value PartitionBuilder::offset(unsigned factor, int64_t step) {
  if (!isSplit(factor))
    return nullptr;
  PrimitiveBuilder b(builder(), location());
  return b.mul(partIndex(factor), static_cast<double>(step));
}

Value PartitionBuilder::offsets(const TensorFactors &tensor, ArrayRef<int64_t> shape) {
  PrimitiveBuilder b(builder(), location());
  SmallVector<Value> starts;
  bool any = false;
  for (auto [factors, size] : llvm::zip_equal(tensor, shape)) {
    Value start = factors.empty() ? nullptr : offset(factors[0], size);
    any |= static_cast<bool>(start);
    starts.push_back(start);
  }
  if (!any)
    return nullptr;
  for (Value &start : starts)
    start = b.reshape(start ? start : b.scalar(builder().getI64Type(), 0), 1);
  return ConcatOp::create(builder(), location(), starts, 0);
}

Operation *PartitionBuilder::clone(Operation *op) {
  Operation *local = builder().clone(*op);
  for (unsigned index = 0; index < op->getNumOperands(); ++index)
    local->setOperand(index, operand(index));
  for (auto [result, factors] : llvm::zip_equal(local->getResults(), rule().results))
    result.setType(localType(result.getType(), factors));
  return local;
}

FailureOr<SmallVector<Value>> partitionByCloning(Operation *op, PartitionBuilder &partition) {
  for (auto [factor, value] : llvm::enumerate(partition.rule().factors))
    if (value.kind == FactorKind::Special && partition.isSplit(static_cast<unsigned>(factor)))
      return op->emitOpError("has no partition for factor ")
             << ShardingRule::nameOf(static_cast<unsigned>(factor)) << " of "
             << partition.rule().text();
  return SmallVector<Value>(partition.clone(op)->getResults());
}

} // namespace deepshard::graph
