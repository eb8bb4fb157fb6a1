//===- ShardingRule.cpp - building, checking and printing rules -------------------------------===//

#include "dialects/graph/ShardingRule.h"

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Operation.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace deepshard::graph {

StringRef nameOf(ReductionKind kind) {
  switch (kind) {
  case ReductionKind::Sum:
    return "sum";
  case ReductionKind::Max:
    return "max";
  case ReductionKind::Min:
    return "min";
  }
  llvm_unreachable("not a reduction");
}

std::optional<unsigned> ShardingRule::dimensionOf(const TensorFactors &tensor, unsigned factor) {
  for (auto [dim, factors] : llvm::enumerate(tensor))
    if (llvm::is_contained(factors, factor))
      return dim;
  return std::nullopt;
}

std::optional<ReductionKind> ShardingRule::partialKind(unsigned result, unsigned factor) const {
  return has(results[result], factor) ? std::nullopt : factors[factor].leaves;
}

const PartialOperands *ShardingRule::findPartial(ArrayRef<unsigned> operands,
                                                 ReductionKind kind) const {
  const auto *found = llvm::find_if(partial, [&](const PartialOperands &set) {
    return ArrayRef(set.operands) == operands && llvm::is_contained(set.kinds, kind);
  });
  return found == partial.end() ? nullptr : found;
}

int64_t ShardingRule::bytesRound(Operation *op, ArrayRef<int64_t> parts) const {
  auto bytes = [&](Type type, const TensorFactors &tensor, int64_t leastBits) {
    int64_t bits = cast<RankedTensorType>(type).getElementTypeBitWidth();
    return llvm::product_of(localShape(tensor, parts)) * std::max(bits, leastBits) / 8;
  };
  int64_t sent = 0;
  for (const Ring &ring : rings) {
    int64_t ranks = parts[ring.factor];
    if (ranks == 1)
      continue;
    for (unsigned index : ring.operands)
      sent += (ranks - 1) * bytes(op->getOperand(index).getType(), operands[index], 0);
    for (unsigned index : ring.results)
      sent += ranks * bytes(op->getResult(index).getType(), results[index], 32);
  }
  return sent;
}

int64_t ShardingRule::bytesReduced(Operation *op, const InnerReduction &reduction,
                                   ArrayRef<int64_t> parts) const {
  auto type = cast<RankedTensorType>(op->getResult(reduction.result).getType());
  return reduction.times * llvm::product_of(localShape(results[reduction.result], parts)) *
         type.getElementTypeBitWidth() / 8;
}

int64_t ShardingRule::flopsOfAll(int64_t flops, ArrayRef<int64_t> parts) const {
  int64_t all = flops;
  for (const Repeated &part : repeated)
    all += part.flops * (parts[part.factor] - 1);
  return all;
}

SmallVector<int64_t> ShardingRule::localShape(const TensorFactors &tensor,
                                              ArrayRef<int64_t> parts) const {
  SmallVector<int64_t> shape;
  for (const DimensionFactors &dimension : tensor) {
    int64_t size = 1;
    for (unsigned factor : dimension)
      size *= factors[factor].size / parts[factor];
    shape.push_back(size);
  }
  return shape;
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

std::string ShardingRule::nameOf(unsigned factor) {
  constexpr unsigned kLetters = 'z' - 'i' + 1;
  std::string name(1, static_cast<char>('i' + factor % kLetters));
  return factor < kLetters ? name : name + std::to_string(factor / kLetters);
}

static void printTensors(raw_ostream &os, ArrayRef<TensorFactors> tensors) {
  os << "(";
  llvm::interleave(
      tensors, os,
      [&](const TensorFactors &tensor) {
        os << "[";
        llvm::interleaveComma(tensor, os, [&](const DimensionFactors &dimension) {
          if (dimension.empty())
            os << "1";
          for (unsigned factor : dimension)
            os << ShardingRule::nameOf(factor);
        });
        os << "]";
      },
      ",");
  os << ")";
}

/// The factors of one kind, with what they leave: " reduction={k:sum}".
static void printKind(raw_ostream &os, const ShardingRule &rule, FactorKind kind, StringRef name) {
  auto isKind = [&](unsigned factor) { return rule.factors[factor].kind == kind; };
  auto factors = llvm::to_vector(llvm::make_filter_range(
      llvm::seq<unsigned>(0, static_cast<unsigned>(rule.factors.size())), isKind));
  if (factors.empty())
    return;
  os << " " << name << "={";
  llvm::interleaveComma(factors, os, [&](unsigned factor) {
    os << ShardingRule::nameOf(factor);
    if (std::optional<ReductionKind> leaves = rule.factors[factor].leaves)
      os << ":" << nameOf(*leaves);
  });
  os << "}";
}

static void printPartial(raw_ostream &os, const PartialOperands &set) {
  if (set.kinds != ArrayRef(ReductionKind::Sum)) {
    llvm::interleave(set.kinds, os, [&](ReductionKind kind) { os << nameOf(kind); }, "|");
    os << " ";
  }
  llvm::interleave(set.operands, os, "&");
  os << "->";
  llvm::interleave(set.results, os, "&");
}

std::string ShardingRule::text() const {
  std::string text;
  llvm::raw_string_ostream os(text);
  printTensors(os, operands);
  os << "->";
  printTensors(os, results);
  os << " {";
  llvm::interleaveComma(llvm::enumerate(factors), os, [&](auto factor) {
    os << nameOf(static_cast<unsigned>(factor.index())) << "=" << factor.value().size;
  });
  os << "}";
  printKind(os, *this, FactorKind::Reduction, "reduction");
  printKind(os, *this, FactorKind::Special, "special");
  printKind(os, *this, FactorKind::Replicate, "replicate");
  if (!partial.empty()) {
    os << " partial={";
    llvm::interleaveComma(partial, os, [&](const PartialOperands &set) { printPartial(os, set); });
    os << "}";
  }
  for (const Ring &ring : rings) {
    os << " ring={" << nameOf(ring.factor) << ":";
    llvm::interleave(ring.operands, os, "&");
    if (!ring.results.empty())
      os << "->";
    llvm::interleave(ring.results, os, "&");
    os << (ring.isCausal ? " causal}" : "}");
  }
  for (const InnerReduction &reduction : inner)
    os << " inner={" << nameOf(reduction.factor) << ":" << reduction.times << "x"
       << reduction.result << "}";
  if (!instead.empty()) {
    os << " instead={";
    llvm::interleaveComma(instead, os, [&](const Instead &entry) {
      os << nameOf(entry.factor) << "->" << nameOf(entry.other);
    });
    os << "}";
  }
  for (const Repeated &part : repeated)
    os << " repeated={" << nameOf(part.factor) << ":" << part.flops << "}";
  return text;
}

//===----------------------------------------------------------------------===//
// Verification
//===----------------------------------------------------------------------===//

namespace {

class RuleVerifier {
public:
  RuleVerifier(Operation *op, const ShardingRule &rule)
      : op(op), rule(rule), used(rule.factors.size(), false) {}

  LogicalResult run() {
    if (failed(tensors("operand", op->getOperandTypes(), rule.operands)) ||
        failed(tensors("result", op->getResultTypes(), rule.results)))
      return failure();
    for (unsigned factor = 0; factor < rule.factors.size(); ++factor)
      if (failed(kind(factor)))
        return failure();
    return success(succeeded(partials()) && succeeded(ringsOfFactors()) &&
                   succeeded(innerReductions()) && succeeded(insteadOfFactors()) &&
                   succeeded(repeatedParts()));
  }

private:
  InFlightDiagnostic error() { return op->emitError("sharding rule ") << rule.text() << ": "; }

  LogicalResult tensors(StringRef what, TypeRange types, ArrayRef<TensorFactors> maps) {
    if (types.size() != maps.size())
      return error() << "maps " << maps.size() << " " << what << "s of " << types.size();
    for (auto [index, type] : llvm::enumerate(types))
      if (failed(tensor(what, index, cast<RankedTensorType>(type), maps[index])))
        return failure();
    return success();
  }

  LogicalResult tensor(StringRef what, size_t index, RankedTensorType type,
                       const TensorFactors &map) {
    if (type.getRank() != static_cast<int64_t>(map.size()))
      return error() << what << " " << index << " has rank " << type.getRank() << ", its map "
                     << map.size();
    llvm::SmallDenseSet<unsigned> seen;
    for (auto [dim, factors] : llvm::enumerate(map)) {
      int64_t size = 1;
      for (unsigned factor : factors) {
        if (factor >= rule.factors.size())
          return error() << what << " " << index << " names factor " << factor << " of "
                         << rule.factors.size();
        if (!seen.insert(factor).second)
          return error() << what << " " << index << " has factor " << ShardingRule::nameOf(factor)
                         << " twice";
        used[factor] = true;
        size *= rule.factors[factor].size;
      }
      if (size != type.getDimSize(dim))
        return error() << "dimension " << dim << " of " << what << " " << index << " is "
                       << type.getDimSize(dim) << ", its factors multiply to " << size;
    }
    return success();
  }

  LogicalResult kind(unsigned factor) {
    const Factor &value = rule.factors[factor];
    std::string name = ShardingRule::nameOf(factor);
    auto has = [&](const TensorFactors &tensor) { return ShardingRule::has(tensor, factor); };
    if (!used[factor])
      return error() << "factor " << name << " occurs nowhere";
    if (value.size == 1)
      return error() << "factor " << name << " has size 1; leave it out";
    switch (value.kind) {
    case FactorKind::Reduction:
      if (!value.leaves || !llvm::any_of(rule.operands, has) || llvm::all_of(rule.results, has))
        return error() << "reduction factor " << name
                       << " must be in an operand, missing in a result, and leave something";
      break;
    case FactorKind::PassThrough:
      if (value.leaves || llvm::none_of(rule.results, has))
        return error() << "factor " << name << " passes through; expected it in a result, leaving "
                       << "nothing";
      break;
    case FactorKind::Replicate:
      if (value.leaves)
        return error() << "factor " << name << " is never split and leaves nothing";
      break;
    case FactorKind::Special:
      break;
    }
    return success();
  }

  static bool ascends(ArrayRef<unsigned> values, size_t limit) {
    for (size_t i = 1; i < values.size(); ++i)
      if (values[i - 1] >= values[i])
        return false;
    return !values.empty() && values.back() < limit;
  }

  LogicalResult partials() {
    for (auto [index, set] : llvm::enumerate(rule.partial)) {
      if (!ascends(set.operands, rule.operands.size()) ||
          !ascends(set.results, rule.results.size()) || set.kinds.empty())
        return error() << "partial entry " << index
                       << " must name ascending operands and results of the op, and a kind";
      for (ReductionKind kind : set.kinds)
        if (rule.findPartial(set.operands, kind) != &set)
          return error() << "partial entry " << index << " repeats an earlier one";
    }
    return success();
  }

  LogicalResult ringsOfFactors() {
    llvm::SmallDenseSet<unsigned> seen;
    for (auto [index, ring] : llvm::enumerate(rule.rings)) {
      auto have = [&](ArrayRef<unsigned> places, ArrayRef<TensorFactors> tensors) {
        return places.empty() ||
               (ascends(places, tensors.size()) && llvm::all_of(places, [&](unsigned place) {
                  return ShardingRule::has(tensors[place], ring.factor);
                }));
      };
      if (ring.factor >= rule.factors.size() ||
          rule.factors[ring.factor].kind != FactorKind::Special || !seen.insert(ring.factor).second)
        return error() << "ring " << index << " must name a special factor that no other ring has";
      if (ring.operands.empty() || !have(ring.operands, rule.operands) ||
          !have(ring.results, rule.results))
        return error() << "ring " << index << " must pass ascending operands and results that have "
                       << "factor " << ShardingRule::nameOf(ring.factor) << ", an operand at least";
    }
    return success();
  }

  LogicalResult innerReductions() {
    for (auto [index, reduction] : llvm::enumerate(rule.inner))
      if (reduction.factor >= rule.factors.size() ||
          rule.factors[reduction.factor].kind != FactorKind::Special ||
          reduction.result >= rule.results.size() ||
          ShardingRule::has(rule.results[reduction.result], reduction.factor) ||
          reduction.times < 1)
        return error() << "inner reduction " << index
                       << " must name a special factor and a result that lacks it, and happen once "
                          "at least";
    return success();
  }

  LogicalResult insteadOfFactors() {
    for (auto [index, entry] : llvm::enumerate(rule.instead))
      if (entry.factor >= rule.factors.size() || entry.other >= rule.factors.size() ||
          entry.factor == entry.other || rule.factors[entry.other].kind == FactorKind::Replicate)
        return error() << "instead entry " << index
                       << " must name two factors, the second of which may be split";
    return success();
  }

  LogicalResult repeatedParts() {
    llvm::SmallDenseSet<unsigned> seen;
    for (auto [index, part] : llvm::enumerate(rule.repeated))
      if (part.factor >= rule.factors.size() ||
          rule.factors[part.factor].kind == FactorKind::Replicate || part.flops < 0 ||
          !seen.insert(part.factor).second)
        return error() << "repeated part " << index
                       << " must name a factor that may be split and has no other, and flops";
    return success();
  }

  Operation *op;
  const ShardingRule &rule;
  SmallVector<bool> used;
};

} // namespace

LogicalResult verifyRule(Operation *op, const ShardingRule &rule) {
  return RuleVerifier(op, rule).run();
}

//===----------------------------------------------------------------------===//
// Building
//===----------------------------------------------------------------------===//

static int64_t rankOf(Type type) { return cast<RankedTensorType>(type).getRank(); }

ShardingRuleBuilder::ShardingRuleBuilder(Operation *op) : op(op) {
  for (Type type : op->getOperandTypes())
    rule.operands.emplace_back(rankOf(type));
  for (Type type : op->getResultTypes())
    rule.results.emplace_back(rankOf(type));
}

TensorFactors &ShardingRuleBuilder::tensorOf(RulePlace place) {
  return place.isResult ? rule.results[place.index] : rule.operands[place.index];
}

int64_t ShardingRuleBuilder::sizeOf(RulePlace place) const {
  Value value = place.isResult ? Value(op->getResult(place.index)) : op->getOperand(place.index);
  return cast<RankedTensorType>(value.getType()).getDimSize(place.dim);
}

ShardingRuleBuilder &ShardingRuleBuilder::factor(ArrayRef<RulePlace> places, FactorKind kind,
                                                 std::optional<ReductionKind> leaves) {
  return factor(sizeOf(places.front()), places, kind, leaves);
}

ShardingRuleBuilder &ShardingRuleBuilder::factor(int64_t size, ArrayRef<RulePlace> places,
                                                 FactorKind kind,
                                                 std::optional<ReductionKind> leaves) {
  if (size == 1)
    return *this;
  for (RulePlace place : places)
    tensorOf(place)[place.dim].push_back(static_cast<unsigned>(rule.factors.size()));
  if (size == 0)
    rule.factors.push_back({size, FactorKind::Replicate, std::nullopt});
  else
    rule.factors.push_back({size, kind, leaves});
  return *this;
}

ShardingRuleBuilder &ShardingRuleBuilder::pointwise(FactorKind kind) {
  int64_t rank = rankOf(op->getResult(0).getType());
  for (int64_t dim = 0; dim < rank; ++dim) {
    int64_t size = sizeOf(out(0, dim));
    SmallVector<RulePlace> places;
    auto addIfWhole = [&](bool isResult, unsigned index, Type type) {
      int64_t own = dim - (rank - rankOf(type));
      RulePlace place{isResult, index, static_cast<unsigned>(own)};
      if (own >= 0 && sizeOf(place) == size)
        places.push_back(place);
    };
    for (auto [index, type] : llvm::enumerate(op->getOperandTypes()))
      addIfWhole(false, index, type);
    for (auto [index, type] : llvm::enumerate(op->getResultTypes()))
      addIfWhole(true, index, type);
    factor(size, places, kind);
  }
  return *this;
}

ShardingRuleBuilder &ShardingRuleBuilder::partial(ArrayRef<unsigned> operands,
                                                  ArrayRef<unsigned> results,
                                                  ArrayRef<ReductionKind> kinds) {
  PartialOperands set;
  set.operands.assign(operands.begin(), operands.end());
  set.results.assign(results.begin(), results.end());
  if (results.empty())
    llvm::append_range(set.results,
                       llvm::seq<unsigned>(0, static_cast<unsigned>(op->getNumResults())));
  set.kinds.assign(kinds.begin(), kinds.end());
  rule.partial.push_back(std::move(set));
  return *this;
}

ShardingRuleBuilder &ShardingRuleBuilder::ring(RulePlace place, bool isCausal,
                                               ArrayRef<unsigned> operands,
                                               ArrayRef<unsigned> results) {
  if (const DimensionFactors &factors = tensorOf(place)[place.dim]; !factors.empty())
    if (rule.factors[factors.front()].kind == FactorKind::Special)
      rule.rings.push_back({factors.front(),
                            {operands.begin(), operands.end()},
                            {results.begin(), results.end()},
                            isCausal});
  return *this;
}

ShardingRuleBuilder &ShardingRuleBuilder::instead(RulePlace place, RulePlace other) {
  const DimensionFactors &from = tensorOf(place)[place.dim], &to = tensorOf(other)[other.dim];
  if (!from.empty() && !to.empty() && rule.factors[to.front()].kind != FactorKind::Replicate)
    rule.instead.push_back({from.front(), to.front()});
  return *this;
}

ShardingRuleBuilder &ShardingRuleBuilder::inner(RulePlace place, unsigned result, int64_t times) {
  for (unsigned factor : tensorOf(place)[place.dim])
    rule.inner.push_back({factor, result, times});
  return *this;
}

ShardingRuleBuilder &ShardingRuleBuilder::repeats(RulePlace place, int64_t flops) {
  for (unsigned factor : tensorOf(place)[place.dim])
    if (rule.factors[factor].kind != FactorKind::Replicate)
      rule.repeated.push_back({factor, flops});
  return *this;
}

ShardingRuleBuilder &ShardingRuleBuilder::once(unsigned operand) {
  rule.once.push_back(operand);
  return *this;
}

ShardingRule ShardingRuleBuilder::build() {
  auto replicateRest = [&](bool isResult, MutableArrayRef<TensorFactors> tensors) {
    for (unsigned index = 0; index < tensors.size(); ++index)
      for (unsigned dim = 0; dim < tensors[index].size(); ++dim)
        if (tensors[index][dim].empty())
          factor(RulePlace{isResult, index, dim}, FactorKind::Replicate);
  };
  replicateRest(false, rule.operands);
  replicateRest(true, rule.results);
  return std::move(rule);
}

ShardingRule pointwiseRule(Operation *op) { return ShardingRuleBuilder(op).pointwise().build(); }

} // namespace deepshard::graph
