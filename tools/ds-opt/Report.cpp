//===- Report.cpp - a plan as a page ----------------------------------------------------------===//

#include "tools/ds-opt/Report.h"

#include "dialects/graph/Graph.h"
#include "dialects/sharding/Reshard.h"
#include "passes/planner/Fold.h"
#include "passes/planner/SavedValues.h"
#include "passes/sharding/LayoutRemarks.h"
#include "runtime/plan/Summary.h"
#include "runtime/plan/Traffic.h"
#include "runtime/plan/Types.h"
#include "runtime/plan/plan.pb.h"

#include "mlir/Support/FileUtilities.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/ToolOutputFile.h"
#include "llvm/Support/raw_ostream.h"

#include <map>

using namespace mlir;

namespace deepshard {

static std::string escaped(StringRef text) {
  std::string result;
  llvm::raw_string_ostream stream(result);
  llvm::printHTMLEscaped(text, stream);
  return result;
}

static std::string kibibytes(double bytes) { return llvm::formatv("{0:F1}", bytes / 1024); }

namespace {

/// Bytes that a rank receives over each axis.
using AxisBytes = std::map<std::string, double>;

class BlockTable {
public:
  BlockTable(func::FuncOp function, sharding::MeshOp meshOp) : function(function) {
    if (meshOp) {
      mesh = FlatSymbolRefAttr::get(meshOp.getSymNameAttr());
      grid = meshOp.getAxes();
    }
  }

  std::string text() {
    std::string rows;
    Fold fold(function);
    for (const Run &run : fold.runs)
      rows += row(fold, run);
    return "<table><tr><th>block<th>equal ones<th>parameters: shape, layout, KiB on a rank"
           "<th>hands on<th>forward receives, KiB<th>backward receives, KiB</tr>\n" +
           rows + "</table>\n";
  }

private:
  std::string row(const Fold &fold, const Run &run) {
    auto segments = ArrayRef(fold.segments);
    auto block = [&](size_t number) {
      return segments.slice(run.first + number * run.length, run.length);
    };
    SmallVector<BlockArgument> parameters = parametersOf(block(0));
    AxisBytes forward, backward;
    for (const Segment &segment : block(0))
      for (Operation *op : segment.ops)
        addMoves(op, isBackward(op) ? backward : forward);
    addGradients(parameters, backward);
    // Those of the other blocks are no news.
    AxisBytes others;
    for (size_t number = 1; number < run.count; ++number)
      for (const Segment &segment : block(number))
        for (Operation *op : segment.ops)
          addMoves(op, others);
    std::string name = parameters.empty() ? opsOf(block(0)) : nameOf(parameters);
    if (run.count > 1)
      if (std::string last = nameOf(parametersOf(block(run.count - 1))); !last.empty())
        name += " to " + last;
    if (parameters.empty() && forward.empty() && backward.empty())
      return "";
    return "<tr><td>" + escaped(name) + "<td>" + std::to_string(run.count) + "<td>" +
           textOf(parameters) + "<td>" + textOf(segments[run.first + run.length - 1].end) + "<td>" +
           textOf(forward) + "<td>" + textOf(backward) + "</tr>\n";
  }

  /// What a block without parameters of its own does.
  static std::string opsOf(ArrayRef<Segment> block) {
    std::string text;
    for (const Segment &segment : block)
      for (Operation *op : segment.ops)
        if (!isBackward(op))
          text += (text.empty() ? "" : ", ") + op->getName().stripDialect().str();
    return text;
  }

  /// Of what is returned: gradients go to where their parameters lie.
  void addGradients(ArrayRef<BlockArgument> parameters, AxisBytes &received) {
    for (OpOperand &returned : function.getBody().front().getTerminator()->getOpOperands()) {
      auto name = function.getResultAttrOfType<StringAttr>(returned.getOperandNumber(),
                                                           graph::kGradientAttr);
      if (name && llvm::any_of(parameters, [&](BlockArgument argument) {
            return nameOf(argument) == name.getValue();
          }))
        if (std::optional<Move> move = moveOfResult(returned))
          add(*move, received);
    }
  }

  /// Those that no block before has shown.
  SmallVector<BlockArgument> parametersOf(ArrayRef<Segment> block) {
    SmallVector<BlockArgument> parameters;
    for (const Segment &segment : block)
      for (Operation *op : segment.ops)
        for (Value operand : op->getOperands())
          if (auto argument = dyn_cast<BlockArgument>(operand))
            if (function.getArgAttr(argument.getArgNumber(), graph::kParameterAttr) &&
                shown.insert(argument).second)
              parameters.push_back(argument);
    return parameters;
  }

  StringRef nameOf(BlockArgument argument) {
    return function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), graph::kParameterAttr)
        .getValue();
  }

  /// What the names of parameters begin with, up to a dot; that of a single one; if that is
  /// nothing, all of them.
  std::string nameOf(ArrayRef<BlockArgument> parameters) {
    if (parameters.empty())
      return "";
    StringRef common = nameOf(parameters.front());
    for (BlockArgument argument : parameters.drop_front()) {
      StringRef name = nameOf(argument);
      while (!(name.starts_with(common) && (common.empty() || name[common.size()] == '.')))
        common = common.rsplit('.').second.empty() ? "" : common.rsplit('.').first;
    }
    if (!common.empty())
      return common.str();
    return llvm::join(llvm::map_range(parameters, [&](BlockArgument p) { return nameOf(p); }),
                      ", ");
  }

  std::string textOf(ArrayRef<BlockArgument> parameters) {
    std::string text;
    for (BlockArgument argument : parameters) {
      auto type = cast<RankedTensorType>(argument.getType());
      sharding::LayoutAttr layout = sharding::layoutOf(argument);
      double bytes = static_cast<double>(type.getNumElements()) * type.getElementTypeBitWidth() /
                     8 / static_cast<double>(parts(layout));
      text += escaped(nameOf(argument).str() + ": " + placeText(type, layout) + ", " +
                      kibibytes(bytes)) +
              "<br>";
    }
    return text;
  }

  /// The value behind a block: the residual stream.
  std::string textOf(Value end) {
    return end ? escaped(placeText(cast<RankedTensorType>(end.getType()), sharding::layoutOf(end)))
               : "-";
  }

  int64_t parts(sharding::LayoutAttr layout) const {
    return layout && grid ? grid.sizeOf(layout.getSplitAxes()) : 1;
  }

  /// "4 x 8 x 32, [{"data"}, {}, {}]".
  std::string placeText(RankedTensorType type, sharding::LayoutAttr layout) const {
    std::string shape;
    for (int64_t size : type.getShape())
      shape += (shape.empty() ? "" : " x ") + std::to_string(size);
    return shape + ", " + (parts(layout) > 1 ? deepshard::textOf(layout) : "whole");
  }

  static std::string textOf(const AxisBytes &received) {
    std::string text;
    for (const auto &[axes, bytes] : received)
      text += escaped(axes + ": " + kibibytes(bytes)) + "<br>";
    return text.empty() ? "-" : text;
  }

  void addMoves(Operation *op, AxisBytes &received) {
    if (!grid)
      return;
    for (const Move &move : movesOf(op, mesh, grid))
      add(move, received);
  }

  void add(const Move &move, AxisBytes &received) {
    if (!grid || !made.insert({move.value, move.to}).second)
      return;
    auto type = cast<RankedTensorType>(move.value.getType());
    for (const sharding::Step &step :
         sharding::reshardSteps(move.from, move.to, grid, type.getShape()))
      if (step.communicates())
        received[sharding::textOf(step.axes)] +=
            static_cast<double>(step.receivedElements(grid)) * type.getElementTypeBitWidth() / 8;
  }

  func::FuncOp function;
  FlatSymbolRefAttr mesh;
  sharding::MeshAttr grid;
  llvm::DenseSet<Value> shown;
  llvm::DenseSet<std::pair<Value, Attribute>> made; // moves
};

} // namespace

std::string blockTable(ModuleOp module) {
  sharding::MeshOp mesh = sharding::onlyMesh(module);
  std::string text;
  for (auto function : module.getOps<func::FuncOp>())
    text += BlockTable(function, mesh).text();
  return text;
}

static std::string trafficTable(const planpb::Plan &plan) {
  std::string text = "<table><tr><th>axes<th>ranks of a group<th>collective<th>a step<th>a rank "
                     "sends, MiB</tr>\n";
  for (const planpb::Program &program : plan.programs())
    for (const runtime::Traffic &traffic : runtime::trafficOf(plan, program))
      text +=
          llvm::formatv("<tr><td>{0}<td>{1}<td>{2}<td>{3}<td>{4:F3}</tr>\n", escaped(traffic.axes),
                        traffic.members, StringRef(runtime::nameOf(traffic.kind)), traffic.calls,
                        traffic.bytes() / (1 << 20));
  return text + "</table>\n";
}

LogicalResult writeReport(const std::string &path, const planpb::Plan &plan,
                          const std::string &blocks) {
  std::string error;
  auto file = openOutputFile(path, &error);
  if (!file) {
    llvm::errs() << "ds-opt: error: " << error << "\n";
    return failure();
  }
  const std::string title = escaped(plan.model()) + " on " + std::to_string(plan.ranks()) +
                            (plan.ranks() == 1 ? " rank" : " ranks");
  file->os() << "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" << title
             << "</title>\n<style>body{font-family:sans-serif;margin:2em}"
                "table{border-collapse:collapse}td,th{border:1px solid "
                "#bbb;padding:.3em .6em;text-align:left;vertical-align:top}</style></head>\n<body>"
                "<h1>"
             << title << "</h1>\n<h2>Layouts by block</h2>\n"
             << "<p>What a micro-batch moves between layouts; what ops exchange inside (the loss "
                "over a split vocabulary) is in the next table alone.</p>\n"
             << blocks << "<h2>Bytes by axis</h2>\n"
             << trafficTable(plan) << "<h2>The plan</h2>\n<pre>"
             << escaped(runtime::summarize(plan)) << "</pre>\n</body></html>\n";
  file->keep();
  return success();
}

} // namespace deepshard
