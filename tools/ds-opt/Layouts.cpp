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

class Pinning {
public:
  Pinning(func::FuncOp function, const TrainingConfig &config, sharding::MeshOp mesh)
      : function(function), config(config), mesh(FlatSymbolRefAttr::get(mesh.getSymNameAttr())),
        grid(mesh.getAxes()), isUsed(config.pins.size(), false) {}

  LogicalResult run() {
    for (BlockArgument argument : function.getArguments()) {
      if (auto batch = function.getArgAttrOfType<IntegerAttr>(argument.getArgNumber(),
                                                              graph::kBatchDimensionAttr))
        cutBatch(argument, batch.getInt());
      else if (const Pin *pin = pinOf(argument))
        apply(*pin, argument);
    }
    for (auto [index, pin] : llvm::enumerate(config.pins))
      if (!isUsed[index])
        fault(pin, "matches no parameter of the model; `ds-opt MODEL --emit graph` shows their "
                   "names as graph.parameter");
    if (good && !config.searchLayouts)
      noteIdleAxes();
    return success(good);
  }

private:
  /// If only pins split over other axes than the data axis, the ranks of an axis without one all
  /// compute the same.
  void noteIdleAxes() {
    for (auto [name, size] : config.mesh.axes())
      if (size > 1 && StringRef(name) != kData && !splits.contains(StringRef(name)))
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

  void cutBatch(BlockArgument argument, int64_t dim) {
    sharding::LayoutAttr whole = sharding::LayoutAttr::replicated(mesh, rankOf(argument));
    setLayout(argument, whole.withAxes(dim, axes({kData.str()})));
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
    good = false;
    Diagnostic diagnostic{pin.file, pin.line, pin.key, message.str()};
    llvm::errs() << "ds-opt: error: " << diagnostic.str() << "\n";
  }

  func::FuncOp function;
  const TrainingConfig &config;
  FlatSymbolRefAttr mesh;
  sharding::MeshAttr grid;
  std::vector<bool> isUsed;
  llvm::StringSet<> splits; // axes of the pins that were applied
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
  const int64_t regathers = config.zero.shardSize / config.zero.regatherSize;
  module->setAttr(
      sharding::kZeroAttr,
      sharding::ZeroAttr::get(context, part(copies, config.zero.shardSize),
                              copies > 1 ? part(1, copies) : nullptr, config.zero.stage,
                              builder.getStringAttr(config.zero.gradientReduction),
                              builder.getStringAttr(config.zero.parameterGather),
                              regathers > 1 ? part(regathers, config.zero.regatherSize) : nullptr,
                              config.zero.persistenceThreshold));
  return Pinning(module.lookupSymbol<func::FuncOp>("forward"), config, mesh).run();
}

} // namespace deepshard
