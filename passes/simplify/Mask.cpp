//===- Mask.cpp - what a constant attention mask says -----------------------------------------===//

#include "passes/simplify/Mask.h"

#include "dialects/graph/Graph.h"
#include "dialects/graph/HostTensor.h"
#include "passes/simplify/Match.h"

#include <cmath>

using namespace mlir;

namespace deepshard {

bool hidesKey(double number, Type elementType) {
  constexpr double kFarBelowScores = -1e30;
  auto type = cast<FloatType>(elementType);
  APFloat lowest = APFloat::getLargest(type.getFloatSemantics(), /*Negative=*/true);
  bool losesInfo;
  lowest.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &losesInfo);
  return number <= kFarBelowScores || number <= lowest.convertToDouble();
}

namespace {

/// What stands at one place of a mask.
enum class Sight { Seen, Hidden, Neither };

Sight sightOf(double number, Type elementType) {
  if (number == 0)
    return Sight::Seen;
  return hidesKey(number, elementType) ? Sight::Hidden : Sight::Neither;
}

/// One `Sight` per element of a constant.
SmallVector<Sight> sights(ElementsAttr elements, bool inverted) {
  graph::HostTensor tensor = graph::toHostTensor(elements);
  Type type = tensor.getType().getElementType();
  size_t count = tensor.getType().getNumElements();
  SmallVector<Sight> result(count, Sight::Neither);
  auto fill = [&](const auto *data) {
    for (size_t i = 0; i < count; ++i)
      result[i] = sightOf(static_cast<double>(data[i]), type);
  };
  auto fillHalf = [&](const llvm::fltSemantics &semantics) {
    for (size_t i = 0; i < count; ++i)
      result[i] =
          sightOf(APFloat(semantics, APInt(16, tensor.as<uint16_t>()[i])).convertToDouble(), type);
  };
  if (type.isInteger(1)) {
    for (size_t i = 0; i < count; ++i)
      result[i] = (tensor.as<uint8_t>()[i] != 0) != inverted ? Sight::Seen : Sight::Hidden;
  } else if (type.isF32()) {
    fill(tensor.as<float>());
  } else if (type.isF64()) {
    fill(tensor.as<double>());
  } else if (type.isF16()) {
    fillHalf(APFloat::IEEEhalf());
  } else if (type.isBF16()) {
    fillHalf(APFloat::BFloat());
  }
  return result;
}

/// `value` without the ops that only repeat it along, or add or remove, dimensions in front of its
/// last two.
Value skipLeadingDimensions(Value value) {
  auto lastTwo = [](ArrayRef<int64_t> shape) { return shape.take_back(2); };
  while (Operation *op = value.getDefiningOp()) {
    if (!isa<graph::BroadcastOp, graph::ReshapeOp>(op))
      break;
    Value x = op->getOperand(0);
    ArrayRef<int64_t> from = shapeOf(x), to = shapeOf(value);
    if (from.size() < 2 || lastTwo(from) != lastTwo(to))
      break;
    if (auto broadcast = dyn_cast<graph::BroadcastOp>(op)) {
      // The last two dimensions must stay where they are.
      ArrayRef<int64_t> dims = broadcast.getDims().take_back(2);
      int64_t rank = to.size();
      if (dims[0] != rank - 2 || dims[1] != rank - 1)
        break;
    }
    value = x;
  }
  return value;
}

/// A mask that is chosen from two numbers by a predicate: the predicate, and whether it names the
/// hidden keys.
std::optional<std::pair<Value, bool>> predicateOf(Value mask) {
  auto select = mask.getDefiningOp<graph::SelectOp>();
  if (!select || shapeOf(select.getPredicate()) != shapeOf(mask))
    return std::nullopt;
  std::optional<double> onTrue = splatOf(select.getOnTrue()),
                        onFalse = splatOf(select.getOnFalse());
  Type type = tensorType(mask).getElementType();
  if (!onTrue || !onFalse || !isa<FloatType>(type))
    return std::nullopt;
  if (*onTrue == 0 && hidesKey(*onFalse, type))
    return std::pair{select.getPredicate(), false};
  if (*onFalse == 0 && hidesKey(*onTrue, type))
    return std::pair{select.getPredicate(), true};
  return std::nullopt;
}

} // namespace

MaskPattern MaskReader::read(Value mask, int64_t s, int64_t t, bool inverted) {
  mask = skipLeadingDimensions(mask);
  if (auto predicate = predicateOf(mask)) {
    mask = skipLeadingDimensions(predicate->first);
    inverted = predicate->second;
  }
  while (auto negation = mask.getDefiningOp<graph::NotOp>()) {
    mask = skipLeadingDimensions(negation.getX());
    inverted = !inverted;
  }
  if (std::optional<double> number = splatOf(mask)) {
    Type type = tensorType(mask).getElementType();
    bool seesAll = type.isInteger(1) ? (*number != 0) != inverted : *number == 0;
    return {seesAll, seesAll, false, seesAll};
  }
  auto constant = mask.getDefiningOp<graph::ConstantOp>();
  if (!constant)
    return {};
  ArrayRef<int64_t> shape = shapeOf(mask);
  int64_t columns = shape.empty() ? 1 : shape.back();
  int64_t rows = shape.size() < 2 ? 1 : shape[shape.size() - 2];
  Key key{constant.getValue(), {inverted, {s, t}}};
  auto [entry, isNew] = known.try_emplace(key);
  if (isNew)
    entry->second = readConstant(constant.getValue(), rows, columns, s, t, inverted);
  return entry->second;
}

MaskPattern MaskReader::readConstant(ElementsAttr elements, int64_t rows, int64_t columns,
                                     int64_t s, int64_t t, bool inverted) {
  SmallVector<Sight> all = sights(elements, inverted);
  if (all.empty() || llvm::is_contained(all, Sight::Neither))
    return {};
  MaskPattern pattern{true, true, rows == s && columns == t, true};
  for (size_t begin = 0; begin < all.size(); begin += columns) {
    int64_t query = (begin / columns) % rows;
    bool seesAny = false;
    for (int64_t key = 0; key < columns; ++key) {
      bool isSeen = all[begin + key] == Sight::Seen;
      seesAny |= isSeen;
      pattern.seesAll &= isSeen;
      pattern.isCausal &= isSeen == (key <= query + t - s);
    }
    pattern.everyQuerySeesAKey &= seesAny;
  }
  return pattern;
}

} // namespace deepshard
