//===- LayoutRemarks.cpp - why a value has its layout, and what is moved for it ---------------===//

#include "passes/sharding/LayoutRemarks.h"

#include "dialects/sharding/Reshard.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace deepshard {

using sharding::AxisRefAttr;
using sharding::LayoutAttr;

std::string textOf(LayoutAttr layout) {
  std::string text = "[";
  for (auto [index, axes] : llvm::enumerate(layout.getDims()))
    text += (index ? ", " : "") + sharding::textOf(axes.getAxes());
  text += "]";
  if (layout.isPartial())
    text += ", partial = " + sharding::stringifyReduction(layout.getPartial().getKind()).str() +
            " " + sharding::textOf(layout.getPartialAxes());
  return text;
}

static StringRef nameOf(sharding::StepKind kind) {
  switch (kind) {
  case sharding::StepKind::LocalSlice:
    return "local_slice";
  case sharding::StepKind::ReduceScatter:
    return "reduce_scatter";
  case sharding::StepKind::AllReduce:
    return "all_reduce";
  case sharding::StepKind::Permute:
    return "permute";
  case sharding::StepKind::AllToAll:
    return "all_to_all";
  case sharding::StepKind::AllGather:
    return "all_gather";
  }
  return "";
}

static Axes axesOf(LayoutAttr layout) {
  Axes axes;
  for (sharding::AxisListAttr dim : layout.getDims())
    llvm::append_range(axes, dim.getAxes());
  llvm::append_range(axes, layout.getPartialAxes());
  return axes;
}

void LayoutRemarks::begin(Value value, LayoutAttr layout, StringRef source) {
  if (!isOn)
    return;
  for (AxisRefAttr axis : axesOf(layout))
    sources[value].push_back({axis, source.str()});
}

std::string LayoutRemarks::sourceOf(Operation *op, AxisRefAttr axis, ArrayRef<Axes> factors,
                                    ArrayRef<unsigned> givers) const {
  auto find = [&](Value operand) -> std::string {
    auto it = sources.find(operand);
    if (it != sources.end())
      for (const auto &[known, source] : it->second)
        if (overlap(known, axis))
          return source;
    return "";
  };
  for (auto [axes, giver] : llvm::zip(factors, givers))
    if (overlap(axes, axis))
      return giver == op->getNumOperands() ? "what reads it" : find(op->getOperand(giver));
  // Not of a factor: summands that pass through.
  for (Value operand : op->getOperands())
    if (std::string source = find(operand); !source.empty())
      return source;
  return "";
}

void LayoutRemarks::chosen(Operation *op, ArrayRef<Axes> factors, ArrayRef<unsigned> givers,
                           ArrayRef<LayoutAttr> results) {
  if (!isOn)
    return;
  for (auto [result, layout] : llvm::zip_equal(op->getResults(), results)) {
    std::string from;
    for (AxisRefAttr axis : axesOf(layout)) {
      const bool isSearched = givers.empty() && overlap(axis, searched);
      std::string source = isSearched ? "the search" : sourceOf(op, axis, factors, givers);
      if (source.empty())
        source = "what reads it";
      sources[result].push_back({axis, source});
      from += (from.empty() ? "" : ", ") + sharding::textOf(axis) + " from " + source;
    }
    if (from.empty())
      continue;
    std::string name = op->getName().stripDialect().str();
    if (op->getNumResults() > 1)
      name += " result " + std::to_string(result.getResultNumber());
    remark::passed(op->getLoc(), remark::RemarkOpts::name(name).category("layout"))
        << name + ": " + textOf(layout) + ", " + from;
  }
}

void LayoutRemarks::moved(const Move &move, Location reader, StringRef readerName) {
  const auto &[value, from, to] = move;
  if (!isOn || !said.insert({value, to}).second)
    return;
  auto type = cast<RankedTensorType>(value.getType());
  sharding::Steps steps = sharding::reshardSteps(from, to, grid, type.getShape());
  std::string how;
  int64_t elements = 0;
  for (const sharding::Step &step : steps) {
    how += (how.empty() ? "" : ", ") + nameOf(step.kind).str() + " " + sharding::textOf(step.axes);
    elements += step.receivedElements(grid);
  }
  if (elements == 0) // slices are free
    return;
  double kibibytes = static_cast<double>(elements) * type.getElementTypeBitWidth() / 8 / 1024;
  remark::missed(reader, remark::RemarkOpts::name(readerName).category("reshard"))
      << llvm::formatv("{0}: {1} goes from {2} to {3}: {4}; a rank receives {5:F1} KiB", readerName,
                       type, textOf(from), textOf(to), how, kibibytes)
             .str();
}

void LayoutRemarks::goesRound(Operation *op, const graph::ShardingRule &rule,
                              ArrayRef<Axes> factors) {
  auto parts = llvm::map_to_vector(factors, [&](const Axes &axes) { return grid.sizeOf(axes); });
  int64_t bytes = isOn ? rule.bytesRound(op, parts) : 0;
  if (bytes == 0)
    return;
  std::string axes;
  for (const graph::Ring &ring : rule.rings)
    if (parts[ring.factor] > 1)
      axes += (axes.empty() ? "" : ", ") + sharding::textOf(factors[ring.factor]);
  StringRef name = op->getName().stripDialect();
  remark::missed(op->getLoc(), remark::RemarkOpts::name(name).category("reshard"))
      << llvm::formatv("{0}: blocks go round {1}; a rank receives {2:F1} KiB", name, axes,
                       static_cast<double>(bytes) / 1024)
             .str();
}

} // namespace deepshard
