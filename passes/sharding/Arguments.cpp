//===- Arguments.cpp - layouts and shapes of a function's arguments ---------------------------===//

#include "passes/sharding/Arguments.h"

using namespace mlir;

namespace deepshard {

static RankedTensorType typeOf(BlockArgument argument) {
  return cast<RankedTensorType>(argument.getType());
}

void setArgumentLayout(BlockArgument argument, sharding::LayoutAttr layout) {
  auto function = cast<func::FuncOp>(argument.getOwner()->getParentOp());
  function.setArgAttr(argument.getArgNumber(), sharding::kLayoutAttr, layout);
}

void setArgumentType(func::FuncOp function, BlockArgument argument, RankedTensorType type) {
  argument.setType(type);
  SmallVector<Type> types(function.getArgumentTypes());
  types[argument.getArgNumber()] = type;
  function.setFunctionType(
      FunctionType::get(function.getContext(), types, function.getResultTypes()));
}

/// What `graph.cut` says, or that the argument has the model's own shape.
static graph::CutAttr cutOf(func::FuncOp function, BlockArgument argument) {
  if (auto cut =
          function.getArgAttrOfType<graph::CutAttr>(argument.getArgNumber(), graph::kCutAttr))
    return cut;
  auto shape = DenseI64ArrayAttr::get(function.getContext(), typeOf(argument).getShape());
  return graph::CutAttr::get(function.getContext(), shape, shape);
}

void cutDimension(func::FuncOp function, BlockArgument argument, unsigned dim, int64_t width) {
  MLIRContext *context = function.getContext();
  unsigned index = argument.getArgNumber();
  RankedTensorType type = typeOf(argument);
  graph::CutAttr cut = cutOf(function, argument);
  SmallVector<int64_t> shape(type.getShape());
  shape[dim] /= width;
  shape.insert(shape.begin() + dim + 1, width);
  setArgumentType(function, argument, RankedTensorType::get(shape, type.getElementType()));
  function.setArgAttr(
      index, graph::kCutAttr,
      graph::CutAttr::get(context, cut.getShape(), DenseI64ArrayAttr::get(context, shape)));
  if (sharding::LayoutAttr layout = sharding::layoutOf(argument)) {
    SmallVector<sharding::AxisListAttr> dims(layout.getDims());
    dims.insert(dims.begin() + dim, sharding::AxisListAttr::get(context, {}));
    setArgumentLayout(argument,
                      sharding::LayoutAttr::get(layout.getMesh(), dims, layout.getPartial()));
  }
}

void padDimension(func::FuncOp function, BlockArgument argument, unsigned dim, int64_t size) {
  unsigned index = argument.getArgNumber();
  function.setArgAttr(index, graph::kCutAttr, cutOf(function, argument));
  RankedTensorType type = typeOf(argument);
  SmallVector<int64_t> shape(type.getShape());
  shape[dim] = size;
  setArgumentType(function, argument, RankedTensorType::get(shape, type.getElementType()));
}

SmallVector<sharding::AxisRefAttr> searchedAxes(func::FuncOp function, sharding::MeshAttr mesh) {
  SmallVector<sharding::AxisRefAttr> taken, searched;
  for (BlockArgument argument : function.getArguments())
    if (function.getArgAttr(argument.getArgNumber(), graph::kInputAttr))
      if (sharding::LayoutAttr layout = sharding::layoutOf(argument))
        llvm::append_range(taken, layout.getSplitAxes());
  for (auto [name, size] : llvm::zip(mesh.getNames(), mesh.getSizes())) {
    auto axis = sharding::AxisRefAttr::get(mesh.getContext(), name.getValue());
    if (size > 1 && llvm::all_of(taken, [&](sharding::AxisRefAttr other) {
          return sharding::canCoexist(axis, other);
        }))
      searched.push_back(axis);
  }
  return searched;
}

} // namespace deepshard
