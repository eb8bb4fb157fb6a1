//===- SimulatedRanks.cpp - runs one op split over ranks, by its sharding rule ----------------===//

#include "SimulatedRanks.h"

#include "dialects/graph/Graph.h"
#include "dialects/graph/Interpreter.h"

#include "mlir/IR/Verifier.h"

#include <cstring>

using namespace mlir;

namespace deepshard::graph::test {

std::vector<int64_t> placesOf(const ShardingRule &rule, const TensorFactors &tensor,
                              const PerFactor &parts, const PerFactor &index) {
  std::vector<int64_t> places = {0};
  for (const DimensionFactors &dimension : tensor)
    for (unsigned factor : dimension) {
      int64_t size = rule.factors[factor].size, local = size / parts[factor];
      std::vector<int64_t> finer;
      for (int64_t place : places)
        for (int64_t i = 0; i < local; ++i)
          finer.push_back(place * size + index[factor] * local + i);
      places = std::move(finer);
    }
  return places;
}

template <typename T>
static void combineAs(HostTensor &sum, const HostTensor &value, ReductionKind kind) {
  for (size_t i = 0; i < sum.size() / sizeof(T); ++i) {
    T &a = sum.as<T>()[i];
    T b = value.as<T>()[i];
    switch (kind) {
    case ReductionKind::Sum:
      a += b;
      break;
    case ReductionKind::Max:
      a = a > b || a != a ? a : b;
      break;
    case ReductionKind::Min:
      a = a < b || a != a ? a : b;
      break;
    }
  }
}

void combine(HostTensor &sum, const HostTensor &value, ReductionKind kind) {
  Type type = sum.getType().getElementType();
  if (type.isF64())
    combineAs<double>(sum, value, kind);
  else if (type.isF32())
    combineAs<float>(sum, value, kind);
  else if (type.isInteger(64))
    combineAs<int64_t>(sum, value, kind);
  else if (type.isInteger(32))
    combineAs<int32_t>(sum, value, kind);
  else
    llvm::report_fatal_error("the cases reduce f64, f32, i64 and i32 only");
}

static bool equalBits(const HostTensor &a, const HostTensor &b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

/// Copies the elements at `places` of `whole` to `part`, or back.
static void copyPlaces(HostTensor &whole, HostTensor &part, ArrayRef<int64_t> places, bool toPart) {
  size_t bytes = places.empty() ? 0 : part.size() / places.size();
  for (size_t i = 0; i < places.size(); ++i) {
    char *from = whole.as<char>() + places[i] * bytes, *to = part.as<char>() + i * bytes;
    std::memcpy(toPart ? to : from, toPart ? from : to, bytes);
  }
}

SimulatedRanks::SimulatedRanks(Operation *op, ShardingRule rule, PerFactor parts)
    : op(op), theRule(std::move(rule)), parts(std::move(parts)),
      module(ModuleOp::create(op->getLoc())), ops(op->getContext()) {
  SmallVector<Type> types;
  for (auto [type, factors] : llvm::zip_equal(op->getOperandTypes(), theRule.operands))
    types.push_back(localType(type, factors));
  ops.setInsertionPointToEnd(module->getBody());
  function = func::FuncOp::create(ops, op->getLoc(), "local", ops.getFunctionType(types, {}));
  ops.setInsertionPointToEnd(function.addEntryBlock());
}

Value SimulatedRanks::partIndex(unsigned factor) {
  Value &index = indices[factor];
  if (!index)
    index = body().addArgument(RankedTensorType::get({}, ops.getI64Type()), location());
  return index;
}

Value SimulatedRanks::allReduce(Value value, ReductionKind kind, unsigned factor) {
  if (!isSplit(factor))
    return value;
  auto type = cast<RankedTensorType>(value.getType());
  reduced.push_back(type.getNumElements());
  reducedBytes += type.getNumElements() * type.getElementTypeBitWidth() / 8;
  return addExchange({nullptr, value, nullptr, factor, kind});
}

Value SimulatedRanks::rotate(Value value, unsigned factor, int64_t by) {
  auto type = cast<RankedTensorType>(value.getType());
  rotated.push_back(type.getNumElements() * type.getElementTypeBitWidth() / 8);
  return addExchange({nullptr, value, nullptr, factor, std::nullopt, by});
}

Value SimulatedRanks::addExchange(Exchange exchange) {
  exchange.after = body().empty() ? nullptr : &body().back();
  exchange.result = body().addArgument(exchange.source.getType(), location());
  exchanges.push_back(exchange);
  return exchange.result;
}

void SimulatedRanks::addAfterReduction(unsigned result, Value value) {
  pending.push_back({result, value});
}

LogicalResult SimulatedRanks::fail(const std::string &reason) {
  why = reason;
  return failure();
}

LogicalResult SimulatedRanks::build() {
  std::string messages;
  ScopedDiagnosticHandler handler(op->getContext(), [&](Diagnostic &diagnostic) {
    messages += diagnostic.str() + "\n";
    return success();
  });
  FailureOr<SmallVector<Value>> locals = cast<ShardingRuleOpInterface>(op).partition(*this);
  if (failed(locals))
    return fail("partition fails: " + messages);
  results = *locals;
  for (auto [value, whole, factors] :
       llvm::zip_equal(results, op->getResultTypes(), theRule.results))
    if (value.getType() != localType(whole, factors))
      return fail("a local result does not have the type of the rule");
  func::ReturnOp::create(ops, location(), results);
  function.setFunctionType(ops.getFunctionType(body().getArgumentTypes(), ValueRange(results)));
  if (failed(verify(*module)))
    return fail("local program does not verify: " + messages);
  return success();
}

void SimulatedRanks::createRanks(ArrayRef<HostTensor> operands) {
  std::vector<PerFactor> all = {PerFactor(parts.size(), 0)};
  for (unsigned factor = 0; factor < parts.size(); ++factor) {
    std::vector<PerFactor> more;
    for (const PerFactor &index : all)
      for (int64_t part = 0; part < parts[factor]; ++part) {
        more.push_back(index);
        more.back()[factor] = part;
      }
    all = std::move(more);
  }
  for (const PerFactor &index : all) {
    Rank &rank = ranks.emplace_back();
    rank.index = index;
    for (unsigned i = 0; i < operands.size(); ++i) {
      HostTensor whole = operands[i], part(cast<RankedTensorType>(operand(i).getType()));
      copyPlaces(whole, part, placesOf(theRule, theRule.operands[i], parts, index), true);
      rank.values[operand(i)] = std::move(part);
    }
    for (auto [factor, value] : indices) {
      HostTensor scalar(cast<RankedTensorType>(value.getType()));
      *scalar.as<int64_t>() = index[factor];
      rank.values[value] = std::move(scalar);
    }
  }
}

std::vector<SimulatedRanks::Rank *> SimulatedRanks::group(const Rank &rank, unsigned factor) {
  std::vector<Rank *> members;
  for (Rank &other : ranks) {
    PerFactor index = other.index;
    index[factor] = rank.index[factor];
    if (index == rank.index)
      members.push_back(&other);
  }
  return members;
}

void SimulatedRanks::exchange(const Exchange &exchange) {
  for (Rank &rank : ranks) {
    std::vector<Rank *> members = group(rank, exchange.factor);
    auto valueOf = [&](int64_t part) -> HostTensor & {
      return members[part]->values.at(exchange.source);
    };
    auto count = static_cast<int64_t>(members.size());
    if (!exchange.kind) {
      rank.values[exchange.result] =
          valueOf((rank.index[exchange.factor] - exchange.by + count) % count);
      continue;
    }
    HostTensor sum = valueOf(0);
    for (int64_t part = 1; part < count; ++part)
      combine(sum, valueOf(part), *exchange.kind);
    rank.values[exchange.result] = std::move(sum);
  }
}

void SimulatedRanks::exchangeAfter(Operation *op) {
  for (const Exchange &each : exchanges)
    if (each.after == op)
      exchange(each);
}

/// All ranks run one op before any runs the next.
LogicalResult SimulatedRanks::runOps() {
  exchangeAfter(nullptr);
  for (Operation &each : body()) {
    if (isa<func::ReturnOp>(each))
      break;
    for (Rank &rank : ranks) {
      SmallVector<const HostTensor *> operands;
      for (Value value : each.getOperands()) {
        auto found = rank.values.find(value);
        if (found == rank.values.end())
          return fail("a value is read before it is there");
        operands.push_back(&found->second);
      }
      FailureOr<SmallVector<HostTensor>> values = evaluateOp(&each, operands);
      if (failed(values))
        return fail("local program cannot be evaluated");
      for (auto [value, tensor] : llvm::zip_equal(each.getResults(), *values))
        rank.values[value] = std::move(tensor);
    }
    exchangeAfter(&each);
  }
  return success();
}

int64_t SimulatedRanks::mostHeldOf(unsigned index) {
  llvm::DenseMap<Operation *, int64_t> positions;
  for (Operation &each : body())
    positions[&each] = static_cast<int64_t>(positions.size()) + 1;
  auto positionOf = [&](Operation *op) { return op ? positions[op] : 0; };
  llvm::SmallDenseSet<Value> held = {operand(index)};
  SmallVector<int64_t> count(positions.size() + 1, 0);
  for (const Exchange &each : exchanges) {
    if (each.kind || !held.contains(each.source))
      continue;
    held.insert(each.result);
    int64_t last = positionOf(each.after);
    for (Operation *user : each.result.getUsers())
      last = std::max(last, positionOf(user));
    for (const Exchange &next : exchanges)
      if (next.source == each.result)
        last = std::max(last, positionOf(next.after));
    // What is received behind an op is there beside what the next one reads.
    for (int64_t at = positionOf(each.after) + 1; at <= last; ++at)
      ++count[at];
  }
  return *llvm::max_element(count);
}

LogicalResult SimulatedRanks::addPending(unsigned result, Rank &rank, HostTensor &value) {
  for (auto [to, added] : pending) {
    if (to != result)
      continue;
    OpBuilder::InsertionGuard guard(ops);
    auto sum = AddOp::create(ops, location(), results[result], added);
    FailureOr<SmallVector<HostTensor>> values = evaluateOp(sum, {&value, &rank.values.at(added)});
    if (failed(values))
      return fail("what is to be added after the reduction does not fit");
    value = values->front();
    sum.erase();
  }
  return success();
}

FailureOr<HostTensor> SimulatedRanks::join(unsigned result) {
  const TensorFactors &factors = theRule.results[result];
  for (unsigned factor = 0; factor < parts.size(); ++factor) {
    if (ShardingRule::has(factors, factor) || !isSplit(factor))
      continue;
    std::optional<ReductionKind> kind = theRule.partialKind(result, factor);
    for (Rank &rank : ranks) {
      if (rank.index[factor] != 0)
        continue;
      HostTensor &value = rank.values.at(results[result]);
      std::vector<Rank *> members = group(rank, factor);
      for (Rank *other : ArrayRef(members).drop_front()) {
        const HostTensor &part = other->values.at(results[result]);
        if (kind)
          combine(value, part, *kind);
        else if (!equalBits(value, part))
          return fail("result " + std::to_string(result) + " differs over the parts of " +
                      ShardingRule::nameOf(factor));
      }
    }
  }
  HostTensor whole(cast<RankedTensorType>(op->getResult(result).getType()));
  for (Rank &rank : ranks) {
    bool isFirst = true;
    for (unsigned factor = 0; factor < parts.size(); ++factor)
      isFirst &= rank.index[factor] == 0 || ShardingRule::has(factors, factor);
    if (!isFirst)
      continue;
    HostTensor value = rank.values.at(results[result]);
    if (failed(addPending(result, rank, value)))
      return failure();
    copyPlaces(whole, value, placesOf(theRule, factors, parts, rank.index), false);
  }
  return whole;
}

FailureOr<SmallVector<HostTensor>> SimulatedRanks::run(ArrayRef<HostTensor> operands) {
  if (failed(build()))
    return failure();
  createRanks(operands);
  if (failed(runOps()))
    return failure();
  SmallVector<HostTensor> wholes;
  for (unsigned result = 0; result < op->getNumResults(); ++result) {
    FailureOr<HostTensor> whole = join(result);
    if (failed(whole))
      return failure();
    wholes.push_back(std::move(*whole));
  }
  return wholes;
}

} // namespace deepshard::graph::test
