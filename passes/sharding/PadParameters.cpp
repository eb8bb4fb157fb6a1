//===- PadParameters.cpp - make split dimensions of parameters divisible ----------------------===//
//
// A dimension that a layout splits into n parts and that n does not divide (50,257 tokens over 2)
// gets padding at its end. The padding of a parameter is zero and stays zero: nothing that reads it
// may reach the loss. State: values with a padded dimension whose users are not yet rebuilt.
//
//   parameter     -> its users see the longer dimension
//   embedding     ids never name a padded row: nothing to do
//   linear        the columns of the result are padded (zeros, since the weight's are): follow the
//                 result. A bias is padded with the columns, if it is a parameter that nobody else
//                 reads
//   reshape       that keeps the dimension: follow the result
//   cross_entropy padded columns become -inf: they add nothing to the sum of exponentials and get
//                 the gradient 0
//   anything else the padding is cut off in front of it
//
// With `open`, dimensions that a search may split later are padded for all axes that it may split
// them over; with `multiple` to multiples of that, for the products and kernels of GPUs, which read
// several neighbours at once: where every user works with the padding, and it is so little that it
// does no harm if the dimension stays whole.
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
#include <numeric>

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

/// How a user works with padding along a dimension of an operand.
struct Following {
  std::optional<int64_t> resultDim; // of its result that is padded too
};

/// Whether the argument is a parameter that a linear op adds, and nothing else.
bool isBias(BlockArgument argument) {
  auto function = cast<func::FuncOp>(argument.getOwner()->getParentOp());
  if (!argument.hasOneUse() || !function.getArgAttr(argument.getArgNumber(), graph::kParameterAttr))
    return false;
  auto reader = dyn_cast<graph::LinearOp>(*argument.user_begin());
  return reader && reader.getBias() == argument;
}

/// The column that dimension `dim` of the weight is.
int64_t columnOf(graph::LinearOp op, int64_t dim) {
  return dim - (op.getTransposeWeight() ? 0 : 1);
}

std::optional<Following> followLinear(graph::LinearOp op, unsigned operand, int64_t dim) {
  RankedTensorType weight = op.getWeight().getType();
  int64_t contract = op.getTransposeWeight() ? weight.getRank() - 1 : 0;
  auto bias = dyn_cast_or_null<BlockArgument>(op.getBias());
  if (operand != 1 || dim == contract || (op.getBias() && !(bias && isBias(bias))))
    return std::nullopt;
  return Following{op.getX().getType().getRank() - 1 + columnOf(op, dim)};
}

/// Nothing: the padding has to be cut off in front of the user. `size` indices are no padding.
std::optional<Following> following(OpOperand &use, int64_t dim, int64_t size) {
  Operation *user = use.getOwner();
  unsigned operand = use.getOperandNumber();
  if (isa<graph::EmbeddingOp>(user) && operand == 0 && dim == 0)
    return Following{};
  if (isa<graph::CrossEntropyOp>(user) && operand == 0 &&
      dim == cast<RankedTensorType>(use.get().getType()).getRank() - 1)
    return Following{};
  if (auto linear = dyn_cast<graph::LinearOp>(user))
    return followLinear(linear, operand, dim);
  if (auto reshape = dyn_cast<graph::ReshapeOp>(user)) {
    // The operand's type may be the padded one already; the result's is not.
    SmallVector<int64_t> from(typeOf(reshape.getX()).getShape());
    from[dim] = size;
    if (auto kept = keptByReshape(from, reshape.getType().getShape(), dim, size))
      return Following{kept};
  }
  return std::nullopt;
}

/// Whether all users work with padding, and theirs.
bool isFollowed(Value value, int64_t dim, int64_t size) {
  return llvm::all_of(value.getUses(), [&](OpOperand &use) {
    std::optional<Following> way = following(use, dim, size);
    return way &&
           (!way->resultDim || isFollowed(use.getOwner()->getResult(0), *way->resultDim, size));
  });
}

struct PadParametersPass : impl::PadParametersBase<PadParametersPass> {
  using PadParametersBase::PadParametersBase;

  /// The part of a dimension that may be padding where it does not have to be.
  static constexpr int64_t kMostOpen = 100; // one in so many

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    sharding::MeshOp meshOp = sharding::onlyMesh(function->getParentOfType<ModuleOp>());
    const int64_t unit = multiple;
    if (!meshOp && unit == 1)
      return;
    sharding::MeshAttr mesh = meshOp ? meshOp.getAxes() : sharding::MeshAttr();
    const int64_t openParts = open && mesh ? mesh.sizeOf(searchedAxes(function, mesh)) : 1;
    // Biases last: the weight's padding is theirs.
    SmallVector<BlockArgument> arguments(function.getArguments());
    llvm::stable_sort(arguments,
                      [](BlockArgument a, BlockArgument b) { return !isBias(a) && isBias(b); });
    for (BlockArgument argument : arguments) {
      if (!function.getArgAttr(argument.getArgNumber(), graph::kParameterAttr))
        continue;
      sharding::LayoutAttr layout = sharding::layoutOf(argument);
      for (int64_t dim = 0; dim < typeOf(argument).getRank(); ++dim) {
        int64_t size = typeOf(argument).getDimSize(dim);
        const int64_t parts = layout ? mesh.sizeOf(layout.getAxes(dim)) : openParts;
        auto isHarmless = [&](int64_t padded) {
          return (padded - size) * kMostOpen <= size && isFollowed(argument, dim, size);
        };
        const int64_t least = llvm::alignTo(size, parts),
                      wide = llvm::alignTo(size, std::lcm(parts, unit));
        if (isHarmless(wide))
          pad(argument, dim, wide);
        else if (layout || isHarmless(least))
          pad(argument, dim, least);
      }
    }
  }

  void pad(BlockArgument argument, int64_t dim, int64_t padded) {
    int64_t size = typeOf(argument).getDimSize(dim);
    if (size == padded)
      return;
    padDimension(getOperation(), argument, dim, padded);
    pending.push_back({argument, dim, size});
    while (!pending.empty())
      rebuildUsers(pending.pop_back_val());
  }

  void rebuildUsers(Padded padded) {
    Value cut;
    SmallVector<OpOperand *> uses =
        llvm::map_to_vector(padded.value.getUses(), [](OpOperand &use) { return &use; });
    for (OpOperand *use : uses) {
      if (std::optional<Following> way = following(*use, padded.dim, padded.size)) {
        rebuild(*use, padded, *way);
        continue;
      }
      if (!cut)
        cut = cutOff(padded);
      use->set(cut);
    }
  }

  void rebuild(OpOperand &use, const Padded &padded, const Following &way) {
    Operation *user = use.getOwner();
    OpBuilder builder(user);
    if (isa<graph::CrossEntropyOp>(user))
      hideColumns(use, padded);
    if (auto linear = dyn_cast<graph::LinearOp>(user)) {
      if (linear.getBias())
        padDimension(getOperation(), cast<BlockArgument>(linear.getBias()),
                     columnOf(linear, padded.dim), typeOf(padded.value).getDimSize(padded.dim));
      replace(linear,
              graph::LinearOp::create(builder, linear.getLoc(), linear.getX(), linear.getWeight(),
                                      linear.getBias(), linear.getTransposeWeight()),
              *way.resultDim, padded.size);
    } else if (auto reshape = dyn_cast<graph::ReshapeOp>(user)) {
      SmallVector<int64_t> to(reshape.getType().getShape());
      to[*way.resultDim] = typeOf(reshape.getX()).getDimSize(padded.dim);
      auto type = RankedTensorType::get(to, reshape.getType().getElementType());
      replace(reshape, graph::ReshapeOp::create(builder, reshape.getLoc(), type, reshape.getX()),
              *way.resultDim, padded.size);
    }
  }

  /// Replaces `narrow` by `wide`, whose one result has padding behind `size` indices of `dim`.
  void replace(Operation *narrow, Operation *wide, int64_t dim, int64_t size) {
    wide->setDiscardableAttrs(narrow->getDiscardableAttrDictionary());
    narrow->getResult(0).replaceAllUsesWith(wide->getResult(0));
    narrow->erase();
    pending.push_back({wide->getResult(0), dim, size});
  }

  static void hideColumns(OpOperand &use, const Padded &padded) {
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
