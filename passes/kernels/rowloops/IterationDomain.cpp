//===- IterationDomain.cpp - the loops that a group of graph ops shares -----------------------===//

#include "passes/kernels/rowloops/IterationDomain.h"

#include "passes/kernels/rowloops/EmitElement.h"

#include "llvm/ADT/IntEqClasses.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace deepshard {

static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

static bool hasGeneratedType(Value value) {
  Type type = typeOf(value).getElementType();
  return type.isF32() || isNarrowFloat(type) || type.isInteger(64) || type.isInteger(32) ||
         type.isInteger(1);
}

/// The operands that have elements along the loops; dropout's counter and offsets have none.
static OperandRange elementOperands(Operation *op) {
  return isa<graph::DropoutOp>(op) ? op->getOperands().take_front(1) : op->getOperands();
}

bool IterationDomain::isReduction(Operation *op) {
  return isa<graph::ReduceSumOp, graph::ReduceMaxOp, graph::ReduceMinOp>(op);
}

static ArrayRef<int64_t> reducedDims(Operation *reduction) {
  return cast<DenseI64ArrayAttr>(reduction->getAttr("dims")).asArrayRef();
}

bool isRenaming(Operation *op) {
  return isa<graph::ReshapeOp, graph::TransposeOp, graph::BroadcastOp>(op);
}

bool isLeaf(Operation *op) { return isa_and_nonnull<graph::ConstantOp, graph::IotaOp>(op); }

/// Numbers below 2^31 take no more than 32 bits on their way to f32.
static bool isFusible(graph::IotaOp op) {
  RankedTensorType type = op.getType();
  int64_t count = type.getNumElements();
  bool isShort = count <= std::numeric_limits<int32_t>::max();
  Type element = type.getElementType();
  return count > 0 && count == type.getDimSize(op.getDim()) &&
         (element.isInteger(64) || ((element.isInteger(32) || element.isF32()) && isShort));
}

bool isFusible(Operation *op) {
  if (auto iota = dyn_cast<graph::IotaOp>(op))
    return isFusible(iota);
  if (auto constant = dyn_cast<graph::ConstantOp>(op)) {
    auto dense = dyn_cast<DenseElementsAttr>(constant.getValue());
    return dense && dense.isSplat() && hasGeneratedType(constant.getResult());
  }
  auto evaluable = dyn_cast<graph::EvaluableOpInterface>(op);
  bool isKnown = (evaluable && evaluable.isElementwise() && canEmitElement(op)) ||
                 IterationDomain::isReduction(op) || isa<graph::DropoutOp>(op) || isRenaming(op);
  if (!isKnown || op->getNumResults() != 1 || typeOf(op->getResult(0)).getNumElements() == 0)
    return false;
  if (IterationDomain::isReduction(op) && !typeOf(op->getResult(0)).getElementType().isF32())
    return false;
  return hasGeneratedType(op->getResult(0)) && llvm::all_of(elementOperands(op), hasGeneratedType);
}

namespace {

/// Numbers the dimensions of tensors and joins those that run together.
class Dimensions {
public:
  /// First number of the dimensions of `value`.
  unsigned firstOf(Value value) {
    auto [it, isNew] = first.try_emplace(value, count);
    if (isNew) {
      count += typeOf(value).getRank();
      classes.grow(count);
    }
    return it->second;
  }

  void join(Value a, int64_t i, Value b, int64_t j) {
    if (typeOf(a).getDimSize(i) != 1 && typeOf(b).getDimSize(j) != 1)
      classes.join(firstOf(a) + i, firstOf(b) + j);
  }

  /// Joins what `op` runs together; false if its dimensions do not match one by one.
  bool add(Operation *op);

  /// The class of a dimension.
  unsigned classOf(Value value, int64_t dim) { return classes.findLeader(firstOf(value) + dim); }

  llvm::DenseMap<Value, unsigned> first;

private:
  bool addReshape(graph::ReshapeOp op);
  void addReduction(Operation *op);

  llvm::IntEqClasses classes;
  unsigned count = 0;
};

bool Dimensions::add(Operation *op) {
  Value result = op->getResult(0);
  firstOf(result);
  for (Value operand : elementOperands(op))
    firstOf(operand);
  if (isa<graph::ConstantOp>(op))
    return true;
  if (auto reshape = dyn_cast<graph::ReshapeOp>(op))
    return addReshape(reshape);
  if (auto transpose = dyn_cast<graph::TransposeOp>(op)) {
    for (auto [to, from] : llvm::enumerate(transpose.getPermutation()))
      join(result, to, transpose.getOperand(), from);
  } else if (auto broadcast = dyn_cast<graph::BroadcastOp>(op)) {
    for (auto [from, to] : llvm::enumerate(broadcast.getDims()))
      join(result, to, broadcast.getX(), from);
  } else if (IterationDomain::isReduction(op)) {
    addReduction(op);
  } else {
    int64_t rank = typeOf(result).getRank();
    for (Value operand : elementOperands(op)) {
      int64_t lead = rank - typeOf(operand).getRank();
      for (int64_t dim = lead; dim < rank; ++dim)
        join(result, dim, operand, dim - lead);
    }
  }
  return true;
}

/// Only sizes of 1 may come and go.
bool Dimensions::addReshape(graph::ReshapeOp op) {
  auto larger = [](Value value) {
    return llvm::filter_to_vector(llvm::seq<int64_t>(typeOf(value).getRank()),
                                  [&](int64_t dim) { return typeOf(value).getDimSize(dim) != 1; });
  };
  SmallVector<int64_t> from = larger(op.getX()), to = larger(op.getResult());
  if (from.size() != to.size())
    return false;
  for (auto [i, j] : llvm::zip_equal(from, to)) {
    if (op.getX().getType().getDimSize(i) != op.getType().getDimSize(j))
      return false;
    join(op.getX(), i, op.getResult(), j);
  }
  return true;
}

void Dimensions::addReduction(Operation *op) {
  Value x = op->getOperand(0), result = op->getResult(0);
  int64_t to = 0;
  for (int64_t dim : llvm::seq<int64_t>(typeOf(x).getRank())) {
    bool isReduced = llvm::is_contained(reducedDims(op), dim);
    if (!isReduced)
      join(x, dim, result, to);
    to += !isReduced || op->hasAttr("keep_dims") ? 1 : 0;
  }
}

} // namespace

std::optional<IterationDomain> IterationDomain::of(ArrayRef<Operation *> ops,
                                                   ArrayRef<Value> outputs) {
  Dimensions dimensions;
  for (Operation *op : ops)
    if (!dimensions.add(op))
      return std::nullopt;

  // The dimensions of the domain are all classes; the value that spans most gives their order.
  IterationDomain domain;
  llvm::SmallDenseSet<unsigned> all;
  Value largest;
  unsigned most = 0;
  auto classesOf = [&](Value value) {
    SmallVector<unsigned> classes;
    for (int64_t dim : llvm::seq<int64_t>(typeOf(value).getRank()))
      if (typeOf(value).getDimSize(dim) != 1)
        classes.push_back(dimensions.classOf(value, dim));
    return classes;
  };
  auto visit = [&](Value value) {
    SmallVector<unsigned> classes = classesOf(value);
    if (llvm::SmallDenseSet<unsigned>(classes.begin(), classes.end()).size() != classes.size())
      return false; // two dimensions of one tensor run together: a diagonal
    all.insert(classes.begin(), classes.end());
    if (!largest || classes.size() > most) {
      largest = value;
      most = classes.size();
    }
    return true;
  };
  for (Operation *op : ops) {
    if (isa<graph::ConstantOp>(op))
      continue;
    if (!visit(op->getResult(0)) || !llvm::all_of(elementOperands(op), [&](Value operand) {
          return isa_and_nonnull<graph::ConstantOp>(operand.getDefiningOp()) || visit(operand);
        }))
      return std::nullopt;
  }
  if (!largest || most != all.size())
    return std::nullopt;
  llvm::SmallDenseMap<unsigned, int> numberOf;
  for (int64_t dim : llvm::seq<int64_t>(typeOf(largest).getRank())) {
    int64_t size = typeOf(largest).getDimSize(dim);
    if (size == 1)
      continue;
    numberOf[dimensions.classOf(largest, dim)] = static_cast<int>(domain.sizes.size());
    domain.sizes.push_back(size);
  }
  for (auto [value, first] : dimensions.first) {
    SmallVector<int> &mapped = domain.dims[value];
    for (int64_t dim : llvm::seq<int64_t>(typeOf(value).getRank())) {
      auto number = numberOf.find(dimensions.classOf(value, dim));
      // Dimensions of a constant may run along none: all its elements are equal.
      mapped.push_back(
          typeOf(value).getDimSize(dim) == 1 || number == numberOf.end() ? -1 : number->second);
    }
  }

  // Where the group reduces, or has results that span less, it says what rows are.
  unsigned rank = domain.sizes.size();
  auto cut = [&](ArrayRef<int> spanned) {
    auto count = static_cast<unsigned>(spanned.size());
    if (count == rank)
      return true;
    if (count == 0)
      return false;
    bool isPrefix = spanned.back() == static_cast<int>(count) - 1;
    bool isSuffix = spanned.front() == static_cast<int>(rank - count);
    if (!isPrefix && !isSuffix)
      return false;
    unsigned rows = isPrefix ? count : rank - count;
    bool agrees = !domain.rowDims || *domain.rowDims == rows;
    domain.rowDims = rows;
    return agrees;
  };
  for (Operation *op : ops)
    if (isReduction(op) &&
        (domain.spanned(op->getOperand(0)).size() != rank ||
         domain.spanned(op->getResult(0)).size() == rank || !cut(domain.spanned(op->getResult(0)))))
      return std::nullopt;
  for (Value output : outputs)
    if (!cut(domain.spanned(output)))
      return std::nullopt;
  return domain;
}

SmallVector<int> IterationDomain::spanned(Value value) const {
  SmallVector<int> result = llvm::filter_to_vector(dimsOf(value), [](int dim) { return dim >= 0; });
  llvm::sort(result);
  return result;
}

Span IterationDomain::spanOf(Value value) const {
  SmallVector<int> spanned = this->spanned(value);
  if (spanned.empty())
    return Span::Scalar;
  if (!rowDims || spanned.size() == sizes.size())
    return Span::Full;
  auto rows = static_cast<int>(*rowDims);
  if (spanned.back() < rows)
    return Span::Row;
  return spanned.front() >= rows ? Span::Column : Span::Full;
}

Direction IterationDomain::directionOf(Operation *reduction) const {
  return spanOf(reduction->getResult(0)) == Span::Row ? Direction::AlongColumns
                                                      : Direction::AlongRows;
}

} // namespace deepshard
