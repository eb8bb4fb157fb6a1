//===- ShardingRuleTest.cpp - every rule, run: split over ranks against whole -----------------===//
//
// ShardingCases.mlir has instances of every op. For each of them every factor that may be split is
// split over 2, 3 and 4 ranks where it divides, alone and together with another one, and what the
// ranks compute is joined by the rule and compared with the op on whole operands.
//
//===------------------------------------------------------------------------------------------===//

#include "SimulatedRanks.h"

#include "dialects/graph/Graph.h"
#include "dialects/graph/Interpreter.h"

#include "mlir/Parser/Parser.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>
#include <set>

using namespace mlir;
using namespace deepshard::graph;
using namespace deepshard::graph::test;

namespace {

/// One function of the file with random data: the op before `return`, the values of its operands
/// and what it gives for them.
struct Case {
  std::string name;
  Operation *op;
  bool isExact;
  SmallVector<HostTensor> operands, expected;
};

int64_t attributeOr(func::FuncOp function, unsigned argument, StringRef name, int64_t otherwise) {
  auto attribute = function.getArgAttrOfType<IntegerAttr>(argument, name);
  return attribute ? attribute.getInt() : otherwise;
}

template <typename T, typename Next> void fillAs(HostTensor &tensor, Next next) {
  for (size_t i = 0; i < tensor.size() / sizeof(T); ++i)
    tensor.as<T>()[i] = static_cast<T>(next());
}

/// Writes what `next` gives to every element.
template <typename Next> void fill(HostTensor &tensor, Next next) {
  Type type = tensor.getType().getElementType();
  if (type.isF64())
    fillAs<double>(tensor, next);
  else if (type.isF32())
    fillAs<float>(tensor, next);
  else if (type.isInteger(64))
    fillAs<int64_t>(tensor, next);
  else if (type.isInteger(32))
    fillAs<int32_t>(tensor, next);
  else if (type.isInteger(1))
    fillAs<uint8_t>(tensor, [&] { return next() > 0; });
  else
    llvm::report_fatal_error("the cases have operands of f64, f32, i64, i32 and i1 only");
}

double valueAt(const HostTensor &tensor, size_t i) {
  Type type = tensor.getType().getElementType();
  if (type.isF64())
    return tensor.as<double>()[i];
  if (type.isF32())
    return tensor.as<float>()[i];
  if (type.isInteger(64))
    return static_cast<double>(tensor.as<int64_t>()[i]);
  if (type.isInteger(32))
    return tensor.as<int32_t>()[i];
  if (type.isBF16()) {
    uint32_t bits = uint32_t{tensor.as<uint16_t>()[i]} << 16;
    return std::bit_cast<float>(bits);
  }
  return tensor.as<uint8_t>()[i];
}

/// The first element that differs by more than `bound` times the largest magnitude, or times 0.01
/// where all of a result cancels out (terms are about 1); empty: none. NaN equals NaN.
std::string difference(const HostTensor &found, const HostTensor &expected, double bound) {
  if (found.getType() != expected.getType())
    return "types differ";
  auto count = static_cast<size_t>(expected.getType().getNumElements());
  double largest = 0.01;
  for (size_t i = 0; i < count; ++i)
    if (std::isfinite(valueAt(expected, i)))
      largest = std::max(largest, std::abs(valueAt(expected, i)));
  for (size_t i = 0; i < count; ++i) {
    double a = valueAt(found, i), b = valueAt(expected, i);
    bool equal = a == b || (std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= bound * largest;
    if (!equal)
      return "element " + std::to_string(i) + " is " + std::to_string(a) + ", expected " +
             std::to_string(b);
  }
  return "";
}

class ShardingRuleTest : public testing::Test {
protected:
  ShardingRuleTest() {
    context.loadDialect<func::FuncDialect, GraphDialect>();
    context.allowUnregisteredDialects();
    module = parseSourceFile<ModuleOp>(SHARDING_CASES, &context);
    if (module)
      for (func::FuncOp function : module->getOps<func::FuncOp>())
        addCase(function);
  }

  HostTensor argument(func::FuncOp function, unsigned index) {
    HostTensor tensor(cast<RankedTensorType>(function.getArgumentTypes()[index]));
    int64_t low = attributeOr(function, index, "test.low", -4);
    int64_t high = attributeOr(function, index, "test.high", 4);
    std::uniform_int_distribution<int64_t> integers(low, high);
    std::uniform_real_distribution<double> reals(static_cast<double>(low),
                                                 static_cast<double>(high));
    bool isReal = static_cast<bool>(function.getArgAttr(index, "test.real"));
    fill(tensor, [&] { return isReal ? reals(random) : static_cast<double>(integers(random)); });
    return tensor;
  }

  void addCase(func::FuncOp function) {
    Block &body = function.getBody().front();
    llvm::DenseMap<Value, HostTensor> values;
    for (BlockArgument value : body.getArguments())
      values[value] = argument(function, value.getArgNumber());
    for (Operation &op : body.without_terminator()) {
      SmallVector<const HostTensor *> pointers;
      for (Value operand : op.getOperands())
        pointers.push_back(&values.at(operand));
      FailureOr<SmallVector<HostTensor>> results = evaluateOp(&op, pointers);
      ASSERT_TRUE(succeeded(results)) << function.getName().str();
      if (&op == body.getTerminator()->getPrevNode()) {
        SmallVector<HostTensor> operands;
        for (const HostTensor *pointer : pointers)
          operands.push_back(*pointer);
        cases.push_back({function.getName().str(), &op, function->hasAttr("test.exact"),
                         std::move(operands), std::move(*results)});
        return;
      }
      for (auto [value, tensor] : llvm::zip_equal(op.getResults(), *results))
        values[value] = std::move(tensor);
    }
  }

  static ShardingRule ruleOf(const Case &c) {
    return cast<ShardingRuleOpInterface>(c.op).getShardingRule();
  }

  /// What is wrong with `c` split into `parts` by `rule`; empty: nothing.
  static std::string checkSplit(const Case &c, const ShardingRule &rule, const PerFactor &parts) {
    SimulatedRanks ranks(c.op, rule, parts);
    FailureOr<SmallVector<HostTensor>> found = ranks.run(c.operands);
    std::string what = ranks.why;
    for (size_t i = 0; succeeded(found) && what.empty() && i < found->size(); ++i)
      if (std::string differs = difference((*found)[i], c.expected[i], c.isExact ? 0 : 1e-12);
          !differs.empty())
        what = "result " + std::to_string(i) + ": " + differs;
    if (what.empty())
      return "";
    what += " (split:";
    for (unsigned factor = 0; factor < parts.size(); ++factor)
      if (parts[factor] > 1)
        what += " " + ShardingRule::nameOf(factor) + " by " + std::to_string(parts[factor]);
    return c.name + " " + rule.text() + ": " + what + ")";
  }

  /// The numbers of parts that a factor is tested with.
  static SmallVector<int64_t> divisors(const Factor &factor) {
    SmallVector<int64_t> found;
    for (int64_t parts : {2, 3, 4})
      if (factor.kind != FactorKind::Replicate && factor.size % parts == 0)
        found.push_back(parts);
    return found;
  }

  /// Checks all splits of one or two factors; how many there were.
  static int checkAllSplits(const Case &c, const ShardingRule &rule) {
    int count = 0;
    auto check = [&](PerFactor parts) {
      ++count;
      EXPECT_EQ(checkSplit(c, rule, parts), "");
    };
    PerFactor whole(rule.factors.size(), 1);
    for (unsigned f = 0; f < rule.factors.size(); ++f)
      for (int64_t n : divisors(rule.factors[f])) {
        PerFactor parts = whole;
        parts[f] = n;
        check(parts);
        for (unsigned g = f + 1; g < rule.factors.size(); ++g)
          if (SmallVector<int64_t> others = divisors(rule.factors[g]); !others.empty()) {
            parts[g] = others.front();
            check(parts);
            parts[g] = 1;
          }
      }
    return count;
  }

  /// The first op of a function of the arguments `arguments`; it lives as long as the test.
  Operation *parseOp(const std::string &arguments, const std::string &text) {
    parsed.push_back(parseSourceString<ModuleOp>(
        "func.func @f(" + arguments + ") {\n" + text + "\nreturn\n}", &context));
    EXPECT_TRUE(parsed.back()) << text;
    return &(*parsed.back()->getOps<func::FuncOp>().begin()).getBody().front().front();
  }

  std::string textOf(const std::string &arguments, const std::string &text) {
    return cast<ShardingRuleOpInterface>(parseOp(arguments, text)).getShardingRule().text();
  }

  const Case &caseNamed(StringRef name) {
    auto *found = llvm::find_if(cases, [&](const Case &c) { return c.name == name; });
    if (found == cases.end())
      llvm::report_fatal_error("no case of this name");
    return *found;
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  std::mt19937_64 random{7};
  SmallVector<Case> cases;
  std::vector<OwningOpRef<ModuleOp>> parsed;
};

//===----------------------------------------------------------------------===//
// All ops
//===----------------------------------------------------------------------===//

TEST_F(ShardingRuleTest, EveryOpHasARuleAndACase) {
  std::set<std::string> tested;
  for (const Case &c : cases)
    tested.insert(c.op->getName().getStringRef().str());
  int ops = 0;
  for (RegisteredOperationName op : context.getRegisteredOperations()) {
    if (op.getDialectNamespace() != GraphDialect::getDialectNamespace())
      continue;
    ++ops;
    EXPECT_TRUE(op.hasInterface<ShardingRuleOpInterface>()) << op.getStringRef().str();
    EXPECT_TRUE(tested.contains(op.getStringRef().str())) << op.getStringRef().str();
  }
  EXPECT_GT(ops, 50);
}

TEST_F(ShardingRuleTest, RulesVerify) {
  for (const Case &c : cases)
    EXPECT_TRUE(succeeded(verifyRule(c.op, ruleOf(c)))) << c.name;
}

TEST_F(ShardingRuleTest, SplitOpsComputeWhatWholeOpsDo) {
  int splits = 0;
  for (const Case &c : cases)
    splits += checkAllSplits(c, ruleOf(c));
  EXPECT_GT(splits, 500);
}

/// Ring attention of random shapes, with grouped heads, masks of whole heads, a diagonal and
/// dropout, and the gradient from its own o and lse.
TEST_F(ShardingRuleTest, RingsOfRandomAttention) {
  auto pick = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  int splits = 0;
  for (int trial = 0; trial < 40; ++trial) {
    const int64_t b = pick(1, 2), g = pick(1, 3), h = g * pick(1, 3), s = 2 * pick(1, 6),
                  d = pick(1, 4), e = pick(1, 4);
    auto tensor = [](std::initializer_list<int64_t> shape, StringRef element) {
      std::string text = "tensor<";
      for (int64_t size : shape)
        text += std::to_string(size) + "x";
      return text + element.str() + ">";
    };
    const std::string q = tensor({b, h, s, d}, "f64"), k = tensor({b, g, s, d}, "f64"),
                      v = tensor({b, g, s, e}, "f64"), o = tensor({b, h, s, e}, "f64"),
                      lse = tensor({b, h, s}, "f64"), mask = tensor({1, h, 1, 1}, "i1");
    std::string options, types, flags = pick(0, 1) ? " causal" : "";
    if (pick(0, 1)) {
      options += " mask %m";
      types += ", " + mask;
    }
    if (pick(0, 1)) {
      options += " counter %c";
      types += ", tensor<3xi64>";
      flags += " {dropout = 0.3, id = 5 : i64}";
    }
    options += " scale 0.7";
    const std::string forward = "%o, %l = graph.attention %q, %k, %v" + options + flags + " : " +
                                q + ", " + k + ", " + v + types + "\n";
    const std::string backward = "%x, %y, %z = graph.attention_grad %d, %q, %k, %v, %o, %l" +
                                 options + flags + " : " + o + ", " + q + ", " + k + ", " + v +
                                 ", " + o + ", " + lse + types + "\n";
    for (const std::string &ops : {forward, forward + backward}) {
      parsed.push_back(parseSourceString<ModuleOp>(
          "func.func @random(%q: " + q + " {test.real}, %k: " + k + " {test.real}, %v: " + v +
              " {test.real}, %d: " + o + " {test.real}, %m: " + mask +
              ", %c: tensor<3xi64> {test.low = 0}) {\n" + ops + "return\n}",
          &context));
      ASSERT_TRUE(parsed.back()) << ops;
      addCase(*parsed.back()->getOps<func::FuncOp>().begin());
      splits += checkAllSplits(cases.back(), ruleOf(cases.back()));
    }
  }
  EXPECT_GT(splits, 300);
}

/// What goes round is what the rule says: each rank sends that, and only to its neighbour.
TEST_F(ShardingRuleTest, RingsSendWhatTheRuleSays) {
  int count = 0;
  for (const Case &c : cases) {
    ShardingRule rule = ruleOf(c);
    for (const Ring &ring : rule.rings)
      for (int64_t parts : divisors(rule.factors[ring.factor]))
        for (unsigned other = 0; other < rule.factors.size(); ++other) {
          PerFactor split(rule.factors.size(), 1);
          split[ring.factor] = parts;
          if (SmallVector<int64_t> more = divisors(rule.factors[other]);
              other != ring.factor && !more.empty())
            split[other] = more.front();
          SimulatedRanks ranks(c.op, rule, split);
          ASSERT_TRUE(succeeded(ranks.run(c.operands))) << c.name << ": " << ranks.why;
          EXPECT_EQ(llvm::sum_of(ranks.rotated), rule.bytesRound(c.op, split)) << c.name;
          EXPECT_EQ(ranks.rotated.size(),
                    ring.operands.size() * (parts - 1) + ring.results.size() * parts);
          EXPECT_TRUE(ranks.reduced.empty()) << c.name;
          ++count;
        }
  }
  EXPECT_GT(count, 50);
}

/// What ops reduce inside is what the rule says, whatever else is split.
TEST_F(ShardingRuleTest, OpsReduceInsideWhatTheRuleSays) {
  int count = 0;
  for (const Case &c : cases) {
    const ShardingRule rule = ruleOf(c);
    for (unsigned factor = 0; factor < rule.factors.size(); ++factor)
      for (int64_t parts : divisors(rule.factors[factor]))
        for (unsigned other = 0; other < rule.factors.size(); ++other) {
          PerFactor split(rule.factors.size(), 1);
          split[factor] = parts;
          if (SmallVector<int64_t> more = divisors(rule.factors[other]);
              other != factor && !more.empty())
            split[other] = more.front();
          SimulatedRanks ranks(c.op, rule, split);
          ASSERT_TRUE(succeeded(ranks.run(c.operands))) << c.name << ": " << ranks.why;
          int64_t expected = 0;
          for (const InnerReduction &reduction : rule.inner)
            if (split[reduction.factor] > 1)
              expected += rule.bytesReduced(c.op, reduction, split);
          EXPECT_EQ(ranks.reducedBytes, expected) << c.name << " " << rule.text();
          count += expected > 0;
        }
  }
  EXPECT_GT(count, 10);
}

/// Beyond its own keys and values a rank holds those it works on and those it receives.
TEST_F(ShardingRuleTest, RingsHoldTwoBlocksAtMost) {
  int count = 0;
  for (const Case &c : cases) {
    ShardingRule rule = ruleOf(c);
    for (const Ring &ring : rule.rings)
      for (int64_t parts : divisors(rule.factors[ring.factor])) {
        PerFactor split(rule.factors.size(), 1);
        split[ring.factor] = parts;
        SimulatedRanks ranks(c.op, rule, split);
        ASSERT_TRUE(succeeded(ranks.run(c.operands))) << c.name << ": " << ranks.why;
        for (unsigned operand : ring.operands)
          EXPECT_EQ(ranks.mostHeldOf(operand), std::min<int64_t>(parts - 1, 2)) << c.name;
        ++count;
      }
  }
  EXPECT_GT(count, 10);
}

//===----------------------------------------------------------------------===//
// Partial operands
//===----------------------------------------------------------------------===//

/// Values of which `whole` is the sum, maximum or minimum.
SmallVector<HostTensor> partsOf(const HostTensor &whole, ReductionKind kind, int count,
                                std::mt19937_64 &random) {
  std::uniform_int_distribution<int64_t> eighths(-32, 32), amount(0, 3), owner(0, count - 1);
  SmallVector<HostTensor> parts(count, whole);
  if (kind == ReductionKind::Sum) {
    HostTensor rest(whole.getType());
    for (int i = 1; i < count; ++i) {
      fill(parts[i], [&] { return static_cast<double>(eighths(random)) / 8; });
      combine(rest, parts[i], kind);
    }
    size_t at = 0;
    fill(parts[0], [&] {
      double value = valueAt(whole, at) - valueAt(rest, at);
      ++at;
      return value;
    });
    return parts;
  }
  SmallVector<int64_t> owners;
  for (int64_t i = 0; i < whole.getType().getNumElements(); ++i)
    owners.push_back(owner(random));
  double sign = kind == ReductionKind::Max ? -1 : 1;
  for (int part = 0; part < count; ++part) {
    size_t at = 0;
    fill(parts[part], [&] {
      double less = owners[at] == part ? 0 : sign * static_cast<double>(amount(random));
      return valueAt(whole, at++) + less;
    });
  }
  return parts;
}

/// What is wrong when `count` ranks hold parts of the operands of `set`; empty: nothing.
std::string checkPartial(const Case &c, const PartialOperands &set, ReductionKind kind, int count,
                         std::mt19937_64 &random) {
  SmallVector<SmallVector<HostTensor>> operands(count, c.operands);
  for (unsigned operand : set.operands)
    for (auto [rank, part] : llvm::enumerate(partsOf(c.operands[operand], kind, count, random)))
      operands[rank][operand] = part;
  SmallVector<HostTensor> sums;
  for (const SmallVector<HostTensor> &own : operands) {
    SmallVector<const HostTensor *> pointers;
    for (const HostTensor &tensor : own)
      pointers.push_back(&tensor);
    FailureOr<SmallVector<HostTensor>> results = evaluateOp(c.op, pointers);
    if (failed(results))
      return "cannot be evaluated";
    for (auto [index, result] : llvm::enumerate(*results)) {
      if (sums.size() <= index)
        sums.push_back(result);
      else if (llvm::is_contained(set.results, static_cast<unsigned>(index)))
        combine(sums[index], result, kind);
    }
    for (auto [index, result] : llvm::enumerate(*results))
      if (!llvm::is_contained(set.results, static_cast<unsigned>(index)) &&
          !difference(result, c.expected[index], 0).empty())
        return "result " + std::to_string(index) + " is not whole";
  }
  for (unsigned result : set.results)
    if (std::string differs = difference(sums[result], c.expected[result], 1e-12); !differs.empty())
      return "result " + std::to_string(result) + ": " + differs;
  return "";
}

TEST_F(ShardingRuleTest, PartsOfOperandsGivePartsOfResults) {
  int sets = 0;
  for (const Case &c : cases) {
    ShardingRule rule = ruleOf(c);
    for (const PartialOperands &set : rule.partial)
      for (ReductionKind kind : set.kinds)
        for (int count : {2, 3}) {
          ++sets;
          EXPECT_EQ(checkPartial(c, set, kind, count, random), "")
              << c.name << " " << rule.text() << " " << nameOf(kind).str();
        }
  }
  EXPECT_GT(sets, 150);
}

/// Operands of which no rule says that they may be partial are not linear: nothing is left out.
TEST_F(ShardingRuleTest, LinearOperandsAreAllNamed) {
  // Linear, but not worth a rule: they are parameters or statistics, never sums over ranks.
  const std::set<std::pair<std::string, unsigned>> known = {
      {"layer_norm_grad", 2}, // dx in the weight, while dweight and dbias stay whole
  };
  for (const Case &c : cases)
    for (unsigned operand = 0; operand < c.operands.size(); ++operand) {
      PartialOperands set{{operand}, {}, {ReductionKind::Sum}};
      for (unsigned result = 0; result < c.expected.size(); ++result)
        set.results.push_back(result);
      Type element = c.operands[operand].getType().getElementType();
      bool adds = llvm::all_of(c.expected, [](const HostTensor &tensor) {
        return tensor.getType().getElementType().isF64();
      });
      if (!element.isF64() || !adds || ruleOf(c).findPartial(operand, ReductionKind::Sum) ||
          known.contains({c.name, operand}) || c.expected[0].getType().getNumElements() == 0)
        continue;
      EXPECT_NE(checkPartial(c, set, ReductionKind::Sum, 2, random), "")
          << c.name << " is linear in operand " << operand;
    }
}

//===----------------------------------------------------------------------===//
// Wrong rules
//===----------------------------------------------------------------------===//

/// A reduction that the rule forgets is found: the ranks' results differ.
TEST_F(ShardingRuleTest, FindsForgottenReductions) {
  int count = 0;
  for (const Case &c : cases) {
    ShardingRule rule = ruleOf(c);
    for (unsigned f = 0; f < rule.factors.size(); ++f) {
      SmallVector<int64_t> sizes = divisors(rule.factors[f]);
      bool holdsParts = llvm::any_of(llvm::seq<unsigned>(0, c.expected.size()), [&](unsigned r) {
        return rule.partialKind(r, f).has_value();
      });
      if (sizes.empty() || !holdsParts)
        continue;
      ShardingRule wrong = rule;
      wrong.factors[f].leaves.reset();
      PerFactor parts(rule.factors.size(), 1);
      parts[f] = sizes.back();
      EXPECT_NE(checkSplit(c, wrong, parts), "") << c.name << " " << rule.text();
      ++count;
    }
  }
  EXPECT_GT(count, 20);
}

/// A factor that must be whole is found when a rule lets it be split.
TEST_F(ShardingRuleTest, FindsFactorsThatMustNotBeSplit) {
  for (auto [name, operand, dim] : {std::tuple("softmax", 0, 1),
                                    {"softmax_grad", 0, 2},
                                    {"convolution", 0, 3},
                                    {"convolution_input_grad", 0, 2},
                                    {"convolution_weight_grad", 1, 3},
                                    {"layer_norm_all", 0, 1},
                                    {"attention", 0, 3},
                                    {"gather", 0, 1},
                                    {"slice", 0, 2},
                                    {"pad", 0, 1},
                                    {"concat", 1, 1},
                                    {"reshape_mixes", 0, 2}}) {
    const Case &c = caseNamed(name);
    ShardingRule wrong = ruleOf(c);
    unsigned f = wrong.operands[operand][dim].back();
    ASSERT_EQ(wrong.factors[f].kind, FactorKind::Replicate) << name;
    PerFactor parts(wrong.factors.size(), 1);
    parts[f] = 2;
    EXPECT_NE(checkSplit(c, wrong, parts), "") << name;
  }
}

/// An op that forgets where its part lies, as the default partition would, is found.
TEST_F(ShardingRuleTest, FindsMissingOffsets) {
  struct Clones : SimulatedRanks {
    using SimulatedRanks::SimulatedRanks;
    Value partIndex(unsigned) override {
      // Every rank takes itself for the first.
      auto type = RankedTensorType::get({}, builder().getI64Type());
      return ConstantOp::create(builder(), location(),
                                DenseElementsAttr::get(type, builder().getI64IntegerAttr(0)));
    }
  };
  for (StringRef name : {"dropout", "iota", "attention_grouped", "attention_grad_grouped",
                         "attention_one_group_dropout", "attention_ring", "attention_ring_dropout",
                         "attention_grad_ring", "attention_grad_ring_dropout", "embedding",
                         "embedding_grad", "cross_entropy", "cross_entropy_grad"}) {
    const Case &c = caseNamed(name);
    ShardingRule rule = ruleOf(c);
    int special = 0;
    for (unsigned f = 0; f < rule.factors.size(); ++f) {
      SmallVector<int64_t> sizes = divisors(rule.factors[f]);
      if (rule.factors[f].kind != FactorKind::Special || sizes.empty())
        continue;
      ++special;
      PerFactor parts(rule.factors.size(), 1);
      parts[f] = sizes.back();
      Clones ranks(c.op, rule, parts);
      FailureOr<SmallVector<HostTensor>> found = ranks.run(c.operands);
      bool differs = failed(found);
      for (size_t i = 0; succeeded(found) && i < found->size(); ++i)
        differs |= !difference((*found)[i], c.expected[i], 1e-12).empty();
      EXPECT_TRUE(differs) << name.str() << " " << ShardingRule::nameOf(f);
    }
    EXPECT_GT(special, 0) << name.str();
  }
}

//===----------------------------------------------------------------------===//
// Single ops
//===----------------------------------------------------------------------===//

TEST_F(ShardingRuleTest, CrossEntropyReducesRowsOnly) {
  const Case &c = caseNamed("cross_entropy");
  SimulatedRanks ranks(c.op, ruleOf(c), {1, 4});
  ASSERT_TRUE(succeeded(ranks.run(c.operands)));
  EXPECT_EQ(ranks.reduced, (SmallVector<int64_t>{6, 6, 6}));
}

TEST_F(ShardingRuleTest, OpsWithoutOffsetsStayAsTheyAre) {
  // Bits of unsplit programs do not depend on this file: nothing is added where nothing is split.
  for (const Case &c : cases) {
    SimulatedRanks ranks(c.op, ruleOf(c), PerFactor(ruleOf(c).factors.size(), 1));
    ASSERT_TRUE(succeeded(ranks.run(c.operands))) << c.name << ": " << ranks.why;
    Block *body = ranks.builder().getInsertionBlock();
    EXPECT_EQ(body->getOperations().size(), 2U) << c.name;
    EXPECT_EQ(body->front().getAttrDictionary(), c.op->getAttrDictionary()) << c.name;
  }
}

TEST_F(ShardingRuleTest, Text) {
  EXPECT_EQ(textOf("%a: tensor<2x8x4xf32>, %b: tensor<2x4x16xf32>",
                   "%r = graph.matmul %a, %b batch [0] x [0] contract [2] x [1] "
                   ": tensor<2x8x4xf32>, tensor<2x4x16xf32>"),
            "([i, j, l],[i, l, k])->([i, j, k]) {i=2, j=8, k=16, l=4} reduction={l:sum} "
            "partial={0->0, 1->0}");
  EXPECT_EQ(textOf("%a: tensor<6x1x4xf32>",
                   "%r = graph.reshape %a : tensor<6x1x4xf32> to tensor<3x8xf32>"),
            "([ij, 1, k])->([i, jk]) {i=3, j=2, k=4} partial={sum|max|min 0->0}");
  EXPECT_EQ(
      textOf("%a: tensor<3x2xf32>", "%r = graph.reshape %a : tensor<3x2xf32> to tensor<2x3xf32>"),
      "([i, l])->([j, k]) {i=3, j=2, k=3, l=2} replicate={i, j, k, l} "
      "partial={sum|max|min 0->0}");
  EXPECT_EQ(textOf("%a: tensor<4x1xf32>, %b: tensor<6xf32>",
                   "%r = graph.maximum %a, %b : tensor<4x1xf32>, tensor<6xf32>"),
            "([i, 1],[j])->([i, j]) {i=4, j=6} partial={max 0->0, max 1->0, max 0&1->0}");
  EXPECT_EQ(textOf("%q: tensor<2x8x3x4xf32>, %k: tensor<2x2x5x4xf32>",
                   "%o, %l = graph.attention %q, %k, %k scale 1.0 "
                   ": tensor<2x8x3x4xf32>, tensor<2x2x5x4xf32>, tensor<2x2x5x4xf32>"),
            "([i, jk, l, n],[i, j, m, n],[i, j, m, o])->([i, jk, l, o],[i, jk, l]) "
            "{i=2, j=2, k=4, l=3, m=5, n=4, o=4} replicate={k, l, m, n} partial={2->0} "
            // 2 x 8 x 3 x 5 pairs, each a product over 4 features and 5 for the softmax.
            "instead={m->j, l->j} repeated={o:3120}");
  EXPECT_EQ(textOf("%q: tensor<2x8x6x4xf32>, %k: tensor<2x2x6x4xf32>",
                   "%o, %l = graph.attention %q, %k, %k scale 1.0 causal "
                   ": tensor<2x8x6x4xf32>, tensor<2x2x6x4xf32>, tensor<2x2x6x4xf32>"),
            "([i, jk, l, m],[i, j, l, m],[i, j, l, n])->([i, jk, l, n],[i, jk, l]) "
            "{i=2, j=2, k=4, l=6, m=4, n=4} special={l} replicate={k, m} partial={2->0} "
            // Of 6 x 6 pairs causal ones are 21.
            "ring={l:1&2 causal} instead={l->j} repeated={n:4368}");
  EXPECT_EQ(textOf("%q: tensor<2x4x6x4xf32>, %l: tensor<2x4x6xf32>",
                   "%a, %b, %c = graph.attention_grad %q, %q, %q, %q, %q, %l scale 1.0 : "
                   "tensor<2x4x6x4xf32>, tensor<2x4x6x4xf32>, tensor<2x4x6x4xf32>, "
                   "tensor<2x4x6x4xf32>, tensor<2x4x6x4xf32>, tensor<2x4x6xf32>"),
            "([i, j, k, m],[i, j, k, l],[i, j, k, l],[i, j, k, m],[i, j, k, m],[i, j, k])->"
            "([i, j, k, l],[i, j, k, l],[i, j, k, m]) {i=2, j=4, k=6, l=4, m=4} "
            "reduction={m:sum} special={k} replicate={l} partial={0->0&1&2} "
            // Three products over 4 features, and 5.
            "ring={k:2&3->1&2} instead={k->j} repeated={m:8352}");
  EXPECT_EQ(textOf("%x: tensor<2x8x5x7xf32>, %w: tensor<6x4x3x1xf32>",
                   "%y = graph.convolution %x, %w strides [1, 1] low [1, 0] high [1, 0] "
                   "dilations [1, 1] groups 2 : tensor<2x8x5x7xf32>, tensor<6x4x3x1xf32>"),
            "([i, jl, m, n],[jk, l, o, 1])->([i, jk, p, q]) {i=2, j=2, k=3, l=4, m=5, n=7, o=3, "
            "p=5, q=7} reduction={l:sum} replicate={m, n, o, p, q} partial={0->0, 1->0}");
  EXPECT_EQ(textOf("%x: tensor<6x12xf32>, %t: tensor<6xi64>",
                   "%a, %b, %c = graph.cross_entropy %x, %t ignore_index -1 "
                   ": tensor<6x12xf32>, tensor<6xi64>"),
            "([i, j],[i])->([],[],[i]) {i=6, j=12} reduction={i:sum} special={j} inner={j:3x2}");
  EXPECT_EQ(textOf("%x: tensor<2x3x12xf32>, %t: tensor<2x3xi64>",
                   "%a, %b, %c = graph.cross_entropy %x, %t ignore_index -1 "
                   ": tensor<2x3x12xf32>, tensor<2x3xi64>"),
            "([i, j, k],[i, j])->([],[],[i, j]) {i=2, j=3, k=12} reduction={i:sum, j:sum} "
            "special={k} inner={k:3x2}");
  EXPECT_EQ(ShardingRule::nameOf(17), "z");
  EXPECT_EQ(ShardingRule::nameOf(18), "i1");
}

/// Each constraint of `verifyRule` with a rule that breaks it.
TEST_F(ShardingRuleTest, VerifierNamesWhatIsWrong) {
  Operation *op = parseOp("%a: tensor<6x6xf32>, %b: tensor<6x8xf32>",
                          "%r = graph.matmul %a, %b batch [] x [] contract [1] x [0] "
                          ": tensor<6x6xf32>, tensor<6x8xf32>");
  const ShardingRule right = cast<ShardingRuleOpInterface>(op).getShardingRule();
  auto expectError = [&](StringRef expected, llvm::function_ref<void(ShardingRule &)> change) {
    ShardingRule wrong = right;
    change(wrong);
    std::string message;
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
      message = diagnostic.str();
      return success();
    });
    EXPECT_TRUE(failed(verifyRule(op, wrong))) << expected.str();
    EXPECT_NE(message.find(expected.str()), std::string::npos) << message;
  };
  // Factors of the matmul: 0 rows, 1 columns, 2 contracted.
  expectError("maps 1 operands of 2", [](ShardingRule &rule) { rule.operands.pop_back(); });
  expectError("operand 1 has rank 2, its map 1",
              [](ShardingRule &rule) { rule.operands[1].pop_back(); });
  expectError("names factor 7 of 3", [](ShardingRule &rule) { rule.operands[0][0] = {7}; });
  expectError("dimension 1 of operand 0 is 6, its factors multiply to 5",
              [](ShardingRule &rule) { rule.factors[2].size = 5; });
  expectError("operand 0 has factor k twice",
              [](ShardingRule &rule) { rule.operands[0][0] = {2}; });
  expectError("factor l occurs nowhere", [](ShardingRule &rule) {
    rule.factors.push_back({2, FactorKind::PassThrough, std::nullopt});
  });
  expectError("factor l has size 1", [](ShardingRule &rule) {
    rule.factors.push_back({1, FactorKind::PassThrough, std::nullopt});
    rule.operands[0][0].push_back(3);
  });
  expectError("reduction factor k must be in an operand, missing in a result, and leave something",
              [](ShardingRule &rule) { rule.factors[2].leaves.reset(); });
  expectError("reduction factor i must be", [](ShardingRule &rule) {
    rule.factors[0] = {6, FactorKind::Reduction, ReductionKind::Sum};
  });
  expectError("factor k passes through", [](ShardingRule &rule) {
    rule.factors[2] = {6, FactorKind::PassThrough, std::nullopt};
  });
  expectError("factor k is never split and leaves nothing", [](ShardingRule &rule) {
    rule.factors[2] = {6, FactorKind::Replicate, ReductionKind::Sum};
  });
  expectError("partial entry 0 must name",
              [](ShardingRule &rule) { rule.partial[0].operands = {1, 0}; });
  expectError("partial entry 0 must name",
              [](ShardingRule &rule) { rule.partial[0].results = {1}; });
  expectError("partial entry 1 repeats",
              [](ShardingRule &rule) { rule.partial[1] = rule.partial[0]; });
  auto special = [](ShardingRule &rule, Ring ring) {
    rule.factors[1] = {8, FactorKind::Special, std::nullopt};
    rule.rings.push_back(std::move(ring));
  };
  expectError("ring 0 must name a special factor",
              [](ShardingRule &rule) { rule.rings.push_back({1, {1}, {0}}); });
  expectError("ring 1 must name a special factor that no other ring has", [&](ShardingRule &rule) {
    special(rule, {1, {1}, {0}});
    special(rule, {1, {1}, {}});
  });
  expectError("ring 0 must pass ascending operands and results that have factor j",
              [&](ShardingRule &rule) { special(rule, {1, {0}, {}}); });
  expectError("ring 0 must pass", [&](ShardingRule &rule) { special(rule, {1, {}, {0}}); });
  expectError("ring 0 must pass", [&](ShardingRule &rule) { special(rule, {1, {1}, {1}}); });
  expectError("instead entry 0 must name two factors",
              [](ShardingRule &rule) { rule.instead.push_back({1, 1}); });
  expectError("instead entry 0 must name two factors, the second of which may be split",
              [](ShardingRule &rule) {
                rule.factors[0] = {6, FactorKind::Replicate, std::nullopt};
                rule.instead.push_back({1, 0});
              });
  expectError("repeated part 0 must name a factor that may be split", [](ShardingRule &rule) {
    rule.factors[0] = {6, FactorKind::Replicate, std::nullopt};
    rule.repeated.push_back({0, 1});
  });
  expectError("repeated part 1 must name a factor that may be split and has no other",
              [](ShardingRule &rule) { rule.repeated = {{1, 1}, {1, 2}}; });
  expectError("repeated part 0 must name", [](ShardingRule &rule) { rule.repeated = {{1, -1}}; });
}

} // namespace
