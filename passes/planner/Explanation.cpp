//===- Explanation.cpp - why layouts were chosen, and why others were not ---------------------===//

#include "passes/planner/Explanation.h"

#include "passes/planner/Fold.h"
#include "passes/sharding/LayoutRemarks.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/GlobPattern.h"
#include "llvm/Support/JSON.h"

using namespace mlir;

namespace deepshard {

using sharding::LayoutAttr;
using Parameter = LayoutNetwork::Parameter;

static StringRef nameOf(BlockArgument argument) {
  auto function = cast<func::FuncOp>(argument.getOwner()->getParentOp());
  return function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), graph::kParameterAttr)
      .getValue();
}

static std::string timeText(int64_t picoseconds) {
  const double microseconds = static_cast<double>(picoseconds) * 1e-6;
  if (microseconds >= 1e4)
    return llvm::formatv("{0:F2} ms", microseconds * 1e-3);
  return llvm::formatv("{0:F2} us", microseconds);
}

static std::string bytesText(int64_t bytes) {
  const double kibibytes = static_cast<double>(bytes) / 1024;
  if (kibibytes >= 1024)
    return llvm::formatv("{0:F2} MiB", kibibytes / 1024);
  return llvm::formatv("{0:F2} KiB", kibibytes);
}

/// Also without what would be a share of nothing.
static std::string withPercent(const std::string &text, int64_t part, int64_t whole) {
  if (whole == 0)
    return text;
  return llvm::formatv("{0} ({1:F2} %)", text,
                       100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

namespace {

/// Says what is compared in the words of the objective: the time of a micro-batch, or the bytes
/// that a rank receives in a step and that time.
class CostWords {
public:
  explicit CostWords(Objective objective) : countsBytes(objective == Objective::Traffic) {}

  std::string summary(Cost cost) const {
    const std::string time = "a micro-batch takes " + timeText(cost.time);
    return countsBytes ? "a rank receives " + bytesText(cost.traffic) + " a step and " + time
                       : time;
  }
  std::string parts(const LayoutNetwork::Breakdown &parts) const {
    return "computing " + timeText(parts.compute.time) + ", updates " + text(parts.update) +
           ", moves between layouts " + text(parts.moves);
  }
  /// Of `other` beside `best`: "4.10 us (0.77 %) more".
  std::string more(Cost other, Cost best) const {
    const Cost more = other - best;
    if (!countsBytes)
      return withPercent(timeText(more.time), more.time, best.time) + " more";
    if (more.traffic > 0)
      return withPercent(bytesText(more.traffic), more.traffic, best.traffic) + " a step more";
    return withPercent(timeText(more.time), more.time, best.time) + " more for the same bytes";
  }
  /// What has or takes that.
  const char *subject(Cost other, Cost best) const {
    return countsBytes && other.traffic > best.traffic ? "a rank would receive "
                                                       : "a micro-batch would take ";
  }

private:
  std::string text(Cost cost) const {
    return countsBytes ? bytesText(cost.traffic) + " and " + timeText(cost.time)
                       : timeText(cost.time);
  }

  bool countsBytes;
};

} // namespace

//===------------------------------------------------------------------------------------------===//
// Why
//===------------------------------------------------------------------------------------------===//

/// How many blocks are equal to the one that reads a parameter; 0: it is of a later one of them.
static llvm::DenseMap<Value, size_t> equalBlocks(func::FuncOp function) {
  llvm::DenseMap<Value, size_t> result;
  Fold fold(function);
  for (const Run &run : fold.runs)
    for (size_t i = 0; i < run.length * run.count; ++i)
      for (Operation *op : fold.segments[run.first + i].ops)
        for (Value operand : op->getOperands())
          if (isa<BlockArgument>(operand))
            result.try_emplace(operand, i < run.length ? run.count : 0);
  return result;
}

static void explainAttention(const LayoutNetwork::Attention &attention,
                             const LayoutNetwork &layouts, const CostNetwork::Solution &best) {
  std::optional<CostTable> table = layouts.costs().project({&attention.variable, 1});
  if (!table)
    return;
  const bool isRing = best.choices[attention.variable] >= attention.rings;
  const auto middle = table->costs.begin() + static_cast<std::ptrdiff_t>(attention.rings);
  const Cost other = isRing ? *std::min_element(table->costs.begin(), middle)
                            : *std::min_element(middle, table->costs.end());
  std::string text = attention.op->getName().stripDialect().str();
  text += isRing ? ": keys and values go round; to split heads instead"
                 : ": heads are split; to hand keys and values round instead";
  text += other >= kForbidden ? " is impossible"
                              : " takes " + CostWords(layouts.objective()).more(other, best.cost);
  remark::passed(attention.op->getLoc(),
                 remark::RemarkOpts::name("choose-layouts").category("search"))
      << text;
}

void explainLayouts(func::FuncOp function, const LayoutNetwork &layouts,
                    const CostNetwork::Solution &best) {
  auto options = remark::RemarkOpts::name("choose-layouts").category("search");
  const CostWords words(layouts.objective());
  {
    auto summary = remark::passed(function.getLoc(), options);
    if (!summary) // nobody listens: the rest is work
      return;
    summary << words.summary(best.cost) + ": " + words.parts(layouts.breakdown(best)) +
                   "; the least of all layouts by this model";
  }
  for (const LayoutNetwork::Attention &attention : layouts.attentions())
    explainAttention(attention, layouts, best);
  llvm::DenseMap<Value, size_t> blocks = equalBlocks(function);
  for (const Parameter &parameter : layouts.parameters()) {
    auto block = blocks.find(parameter.argument);
    if (parameter.layouts.size() == 1 || (block != blocks.end() && block->second == 0))
      continue;
    std::optional<CostTable> table = layouts.costs().project({&parameter.variable, 1});
    if (!table) // the search for the minimum succeeded; this one needs a little more
      continue;
    const unsigned chosen = best.choices[parameter.variable];
    std::optional<size_t> next;
    for (size_t i = 0; i < table->costs.size(); ++i)
      if (i != chosen && (!next || table->costs[i] < table->costs[*next]))
        next = i;
    std::string text = nameOf(parameter.argument).str() + ": " + textOf(parameter.layouts[chosen]) +
                       "; next best " + textOf(parameter.layouts[*next]);
    text += table->costs[*next] >= kForbidden ? " is impossible"
                                              : ", " + words.more(table->costs[*next], best.cost);
    if (block != blocks.end() && block->second > 1)
      text += "; in " + std::to_string(block->second) + " equal blocks";
    remark::passed(parameter.argument.getLoc(), options) << text;
  }
}

//===------------------------------------------------------------------------------------------===//
// Why not
//===------------------------------------------------------------------------------------------===//

namespace {

/// A question as it was asked.
struct Question {
  std::string pattern;
  SmallVector<SmallVector<std::string>> dims;
};

std::optional<SmallVector<std::string>> readAxes(const llvm::json::Value &value) {
  SmallVector<std::string> axes;
  if (value.getAsNull())
    return axes;
  if (std::optional<StringRef> axis = value.getAsString()) {
    axes.push_back(axis->str());
    return axes;
  }
  const llvm::json::Array *list = value.getAsArray();
  if (!list)
    return std::nullopt;
  for (const llvm::json::Value &item : *list) {
    if (!item.getAsString())
      return std::nullopt;
    axes.push_back(item.getAsString()->str());
  }
  return axes;
}

std::optional<Question> parseQuestion(StringRef text) {
  auto [pattern, layout] = text.split('=');
  llvm::Expected<llvm::json::Value> value = llvm::json::parse(layout);
  if (!value) {
    llvm::consumeError(value.takeError());
    return std::nullopt;
  }
  const llvm::json::Array *list = value->getAsArray();
  if (!list || pattern.empty())
    return std::nullopt;
  Question question{pattern.str(), {}};
  for (const llvm::json::Value &item : *list) {
    std::optional<SmallVector<std::string>> axes = readAxes(item);
    if (!axes)
      return std::nullopt;
    question.dims.push_back(*axes);
  }
  return question;
}

/// The dimension of the argument that carries the axes of each dimension of the parameter as the
/// model stores it: the last of those that `graph.cut` made of it.
SmallVector<unsigned> carriersOf(BlockArgument argument) {
  auto function = cast<func::FuncOp>(argument.getOwner()->getParentOp());
  auto cut = function.getArgAttrOfType<graph::CutAttr>(argument.getArgNumber(), graph::kCutAttr);
  SmallVector<unsigned> carriers;
  if (!cut) {
    for (unsigned dim = 0; dim < cast<RankedTensorType>(argument.getType()).getRank(); ++dim)
      carriers.push_back(dim);
    return carriers;
  }
  unsigned dim = 0;
  for (int64_t size : cut.getShape().asArrayRef()) {
    int64_t product = cut.getDims()[dim];
    while (product != size)
      product *= cut.getDims()[++dim];
    carriers.push_back(dim++);
  }
  return carriers;
}

/// The choice of a parameter that is asked about.
std::optional<unsigned> findChoice(const Parameter &parameter, const Question &question) {
  SmallVector<unsigned> carriers = carriersOf(parameter.argument);
  if (carriers.size() != question.dims.size())
    return std::nullopt;
  for (auto [choice, layout] : llvm::enumerate(parameter.layouts)) {
    bool isAsked = true;
    for (unsigned dim = 0; dim < layout.getDims().size(); ++dim) {
      auto at = llvm::find(carriers, dim);
      ArrayRef<std::string> wanted;
      if (at != carriers.end())
        wanted = question.dims[at - carriers.begin()];
      isAsked &= llvm::equal(layout.getAxes(dim), wanted,
                             [](sharding::AxisRefAttr axis, const std::string &name) {
                               return axis.isWhole() && axis.getName() == name;
                             });
    }
    if (isAsked)
      return choice;
  }
  return std::nullopt;
}

/// A layout as one asks about it: by dimensions of the parameter as the model stores it.
std::string askedText(LayoutAttr layout, ArrayRef<unsigned> carriers) {
  std::string text;
  for (unsigned carrier : carriers) {
    std::string axes;
    for (sharding::AxisRefAttr axis : layout.getAxes(carrier))
      axes += (axes.empty() ? "\"" : ", \"") + axis.getName().str() + "\"";
    const bool isOne = layout.getAxes(carrier).size() == 1;
    text += (text.empty() ? "" : ", ") + (isOne ? axes : "[" + axes + "]");
  }
  return "[" + text + "]";
}

std::string layoutList(const Parameter &parameter) {
  SmallVector<unsigned> carriers = carriersOf(parameter.argument);
  SmallVector<std::string> texts;
  for (LayoutAttr layout : parameter.layouts) {
    // The parts of a fused projection are no dimension that one could ask about.
    bool isAskable = llvm::all_of(llvm::enumerate(layout.getDims()), [&](auto dim) {
      return dim.value().empty() || llvm::is_contained(carriers, dim.index());
    });
    if (isAskable)
      texts.push_back(askedText(layout, carriers));
  }
  return llvm::join(texts, "; ");
}

/// An axis of the question that is not searched; empty: there is none.
std::string unknownAxis(const Question &question, ArrayRef<sharding::AxisRefAttr> searched) {
  for (ArrayRef<std::string> axes : question.dims)
    for (const std::string &name : axes)
      if (llvm::none_of(searched, [&](sharding::AxisRefAttr axis) {
            return axis.isWhole() && axis.getName() == name;
          }))
        return name;
  return "";
}

} // namespace

LogicalResult answerWhyNot(func::FuncOp function, const LayoutNetwork &layouts,
                           const CostNetwork::Solution &best, StringRef text) {
  std::optional<Question> question = parseQuestion(text);
  if (!question)
    return function.emitError("cannot read the question \"")
           << text << "\"; ask as in PATTERN=[[], \"tensor\"], with one entry per dimension";
  if (std::string name = unknownAxis(*question, layouts.searched()); !name.empty())
    return function.emitError("why not ")
           << text << ": \"" << name << "\" is no axis that is searched; these are "
           << sharding::textOf(layouts.searched());
  llvm::Expected<llvm::GlobPattern> pattern = llvm::GlobPattern::create(question->pattern);
  if (!pattern) {
    llvm::consumeError(pattern.takeError());
    return function.emitError("cannot read the pattern \"")
           << question->pattern << "\"; `*` stands for any text, `?` for one character";
  }
  CostNetwork pinned = layouts.costs();
  llvm::DenseSet<unsigned> asked;
  for (const Parameter &parameter : layouts.parameters()) {
    if (!pattern->match(nameOf(parameter.argument)))
      continue;
    std::optional<unsigned> choice = findChoice(parameter, *question);
    if (!choice)
      return function.emitError("why not ")
             << text << ": " << nameOf(parameter.argument)
             << (sharding::layoutOf(parameter.argument)
                     ? " is pinned to "
                     : " cannot have this layout; those it can have are ")
             << layoutList(parameter);
    std::vector<Cost> costs(parameter.layouts.size(), kForbidden);
    costs[*choice] = Cost();
    pinned.add(parameter.variable, std::move(costs));
    asked.insert(parameter.variable);
  }
  if (asked.empty())
    return function.emitError("why not ") << text << ": no parameter has such a name";
  std::optional<CostNetwork::Solution> other = pinned.minimize();
  if (!other || other->cost >= kForbidden) {
    function.emitRemark("why not ") << text << ": no layouts of the other values go with it";
    return success();
  }
  const CostWords words(layouts.objective());
  InFlightDiagnostic answer = function.emitRemark("why not ") << text << ": ";
  if (other->cost == best.cost)
    answer << "it costs the same";
  else
    answer << words.subject(other->cost, best.cost) << words.more(other->cost, best.cost);
  answer << ". Chosen: " << words.parts(layouts.breakdown(best))
         << ". With it: " << words.parts(layouts.breakdown(*other));
  for (const Parameter &parameter : layouts.parameters()) {
    const unsigned chosen = best.choices[parameter.variable],
                   then = other->choices[parameter.variable];
    if (chosen != then && !asked.contains(parameter.variable))
      answer.attachNote(parameter.argument.getLoc())
          << nameOf(parameter.argument) << " would be " << textOf(parameter.layouts[then])
          << ", not " << textOf(parameter.layouts[chosen]);
  }
  return success();
}

} // namespace deepshard
