//===- Buckets.cpp - which parameter lies where in which bucket -------------------------------===//

#include "passes/training/Buckets.h"
#include "passes/training/Step.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace deepshard {

namespace {

/// The mesh and the parts that ZeRO may cut a bucket into.
struct Cuts {
  explicit Cuts(func::FuncOp function) {
    auto module = function->getParentOfType<ModuleOp>();
    zero = module->getAttrOfType<sharding::ZeroAttr>(sharding::kZeroAttr);
    if (sharding::MeshOp op = sharding::onlyMesh(module))
      mesh = op.getAxes();
    parts = mesh && zero ? mesh.sizeOf(zero.getAxes().getAxes()) : 1;
  }

  /// The axes that cut the argument.
  sharding::AxisListAttr axesOf(BlockArgument argument) const {
    sharding::LayoutAttr layout = mesh ? sharding::layoutOf(argument) : nullptr;
    SmallVector<sharding::AxisRefAttr> axes;
    if (layout)
      axes = mesh.inMeshOrder(layout.getSplitAxes());
    return sharding::AxisListAttr::get(argument.getContext(), axes);
  }

  bool keepsWhole(BlockArgument argument, sharding::AxisListAttr axes) const {
    int64_t pieces = mesh ? mesh.sizeOf(axes.getAxes()) : 1;
    int64_t elements = cast<RankedTensorType>(argument.getType()).getNumElements() * pieces;
    return parts > 1 && elements <= zero.getKeptWhole();
  }

  sharding::ZeroAttr zero;
  sharding::MeshAttr mesh;
  int64_t parts = 1;
};

} // namespace

SmallVector<Bucket> assignBuckets(func::FuncOp function, int64_t bucketSize) {
  Cuts cuts(function);
  SmallVector<Bucket> buckets;
  // The bucket that is being filled, per kind of members.
  llvm::MapVector<std::tuple<Type, Type, Attribute, unsigned>, size_t> open;
  for (BlockArgument argument : function.getArguments()) {
    if (!function.getArgAttr(argument.getArgNumber(), graph::kParameterAttr))
      continue;
    auto type = cast<RankedTensorType>(argument.getType());
    Type master = gradientType(function, argument).getElementType();
    sharding::AxisListAttr axes = cuts.axesOf(argument);
    bool keptWhole = cuts.keepsWhole(argument, axes);
    // Every member takes a multiple of the alignment, so the next one starts aligned: in the
    // buckets of wider types too.
    int64_t elements =
        llvm::alignTo(type.getNumElements(), alignmentInElements(type.getElementType()));
    auto [it, isNew] = open.insert(
        {std::tuple(type.getElementType(), master, Attribute(axes), unsigned(keptWhole)),
         buckets.size()});
    if (!isNew && buckets[it->second].size + elements > bucketSize) {
      it->second = buckets.size();
      isNew = true;
    }
    if (isNew)
      buckets.push_back({type.getElementType(), master, 0, {}, axes, keptWhole});
    Bucket &bucket = buckets[it->second];
    bucket.members.push_back({argument.getArgNumber(), bucket.size});
    bucket.size += elements;
  }
  for (Bucket &bucket : buckets)
    bucket.size = llvm::alignTo(bucket.size, alignmentInElements(bucket.elementType) * cuts.parts);
  return buckets;
}

} // namespace deepshard
