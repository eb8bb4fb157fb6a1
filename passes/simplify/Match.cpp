//===- Match.cpp - what the simplify passes ask of values -------------------------------------===//

#include "passes/simplify/Match.h"

#include "dialects/graph/Graph.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;

namespace deepshard {

RankedTensorType tensorType(Value value) { return cast<RankedTensorType>(value.getType()); }

ArrayRef<int64_t> shapeOf(Value value) { return tensorType(value).getShape(); }

/// The value of a constant that repeats one element.
static std::optional<double> splatOf(ElementsAttr attribute) {
  auto dense = dyn_cast<DenseElementsAttr>(attribute);
  if (!dense || !dense.isSplat() || dense.empty())
    return std::nullopt;
  if (isa<FloatType>(dense.getElementType())) {
    APFloat number = dense.getSplatValue<APFloat>();
    bool losesInfo;
    number.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &losesInfo);
    return number.convertToDouble();
  }
  APInt number = dense.getSplatValue<APInt>();
  return static_cast<double>(number.getBitWidth() == 1 ? number.getZExtValue()
                                                       : number.getSExtValue());
}

std::optional<double> splatOf(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (auto constant = dyn_cast<graph::ConstantOp>(op))
      return splatOf(constant.getValue());
    bool moves = isa<graph::ReshapeOp, graph::BroadcastOp, graph::SliceOp, graph::TransposeOp>(op);
    bool converts = isa<graph::ConvertOp>(op) && isa<FloatType>(tensorType(value).getElementType());
    if (!moves && !converts)
      return std::nullopt;
    value = op->getOperand(0);
  }
  return std::nullopt;
}

std::optional<Scaled> matchScaled(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || !isa<graph::MulOp, graph::DivOp>(op) ||
      !isa<FloatType>(tensorType(value).getElementType()))
    return std::nullopt;
  Value lhs = op->getOperand(0), rhs = op->getOperand(1);
  if (auto number = splatOf(rhs); number && lhs.getType() == value.getType()) {
    if (isa<graph::DivOp>(op) && *number == 0)
      return std::nullopt;
    return Scaled{lhs, isa<graph::DivOp>(op) ? 1 / *number : *number};
  }
  if (auto number = splatOf(lhs);
      number && isa<graph::MulOp>(op) && rhs.getType() == value.getType())
    return Scaled{rhs, *number};
  return std::nullopt;
}

View viewThroughTransposes(Value value, ArrayRef<int64_t> order) {
  View view{value, llvm::to_vector(order)};
  while (auto transpose = view.base.getDefiningOp<graph::TransposeOp>()) {
    for (int64_t &dimension : view.order)
      dimension = transpose.getPermutation()[dimension];
    view.base = transpose.getX();
  }
  return view;
}

Value materialize(OpBuilder &builder, Location location, const View &view) {
  if (view.order == countTo(tensorType(view.base).getRank()))
    return view.base;
  return graph::TransposeOp::create(builder, location, view.base, view.order);
}

Value reshaped(OpBuilder &builder, Location location, Value value, ArrayRef<int64_t> shape) {
  if (shapeOf(value) == shape)
    return value;
  return graph::ReshapeOp::create(builder, location, tensorType(value).clone(shape), value);
}

void eraseDeadOps(func::FuncOp function) {
  for (Block &block : function.getBody())
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
      if (isOpTriviallyDead(&op))
        op.erase();
}

SmallVector<int64_t> countTo(int64_t n) { return llvm::to_vector(llvm::seq<int64_t>(0, n)); }

SmallVector<int64_t> freeDimensions(int64_t rank, ArrayRef<int64_t> first,
                                    ArrayRef<int64_t> second) {
  SmallVector<int64_t> dimensions;
  for (int64_t i = 0; i < rank; ++i)
    if (!llvm::is_contained(first, i) && !llvm::is_contained(second, i))
      dimensions.push_back(i);
  return dimensions;
}

} // namespace deepshard
