//===- SplitElementwise.cpp - elementwise ops work on the parts that are joined or cut out ----===//
//
// Concatenations move behind the elementwise ops that read them, then slices in front of those
// whose results they cut. An op that moves past is made anew for each part; what else it reads is
// sliced. Each concatenation moves down until something else reads it. O(ops made).
//
//===------------------------------------------------------------------------------------------===//

#include "passes/simplify/Passes.h"

#include "dialects/graph/Graph.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <deque>

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_SPLITELEMENTWISEPASS
#include "passes/simplify/Passes.h.inc"

namespace {

RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

/// Which elements a slice takes, per dimension.
struct Part {
  SmallVector<int64_t> starts, limits, strides;

  static Part of(graph::SliceOp slice) {
    return {SmallVector<int64_t>(slice.getStarts()), SmallVector<int64_t>(slice.getLimits()),
            SmallVector<int64_t>(slice.getStrides())};
  }

  SmallVector<int64_t> shape() const {
    SmallVector<int64_t> result;
    for (auto [start, limit, stride] : llvm::zip_equal(starts, limits, strides))
      result.push_back((limit - start + stride - 1) / stride);
    return result;
  }

  /// The same elements of an operand that is broadcast to `whole`.
  Part ofOperand(RankedTensorType operand, RankedTensorType whole) const {
    Part result;
    int64_t shift = whole.getRank() - operand.getRank();
    for (int64_t dim = 0; dim < operand.getRank(); ++dim) {
      bool repeats = operand.getDimSize(dim) != whole.getDimSize(dim + shift);
      result.starts.push_back(repeats ? 0 : starts[dim + shift]);
      result.limits.push_back(repeats ? 1 : limits[dim + shift]);
      result.strides.push_back(repeats ? 1 : strides[dim + shift]);
    }
    return result;
  }

  bool isAllOf(RankedTensorType type) const {
    return llvm::all_of(starts, [](int64_t start) { return start == 0; }) &&
           llvm::all_of(strides, [](int64_t stride) { return stride == 1; }) &&
           ArrayRef(limits) == type.getShape();
  }
};

/// Ops that compute an element of their only result from the same element of their operands.
bool isElementwise(Operation *op) {
  auto evaluable = dyn_cast_or_null<graph::EvaluableOpInterface>(op);
  return evaluable && evaluable.isElementwise() && op->getNumResults() == 1;
}

bool isSamePhase(Operation *a, Operation *b) {
  return a->getAttr(graph::kPhaseAttr) == b->getAttr(graph::kPhaseAttr);
}

/// The parts of `concat`, in order.
SmallVector<Part> partsOf(graph::ConcatOp concat) {
  auto type = typeOf(concat.getResult());
  auto dim = static_cast<int64_t>(concat.getDim());
  SmallVector<Part> parts;
  int64_t at = 0;
  for (Value operand : concat.getOperands()) {
    Part part{SmallVector<int64_t>(type.getRank(), 0), SmallVector<int64_t>(type.getShape()),
              SmallVector<int64_t>(type.getRank(), 1)};
    part.starts[dim] = at;
    part.limits[dim] = at += typeOf(operand).getDimSize(dim);
    parts.push_back(std::move(part));
  }
  return parts;
}

/// A copy of `op` for `part` of its result.
Value makePart(Operation *op, const Part &part, OpBuilder &builder);

/// `part` of `value`, which `reader` reads: of the tensors that are joined to it or that it is
/// computed from where nothing else reads it, else a slice.
Value slicePart(Value value, const Part &part, Operation *reader, OpBuilder &builder) {
  if (part.isAllOf(typeOf(value)))
    return value;
  Operation *op = value.getDefiningOp();
  if (auto concat = dyn_cast_or_null<graph::ConcatOp>(op))
    for (auto [operand, own] : llvm::zip_equal(concat.getOperands(), partsOf(concat)))
      if (own.starts == part.starts && own.limits == part.limits && own.strides == part.strides)
        return operand;
  if (isElementwise(op) && value.hasOneUse() && isSamePhase(op, reader))
    return makePart(op, part, builder);
  DenseElementsAttr splat;
  if (auto constant = dyn_cast_or_null<graph::ConstantOp>(op))
    splat = dyn_cast<DenseElementsAttr>(constant.getValue());
  if (splat && splat.isSplat()) {
    auto clone = cast<graph::ConstantOp>(builder.clone(*op));
    clone.setValueAttr(splat.resizeSplat(typeOf(value).clone(part.shape())));
    clone.getResult().setType(typeOf(value).clone(part.shape()));
    return clone;
  }
  auto slice = graph::SliceOp::create(builder, reader->getLoc(), value, part.starts, part.limits,
                                      part.strides);
  if (Attribute phase = reader->getAttr(graph::kPhaseAttr))
    slice->setAttr(graph::kPhaseAttr, phase);
  return slice;
}

Value makePart(Operation *op, const Part &part, OpBuilder &builder) {
  auto whole = typeOf(op->getResult(0));
  SmallVector<Value> operands = llvm::map_to_vector(op->getOperands(), [&](Value operand) {
    return slicePart(operand, part.ofOperand(typeOf(operand), whole), op, builder);
  });
  OperationState state(op->getLoc(), op->getName(), operands, {whole.clone(part.shape())},
                       op->getAttrs());
  return builder.create(state)->getResult(0);
}

class Splitting {
public:
  explicit Splitting(func::FuncOp function) : function(function) {}

  void run() {
    llvm::append_range(concats, function.getOps<graph::ConcatOp>());
    for (; !concats.empty(); concats.pop_front())
      sink(concats.front());
    eraseUnread();
    llvm::SetVector<Operation *> cut;
    SmallVector<graph::SliceOp> slices(function.getOps<graph::SliceOp>());
    for (graph::SliceOp slice : llvm::reverse(slices))
      if (Operation *op = slice.getX().getDefiningOp(); isElementwise(op))
        cut.insert(op);
    for (Operation *op : cut)
      hoistSlices(op);
    eraseUnread();
  }

private:
  /// Computes only what the slices of the result take, if these are all that is read, by
  /// elementwise ops, and do not overlap much.
  void hoistSlices(Operation *op) {
    int64_t elements = 0;
    for (Operation *user : op->getUsers()) {
      auto slice = dyn_cast<graph::SliceOp>(user);
      if (!slice || !isSamePhase(slice, op) || !llvm::all_of(slice->getUsers(), isElementwise))
        return;
      elements += typeOf(slice.getResult()).getNumElements();
    }
    if (elements > typeOf(op->getResult(0)).getNumElements())
      return;
    OpBuilder builder(op);
    for (Operation *user : op->getUsers()) {
      auto slice = cast<graph::SliceOp>(user);
      slice.replaceAllUsesWith(makePart(op, Part::of(slice), builder));
    }
    changed = true;
  }

  void sink(graph::ConcatOp concat) {
    llvm::SetVector<Operation *> readers(concat->user_begin(), concat->user_end());
    auto type = typeOf(concat.getResult());
    // What lies one behind another is computed there: nothing is saved.
    if (llvm::all_of(type.getShape().take_front(concat.getDim()),
                     [](int64_t size) { return size == 1; }))
      return;
    bool isMovable = llvm::all_of(readers, [&](Operation *reader) {
      return isElementwise(reader) && typeOf(reader->getResult(0)).getShape() == type.getShape();
    });
    if (!isMovable)
      return;
    SmallVector<Part> parts = partsOf(concat);
    for (Operation *reader : readers) {
      OpBuilder builder(reader);
      SmallVector<Value> values = llvm::map_to_vector(
          parts, [&](const Part &part) { return makePart(reader, part, builder); });
      auto joined = graph::ConcatOp::create(builder, reader->getLoc(), values, concat.getDim());
      if (Attribute phase = reader->getAttr(graph::kPhaseAttr))
        joined->setAttr(graph::kPhaseAttr, phase);
      reader->getResult(0).replaceAllUsesWith(joined.getResult());
      concats.push_back(joined);
      changed = true;
    }
  }

  /// What was made anew for its parts.
  void eraseUnread() {
    if (!std::exchange(changed, false))
      return;
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
      if (isOpTriviallyDead(&op))
        op.erase();
  }

  func::FuncOp function;
  std::deque<graph::ConcatOp> concats; // to be looked at
  bool changed = false;
};

struct SplitElementwise : impl::SplitElementwisePassBase<SplitElementwise> {
  void runOnOperation() override { Splitting(getOperation()).run(); }
};

} // namespace
} // namespace deepshard
