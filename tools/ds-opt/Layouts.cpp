//===- Layouts.cpp - the configuration's mesh and pins on the module --------------------------===//

#include "tools/ds-opt/Layouts.h"

#include "dialects/graph/Graph.h"
#include "dialects/sharding/Sharding.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace deepshard {

namespace {

constexpr llvm::StringLiteral kMesh = "mesh";
constexpr llvm::StringLiteral kData = "data";
constexpr llvm::StringLiteral kContext = "context";

class Pinning {
public:
  Pinning(func::FuncOp function, const TrainingConfig &config, sharding::MeshOp mesh)
      : function(function), config(config), mesh(FlatSymbolRefAttr::get(mesh.getSymNameAttr())),
        grid(mesh.getAxes()), isUsed(config.pins.size(), false) {}

  LogicalResult run() {
    for (BlockArgument argument : function.getArguments()) {
      if (auto name =
              function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), graph::kInputAttr))
        cutInput(argument, name);
      else if (const Pin *pin = pinOf(argument))
        apply(*pin, argument);
    }
    for (auto [index, pin] : llvm::enumerate(config.pins))
      if (!isUsed[index])
        fault(pin, "matches no parameter of the model; `ds-opt MODEL --emit graph` shows their "
                   "names as graph.parameter");
    if (config.mesh.context > 1 && !hasSequence)
      fault(
          "deepshard.mesh.context is " + Twine(config.mesh.context) +
          ", but no input says which of its dimensions that splits; mark the sequence of each with "
          "@context, for example --input input_ids=i64[batchx1024@context]");
    if (good && !config.searchLayouts)
      noteIdleAxes();
    return success(good);
  }

private:
  /// If only pins split over other axes than those that cut inputs, the ranks of an axis without
  /// one all compute the same.
  void noteIdleAxes() {
    for (auto [name, size] : config.mesh.axes())
      if (size > 1 && StringRef(name) != kData && StringRef(name) != kContext &&
          !splits.contains(StringRef(name)))
        llvm::errs() << "ds-opt: note: deepshard.mesh." << name << ": no pin splits a "
                     << "parameter over it, so its " << size
                     << " ranks compute the same; see deepshard.pins in docs/config.md\n";
  }

  static int64_t rankOf(BlockArgument argument) {
    return cast<RankedTensorType>(argument.getType()).getRank();
  }

  void setLayout(BlockArgument argument, sharding::LayoutAttr layout) {
    function.setArgAttr(argument.getArgNumber(), sharding::kLayoutAttr, layout);
  }

  /// Its batch over "data", its sequence over "context".
  void cutInput(BlockArgument argument, StringAttr name) {
    sharding::LayoutAttr layout = sharding::LayoutAttr::replicated(mesh, rankOf(argument));
    unsigned index = argument.getArgNumber();
    if (auto dim = function.getArgAttrOfType<IntegerAttr>(index, graph::kBatchDimensionAttr))
      layout = layout.withAxes(dim.getInt(), axes({kData.str()}));
    if (auto dim = function.getArgAttrOfType<IntegerAttr>(index, graph::kSequenceDimensionAttr)) {
      hasSequence = true;
      int64_t size = cast<RankedTensorType>(argument.getType()).getDimSize(dim.getInt());
      if (size % config.mesh.context != 0)
        return fault("--input " + name.getValue() + ": dimension " + Twine(dim.getInt()) +
                     " of size " + Twine(size) +
                     " does not split over deepshard.mesh.context = " + Twine(config.mesh.context) +
                     "; choose a size that divides it, or pad the rows");
      layout = layout.withAxes(dim.getInt(), axes({kContext.str()}));
    }
    if (!layout.isReplicated())
      setLayout(argument, layout);
  }

  /// Axes of one rank split nothing and are left out.
  SmallVector<sharding::AxisRefAttr> axes(ArrayRef<std::string> names) {
    SmallVector<sharding::AxisRefAttr> list;
    for (const std::string &name : names)
      list.push_back(sharding::AxisRefAttr::get(function.getContext(), StringRef(name)));
    return grid.canonical(list);
  }

  const Pin *pinOf(BlockArgument argument) {
    auto name =
        function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), graph::kParameterAttr);
    if (!name)
      return nullptr;
    SmallVector<StringRef> names{name.getValue()};
    if (auto aliases =
            function.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(), graph::kAliasesAttr))
      for (auto alias : aliases.getAsRange<StringAttr>())
        names.push_back(alias.getValue());
    for (auto [index, pin] : llvm::enumerate(config.pins))
      if (llvm::any_of(names, [&](StringRef text) { return pin.matches(text); })) {
        isUsed[index] = true;
        return &pin;
      }
    return nullptr;
  }

  void apply(const Pin &pin, BlockArgument argument) {
    auto name =
        function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), graph::kParameterAttr);
    if (static_cast<int64_t>(pin.dims.size()) != rankOf(argument))
      return fault(pin, "names " + Twine(pin.dims.size()) + " dimensions, but " + name.getValue() +
                            " has " + Twine(rankOf(argument)));
    sharding::LayoutAttr layout = sharding::LayoutAttr::replicated(mesh, rankOf(argument));
    for (auto [dim, names] : llvm::enumerate(pin.dims)) {
      layout = layout.withAxes(dim, axes(names));
      for (const std::string &axis : names)
        splits.insert(axis);
    }
    setLayout(argument, layout);
  }

  void fault(const Pin &pin, const Twine &message) {
    fault(Diagnostic{pin.file, pin.line, pin.key, message.str()}.str());
  }

  void fault(const Twine &message) {
    good = false;
    llvm::errs() << "ds-opt: error: " << message << "\n";
  }

  func::FuncOp function;
  const TrainingConfig &config;
  FlatSymbolRefAttr mesh;
  sharding::MeshAttr grid;
  std::vector<bool> isUsed;
  llvm::StringSet<> splits; // axes of the pins that were applied
  bool hasSequence = false; // of an input
  bool good = true;
};

} // namespace

LogicalResult pinLayouts(ModuleOp module, const TrainingConfig &config) {
  if (config.mesh.ranks() == 1)
    return success();
  MLIRContext *context = module.getContext();
  auto builder = OpBuilder::atBlockBegin(module.getBody());
  SmallVector<StringAttr> names;
  SmallVector<int64_t> sizes;
  for (auto [name, size] : config.mesh.axes()) {
    names.push_back(builder.getStringAttr(StringRef(name.data(), name.size())));
    sizes.push_back(size);
  }
  auto mesh = sharding::MeshOp::create(builder, module.getLoc(), kMesh,
                                       sharding::MeshAttr::get(context, names, sizes));
  // Groups are neighbours: the minor part of the axis.
  auto part = [&](int64_t before, int64_t size) {
    auto axis = size == config.mesh.data
                    ? sharding::AxisRefAttr::get(context, StringRef(kData))
                    : sharding::AxisRefAttr::get(context, StringRef(kData), before, size);
    return sharding::AxisListAttr::get(context, mesh.getAxes().canonical({axis}));
  };
  const int64_t copies = config.mesh.data / config.zero.shardSize;
  SmallVector<sharding::AxisRefAttr> holders; // of copies of a part
  if (copies > 1)
    llvm::append_range(holders, part(1, copies).getAxes());
  if (config.mesh.context > 1)
    holders.push_back(sharding::AxisRefAttr::get(context, StringRef(kContext)));
  const int64_t regathers = config.zero.shardSize / config.zero.regatherSize;
  module->setAttr(sharding::kZeroAttr,
                  sharding::ZeroAttr::get(
                      context, part(copies, config.zero.shardSize),
                      holders.empty() ? nullptr : sharding::AxisListAttr::get(context, holders),
                      config.zero.stage, builder.getStringAttr(config.zero.gradientReduction),
                      builder.getStringAttr(config.zero.parameterGather),
                      regathers > 1 ? part(regathers, config.zero.regatherSize) : nullptr,
                      config.zero.persistenceThreshold));
  module->setAttr(sharding::kAttentionAttr, builder.getStringAttr(config.attention));
  return Pinning(module.lookupSymbol<func::FuncOp>("forward"), config, mesh).run();
}

} // namespace deepshard
