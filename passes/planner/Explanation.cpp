//===- Explanation.cpp - why layouts were chosen ----------------------------------------------===//

#include "passes/planner/Explanation.h"

#include "passes/planner/CostWords.h"
#include "passes/planner/Fold.h"
#include "passes/sharding/LayoutRemarks.h"

using namespace mlir;

namespace deepshard {

using sharding::LayoutAttr;
using Decision = LayoutNetwork::Decision;

namespace {

/// How often the block repeats to which an argument or an op belongs; 0: of equal blocks it is a
/// later one.
class Repetitions {
public:
  explicit Repetitions(func::FuncOp function) {
    Fold fold(function);
    for (const Run &run : fold.runs)
      for (size_t i = 0; i < run.length * run.count; ++i) {
        const size_t count = i < run.length ? run.count : 0;
        for (Operation *op : fold.segments[run.first + i].ops) {
          ofOps[op] = count;
          for (Value operand : op->getOperands())
            if (isa<BlockArgument>(operand))
              ofArguments.try_emplace(operand, count);
        }
      }
  }

  size_t of(const Decision &decision) const {
    if (decision.op) {
      auto it = ofOps.find(decision.op);
      return it == ofOps.end() ? 1 : it->second;
    }
    auto it = ofArguments.find(decision.value);
    return it == ofArguments.end() ? 1 : it->second;
  }

private:
  llvm::DenseMap<Operation *, size_t> ofOps;
  llvm::DenseMap<Value, size_t> ofArguments;
};

std::string nameOf(const Decision &decision) {
  if (decision.op) {
    std::string name = decision.op->getName().stripDialect().str();
    auto result = dyn_cast_or_null<OpResult>(decision.value);
    if (!result)
      return name;
    if (decision.op->getNumResults() > 1)
      name += " result " + std::to_string(result.getResultNumber());
    return name + ", as its readers find it";
  }
  auto argument = cast<BlockArgument>(decision.value);
  auto function = cast<func::FuncOp>(argument.getOwner()->getParentOp());
  return function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), graph::kParameterAttr)
      .str();
}

std::string listOf(ArrayRef<LayoutAttr> layouts) {
  std::string text;
  for (LayoutAttr layout : layouts)
    text += (text.empty() ? "" : ", ") + textOf(layout);
  return text;
}

std::string choiceText(const Decision &decision, size_t choice) {
  if (decision.value)
    return textOf(decision.layouts[choice]);
  const Candidate &candidate = decision.candidates[choice];
  return listOf(candidate.operands) + " -> " + listOf(candidate.results);
}

/// Where it is decided, for the user.
Location placeOf(const Decision &decision) {
  return decision.value ? decision.value.getLoc() : decision.op->getLoc();
}

class Explainer {
public:
  Explainer(const LayoutNetwork &layouts, const CostNetwork::Solution &best)
      : layouts(layouts), best(best), words(layouts.objective()) {}

  void explain(const Decision &decision, size_t repetitions) {
    std::optional<CostTable> table = layouts.costs().project({&decision.variable, 1});
    if (!table) // the search for the minimum succeeded; this one needs a little more
      return;
    const unsigned chosen = best.choices[decision.variable];
    size_t next = chosen == 0 ? 1 : 0;
    for (size_t i = 0; i < table->costs.size(); ++i)
      if (i != chosen && table->costs[i] < table->costs[next])
        next = i;
    std::string text = nameOf(decision) + ": " + choiceText(decision, chosen) + ", " +
                       words.text(layouts.costs().costAt(decision.variable, best.choices)) +
                       " with its moves; next best " + choiceText(decision, next) +
                       beside(table->costs[next]);
    if (repetitions > 1)
      text += "; in " + std::to_string(repetitions) + " equal blocks";
    say(decision, text);
    if (decision.rings > 0)
      explainRing(decision, *table);
  }

private:
  void explainRing(const Decision &attention, const CostTable &table) {
    const bool isRing = best.choices[attention.variable] >= attention.rings;
    const auto middle = table.costs.begin() + static_cast<std::ptrdiff_t>(attention.rings);
    const Cost other = isRing ? *std::min_element(table.costs.begin(), middle)
                              : *std::min_element(middle, table.costs.end());
    say(attention, nameOf(attention) +
                       (isRing ? ": keys and values go round; to split heads instead"
                               : ": heads are split; to hand keys and values round instead") +
                       beside(other));
  }

  std::string beside(Cost other) const {
    if (other >= kForbidden)
      return " is impossible";
    return other == best.cost ? " costs the same" : " takes " + words.more(other, best.cost);
  }

  static void say(const Decision &decision, StringRef text) {
    remark::passed(placeOf(decision), remark::RemarkOpts::name("choose-layouts").category("search"))
        << text;
  }

  const LayoutNetwork &layouts;
  const CostNetwork::Solution &best;
  CostWords words;
};

} // namespace

void explainLayouts(func::FuncOp function, const LayoutNetwork &layouts,
                    const CostNetwork::Solution &best) {
  const CostWords words(layouts.objective());
  {
    auto summary = remark::passed(function.getLoc(),
                                  remark::RemarkOpts::name("choose-layouts").category("search"));
    if (!summary) // nobody listens: the rest is work
      return;
    summary << words.summary(best.cost) + ": " + words.parts(layouts.breakdown(best)) +
                   "; the least of all layouts by this model";
  }
  Explainer explainer(layouts, best);
  const Repetitions repetitions(function);
  for (const Decision &decision : layouts.decisions())
    if (size_t count = repetitions.of(decision))
      explainer.explain(decision, count);
}

} // namespace deepshard
