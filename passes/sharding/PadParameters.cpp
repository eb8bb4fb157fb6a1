//===- PadParameters.cpp - make split dimensions of parameters divisible ----------------------===//
//
// A dimension that a layout splits into n parts and that n does not divide (50,257 tokens over 2)
// gets padding at its end. The padding of a parameter is zero and stays zero: nothing that reads it
// may reach the loss. State: values with a padded dimension whose users are not yet rebuilt.
//
//   parameter     -> its users see the longer dimension
//   embedding     ids never name a padded row: nothing to do
//   linear        without bias: the columns of the result are padded (zeros, since the weight's
//                 are): follow the result
//   reshape       that keeps the dimension: follow the result
//   cross_entropy padded columns become -inf: they add nothing to the sum of exponentials and get
//                 the gradient 0
//   anything else the padding is cut off in front of it
//
// Runs before differentiation, so that gradients come out padded and right by themselves.
// O(ops that see a padded dimension).
//
//===------------------------------------------------------------------------------------------===//

#include "passes/sharding/Arguments.h"
#include "passes/sharding/Passes.h"

#include "mlir/IR/SymbolTable.h"
#include "llvm/Support/MathExtras.h"

#include <limits>

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_PADPARAMETERS
#include "passes/sharding/Passes.h.inc"

namespace {

/// A value one dimension of which has `size` indices that count; those behind are padding.
struct Padded {
  Value value;
  int64_t dim;
  int64_t size;
};

RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

/// The dimension of the result that is dimension `dim` of the operand alone, if there is one.
std::optional<int64_t> keptByReshape(ArrayRef<int64_t> from, ArrayRef<int64_t> to, int64_t dim,
                                     int64_t padded) {
  int64_t before = 1, product = 1;
  for (int64_t i = 0; i < dim; ++i)
    before *= from[i];
  for (auto [i, size] : llvm::enumerate(to)) {
    if (product == before && size == padded)
      return i;
    product *= size;
  }
  return std::nullopt;
}

struct PadParametersPass : impl::PadParametersBase<PadParametersPass> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    for (BlockArgument argument : function.getArguments()) {
      sharding::LayoutAttr layout = sharding::layoutOf(argument);
      if (!layout || !function.getArgAttr(argument.getArgNumber(), graph::kParameterAttr))
        continue;
      sharding::MeshAttr mesh = sharding::lookupMesh(function, layout.getMesh());
      if (!mesh)
        continue;
      for (auto [dim, axes] : llvm::enumerate(layout.getDims())) {
        int64_t size = typeOf(argument).getDimSize(dim), parts = mesh.sizeOf(axes.getAxes());
        if (size % parts == 0)
          continue;
        padDimension(function, argument, dim, llvm::alignTo(size, parts));
        pending.push_back({argument, int64_t(dim), size});
        while (!pending.empty())
          rebuildUsers(pending.pop_back_val());
      }
    }
  }

  void rebuildUsers(Padded padded) {
    Value cut;
    SmallVector<OpOperand *> uses =
        llvm::map_to_vector(padded.value.getUses(), [](OpOperand &use) { return &use; });
    for (OpOperand *use : uses) {
      if (follow(*use, padded))
        continue;
      if (!cut)
        cut = cutOff(padded);
      use->set(cut);
    }
  }

  /// Whether the user of `use` works with the padding, after it was rebuilt if need be.
  bool follow(OpOperand &use, const Padded &padded) {
    Operation *user = use.getOwner();
    if (auto embedding = dyn_cast<graph::EmbeddingOp>(user))
      return use.getOperandNumber() == 0 && padded.dim == 0;
    if (auto linear = dyn_cast<graph::LinearOp>(user))
      return followLinear(linear, use.getOperandNumber(), padded);
    if (auto reshape = dyn_cast<graph::ReshapeOp>(user))
      return followReshape(reshape, padded);
    if (auto loss = dyn_cast<graph::CrossEntropyOp>(user))
      return use.getOperandNumber() == 0 &&
             padded.dim == loss.getLogits().getType().getRank() - 1 && hideColumns(use, padded);
    return false;
  }

  bool followLinear(graph::LinearOp op, unsigned operand, const Padded &padded) {
    RankedTensorType weight = op.getWeight().getType();
    int64_t contract = op.getTransposeWeight() ? weight.getRank() - 1 : 0;
    if (operand != 1 || padded.dim == contract || op.getBias())
      return false;
    OpBuilder builder(op);
    auto wide = graph::LinearOp::create(builder, op.getLoc(), op.getX(), op.getWeight(), Value(),
                                        op.getTransposeWeight());
    int64_t column = padded.dim - (op.getTransposeWeight() ? 0 : 1);
    replace(op, wide, op.getX().getType().getRank() - 1 + column, padded.size);
    return true;
  }

  bool followReshape(graph::ReshapeOp op, const Padded &padded) {
    RankedTensorType narrow = op.getType();
    // The operand's type is the padded one already; the result's is not.
    SmallVector<int64_t> from(typeOf(op.getX()).getShape());
    from[padded.dim] = padded.size;
    std::optional<int64_t> dim = keptByReshape(from, narrow.getShape(), padded.dim, padded.size);
    if (!dim)
      return false;
    SmallVector<int64_t> to(narrow.getShape());
    to[*dim] = typeOf(op.getX()).getDimSize(padded.dim);
    OpBuilder builder(op);
    auto wide = graph::ReshapeOp::create(
        builder, op.getLoc(), RankedTensorType::get(to, narrow.getElementType()), op.getX());
    replace(op, wide, *dim, padded.size);
    return true;
  }

  /// Replaces `narrow` by `wide`, whose one result has padding behind `size` indices of `dim`.
  void replace(Operation *narrow, Operation *wide, int64_t dim, int64_t size) {
    wide->setDiscardableAttrs(narrow->getDiscardableAttrDictionary());
    narrow->getResult(0).replaceAllUsesWith(wide->getResult(0));
    narrow->erase();
    pending.push_back({wide->getResult(0), dim, size});
  }

  static bool hideColumns(OpOperand &use, const Padded &padded) {
    Operation *op = use.getOwner();
    OpBuilder builder(op);
    RankedTensorType type = typeOf(use.get());
    auto columns = RankedTensorType::get({1, type.getShape().back()}, builder.getI64Type());
    Value index = graph::IotaOp::create(builder, op->getLoc(), columns, 1);
    Value count = graph::ConstantOp::create(
        builder, op->getLoc(),
        DenseElementsAttr::get(RankedTensorType::get({}, builder.getI64Type()), padded.size));
    Value real = graph::CompareOp::create(builder, op->getLoc(), "lt", index, count);
    auto scalar = RankedTensorType::get({}, type.getElementType());
    Value hidden = graph::ConstantOp::create(
        builder, op->getLoc(),
        DenseElementsAttr::get(
            scalar,
            builder.getFloatAttr(type.getElementType(), -std::numeric_limits<double>::infinity())));
    use.set(graph::SelectOp::create(builder, op->getLoc(), real, use.get(), hidden));
    return true;
  }

  static Value cutOff(const Padded &padded) {
    OpBuilder builder(padded.value.getContext());
    builder.setInsertionPointAfterValue(padded.value);
    SmallVector<int64_t> limits(typeOf(padded.value).getShape());
    limits[padded.dim] = padded.size;
    SmallVector<int64_t> starts(limits.size(), 0), strides(limits.size(), 1);
    return graph::SliceOp::create(builder, padded.value.getLoc(), padded.value, starts, limits,
                                  strides);
  }

  SmallVector<Padded> pending;
};

} // namespace
} // namespace deepshard
