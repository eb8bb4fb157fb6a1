//===- WhyNot.cpp - what other layouts would cost ---------------------------------------------===//

#include "passes/planner/WhyNot.h"

#include "passes/planner/CostWords.h"
#include "passes/planner/FeatureDimensions.h"
#include "passes/sharding/LayoutRemarks.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/GlobPattern.h"
#include "llvm/Support/JSON.h"

using namespace mlir;

namespace deepshard {

using sharding::AxisRefAttr;
using sharding::LayoutAttr;
using Parameter = LayoutNetwork::Parameter;

static StringRef nameOf(BlockArgument argument) {
  auto function = cast<func::FuncOp>(argument.getOwner()->getParentOp());
  return function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), graph::kParameterAttr)
      .getValue();
}

namespace {

//===------------------------------------------------------------------------------------------===//
// Questions
//===------------------------------------------------------------------------------------------===//

/// In Megatron's terms.
enum class Split { Column, Row, Whole };

/// A question as it was asked: by dimensions, or in Megatron's terms over one axis.
struct Question {
  std::string pattern;
  SmallVector<SmallVector<std::string>> dims;
  std::optional<Split> split;
  std::string axis; // of `split`; empty: it was not said
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

std::optional<Split> readSplit(StringRef text) {
  if (text == "column")
    return Split::Column;
  if (text == "row")
    return Split::Row;
  if (text == "whole")
    return Split::Whole;
  return std::nullopt;
}

bool isAxis(StringRef name, ArrayRef<AxisRefAttr> axes) {
  return llvm::any_of(axes,
                      [&](AxisRefAttr axis) { return axis.isWhole() && axis.getName() == name; });
}

std::optional<Question> parseQuestion(StringRef text, ArrayRef<AxisRefAttr> searched) {
  auto [pattern, layout] = text.split('=');
  if (pattern.empty())
    return std::nullopt;
  Question question{pattern.str(), {}, readSplit(layout), ""};
  if (question.split) {
    auto [axis, module] = pattern.split('.');
    if (!module.empty() && isAxis(axis, searched)) {
      question.axis = axis;
      question.pattern = module;
    } else if (searched.size() == 1) {
      question.axis = searched.front().getName().str();
    }
    return question;
  }
  llvm::Expected<llvm::json::Value> value = llvm::json::parse(layout);
  if (!value) {
    llvm::consumeError(value.takeError());
    return std::nullopt;
  }
  const llvm::json::Array *list = value->getAsArray();
  if (!list)
    return std::nullopt;
  for (const llvm::json::Value &item : *list) {
    std::optional<SmallVector<std::string>> axes = readAxes(item);
    if (!axes)
      return std::nullopt;
    question.dims.push_back(*axes);
  }
  return question;
}

/// An axis of the question that is not searched; empty: there is none.
std::string unknownAxis(const Question &question, ArrayRef<AxisRefAttr> searched) {
  for (ArrayRef<std::string> axes : question.dims)
    for (const std::string &name : axes)
      if (!isAxis(name, searched))
        return name;
  return "";
}

/// Which parameters are asked about. Patterns are those of pins: only `*` and `?` are special.
class Names {
public:
  explicit Names(const Question &question) {
    std::string escaped;
    for (char letter : question.pattern) {
      if (StringRef("[]{}\\").contains(letter))
        escaped += '\\';
      escaped += letter;
    }
    patterns = {escaped};
    if (question.split)
      patterns.append({escaped + ".*", "*." + escaped, "*." + escaped + ".*"});
  }

  /// By any of its names.
  bool match(BlockArgument parameter) const {
    auto function = cast<func::FuncOp>(parameter.getOwner()->getParentOp());
    auto aliases =
        function.getArgAttrOfType<ArrayAttr>(parameter.getArgNumber(), graph::kAliasesAttr);
    return match(nameOf(parameter)) ||
           (aliases && llvm::any_of(aliases.getAsValueRange<StringAttr>(),
                                    [&](StringRef alias) { return match(alias); }));
  }

private:
  bool match(StringRef name) const {
    return llvm::any_of(patterns, [&](const std::string &pattern) {
      return cantFail(llvm::GlobPattern::create(pattern)).match(name);
    });
  }

  SmallVector<std::string, 4> patterns;
};

//===------------------------------------------------------------------------------------------===//
// Layouts that are asked for
//===------------------------------------------------------------------------------------------===//

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

bool isSplitBy(ArrayRef<AxisRefAttr> axes, ArrayRef<std::string> names) {
  return llvm::equal(axes, names, [](AxisRefAttr axis, const std::string &name) {
    return axis.isWhole() && axis.getName() == name;
  });
}

bool matches(LayoutAttr layout, const Question &question, ArrayRef<unsigned> carriers) {
  for (unsigned dim = 0; dim < layout.getDims().size(); ++dim) {
    const auto *at = llvm::find(carriers, dim);
    ArrayRef<std::string> wanted;
    if (at != carriers.end())
      wanted = question.dims[at - carriers.begin()];
    if (!isSplitBy(layout.getAxes(dim), wanted))
      return false;
  }
  return true;
}

/// The choices of a parameter that are asked for; none: it cannot lie like that. Nothing: the
/// question says nothing about it.
std::optional<SmallVector<unsigned>> askedChoices(const Parameter &parameter,
                                                  const Question &question) {
  const SmallVector<unsigned> carriers = carriersOf(parameter.argument);
  SmallVector<unsigned> choices;
  auto add = [&](llvm::function_ref<bool(LayoutAttr)> isAsked) {
    for (auto [choice, layout] : llvm::enumerate(parameter.layouts))
      if (isAsked(layout))
        choices.push_back(choice);
  };
  if (!question.split) {
    if (carriers.size() == question.dims.size())
      add([&](LayoutAttr layout) { return matches(layout, question, carriers); });
    return choices;
  }
  auto isSplit = [&](LayoutAttr layout, unsigned dim) {
    return isAxis(question.axis, layout.getAxes(dim));
  };
  if (question.split == Split::Whole) {
    add([&](LayoutAttr layout) { return !isAxis(question.axis, layout.getSplitAxes()); });
    return choices;
  }
  const FeatureDimensions features = featureDimensions(parameter.argument);
  ArrayRef<unsigned> dims = question.split == Split::Row ? features.input : features.output;
  auto wanted = llvm::make_filter_range(
      dims, [&](unsigned dim) { return llvm::is_contained(carriers, dim); });
  if (wanted.empty())
    return std::nullopt;
  for (unsigned dim : wanted)
    if (choices.empty()) // of a convolution the channels, if they divide
      add([&](LayoutAttr layout) { return isSplit(layout, dim); });
  return choices;
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

} // namespace

//===------------------------------------------------------------------------------------------===//
// Answers
//===------------------------------------------------------------------------------------------===//

/// Pins what is asked for, and says which variables these are.
static LogicalResult pin(func::FuncOp function, const LayoutNetwork &layouts,
                         const Question &question, StringRef text, CostNetwork &pinned,
                         llvm::DenseSet<unsigned> &asked) {
  const Names names(question);
  bool isKnown = false;
  for (const Parameter &parameter : layouts.parameters()) {
    if (!names.match(parameter.argument))
      continue;
    isKnown = true;
    std::optional<SmallVector<unsigned>> choices = askedChoices(parameter, question);
    if (!choices)
      continue;
    if (choices->empty())
      return function.emitError("why not ")
             << text << ": " << nameOf(parameter.argument)
             << (sharding::layoutOf(parameter.argument)
                     ? " is pinned to "
                     : " cannot have this layout with the size that it has; those it can have are ")
             << layoutList(parameter);
    std::vector<Cost> costs(parameter.layouts.size(), kForbidden);
    for (unsigned choice : *choices)
      costs[choice] = Cost();
    pinned.add(parameter.variable, std::move(costs));
    asked.insert(parameter.variable);
  }
  if (asked.empty())
    return function.emitError("why not ")
           << text
           << (isKnown ? ": no parameter of that name is a weight with such features"
                       : ": no parameter has such a name")
           << (isKnown ? "" : "; axes that are searched are ")
           << (isKnown ? "" : sharding::textOf(layouts.searched()));
  return success();
}

LogicalResult answerWhyNot(func::FuncOp function, const LayoutNetwork &layouts,
                           const CostNetwork::Solution &best, StringRef text) {
  std::optional<Question> question = parseQuestion(text, layouts.searched());
  if (!question)
    return function.emitError("cannot read the question \"")
           << text
           << "\"; ask as in PATTERN=[[], \"tensor\"], with one entry per dimension, or "
              "AXIS.MODULE=row (or column, or whole)";
  if (layouts.searched().empty())
    return function.emitError("why not ") << text << ": no mesh axis is free to split parameters";
  if (question->split && question->axis.empty())
    return function.emitError("why not ")
           << text << ": say over which axis, as in " << layouts.searched().front().getName() << "."
           << text << "; searched are " << sharding::textOf(layouts.searched());
  if (std::string name = unknownAxis(*question, layouts.searched()); !name.empty())
    return function.emitError("why not ")
           << text << ": \"" << name << "\" is no axis that is searched; these are "
           << sharding::textOf(layouts.searched());
  CostNetwork pinned = layouts.costs();
  llvm::DenseSet<unsigned> asked;
  if (failed(pin(function, layouts, *question, text, pinned, asked)))
    return failure();
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
