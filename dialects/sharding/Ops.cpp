//===- Ops.cpp - builders and verifiers of the ops --------------------------------------------===//
//
// What needs the mesh is checked by `verifySymbolUses`, where it may be looked up.
//
//===------------------------------------------------------------------------------------------===//

#include "dialects/sharding/Sharding.h"

#include "mlir/IR/Builders.h"

using namespace mlir;

namespace deepshard::sharding {

// Syntax of the ops' meshes and groups; Attributes.cpp has it.
ParseResult parseAxes(AsmParser &parser, MeshAttr &mesh);
void printAxes(AsmPrinter &printer, Operation *op, MeshAttr mesh);
ParseResult parseGroup(AsmParser &parser, GroupAttr &group);
void printGroup(AsmPrinter &printer, Operation *op, GroupAttr group);

} // namespace deepshard::sharding

#define GET_OP_CLASSES
#include "dialects/sharding/ShardingOps.cpp.inc"

namespace deepshard::sharding {

namespace {

RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

/// `type` with dimension `dim` of size times / over.
RankedTensorType resized(RankedTensorType type, int64_t dim, int64_t times, int64_t over) {
  SmallVector<int64_t> shape(type.getShape());
  assert(shape[dim] * times % over == 0 && "the dimension does not split");
  shape[dim] = shape[dim] * times / over;
  return type.clone(shape);
}

/// Number of ranks of the op's group; fails with a message if `over` is not of a mesh.
FailureOr<int64_t> verifyGroup(Operation *op, GroupAttr group, SymbolTableCollection &symbols) {
  auto mesh = symbols.lookupNearestSymbolFrom<MeshOp>(op, group.getMesh());
  if (!mesh)
    return op->emitOpError() << "over: " << group.getMesh() << " is no sharding.mesh of the module";
  auto emit = [&] { return op->emitOpError() << "over: "; };
  if (failed(mesh.getAxes().verifyAxes(emit, group.getAxes())))
    return failure();
  return mesh.getAxes().sizeOf(group.getAxes());
}

LogicalResult verifyDim(Operation *op, StringRef name, int64_t dim, RankedTensorType type) {
  if (dim >= 0 && dim < type.getRank())
    return success();
  return op->emitOpError() << name << " " << dim << " is not a dimension of " << type;
}

/// Dimension `dim` of `type` has N parts of one size.
LogicalResult verifySplit(Operation *op, RankedTensorType type, int64_t dim, int64_t ranks) {
  if (type.getDimSize(dim) % ranks == 0)
    return success();
  return op->emitOpError() << "dimension " << dim << " of size " << type.getDimSize(dim)
                           << " does not split over the group's " << ranks << " ranks";
}

LogicalResult verifyResult(Operation *op, Type expected) {
  Type type = op->getResult(0).getType();
  if (type == expected)
    return success();
  return op->emitOpError() << "has result type " << type << "; expected " << expected;
}

/// A group along one dimension that becomes N times as large, or the Nth part.
template <typename Op>
LogicalResult verifyAlong(Op op, bool gathers, SymbolTableCollection &symbols) {
  FailureOr<int64_t> ranks = verifyGroup(op, op.getGroup(), symbols);
  RankedTensorType type = typeOf(op.getX());
  auto dim = static_cast<int64_t>(op.getDim());
  if (failed(ranks) || failed(verifyDim(op, "dim", dim, type)))
    return failure();
  if (!gathers && failed(verifySplit(op, type, dim, *ranks)))
    return failure();
  return verifyResult(op, resized(type, dim, gathers ? *ranks : 1, gathers ? 1 : *ranks));
}

template <typename Op> LogicalResult verifyLayout(Op op, SymbolTableCollection &symbols) {
  LayoutAttr layout = op.getLayout();
  auto mesh = symbols.lookupNearestSymbolFrom<MeshOp>(op, layout.getMesh());
  return layout.verifyFor([&] { return op.emitOpError() << "layout: "; },
                          mesh ? mesh.getAxes() : nullptr, op.getX().getType());
}

} // namespace

LogicalResult ConstraintOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyLayout(*this, symbols);
}

LogicalResult ReshardOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyLayout(*this, symbols);
}

void AllGatherOp::build(OpBuilder &builder, OperationState &state, Value x, GroupAttr group,
                        int64_t dim, MeshAttr mesh) {
  build(builder, state, resized(typeOf(x), dim, mesh.sizeOf(group.getAxes()), 1), x, group, dim);
}

LogicalResult AllGatherOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyAlong(*this, /*gathers=*/true, symbols);
}

void ReduceScatterOp::build(OpBuilder &builder, OperationState &state, Reduction reduction, Value x,
                            GroupAttr group, int64_t dim, MeshAttr mesh) {
  build(builder, state, resized(typeOf(x), dim, 1, mesh.sizeOf(group.getAxes())), reduction, x,
        group, dim);
}

LogicalResult ReduceScatterOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyAlong(*this, /*gathers=*/false, symbols);
}

LogicalResult AllReduceOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return success(succeeded(verifyGroup(*this, getGroup(), symbols)));
}

void AllToAllOp::build(OpBuilder &builder, OperationState &state, Value x, GroupAttr group,
                       int64_t split, int64_t concat, MeshAttr mesh) {
  int64_t ranks = mesh.sizeOf(group.getAxes());
  RankedTensorType type = resized(resized(typeOf(x), split, 1, ranks), concat, ranks, 1);
  build(builder, state, type, x, group, split, concat);
}

LogicalResult AllToAllOp::verifySymbolUses(SymbolTableCollection &symbols) {
  FailureOr<int64_t> ranks = verifyGroup(*this, getGroup(), symbols);
  RankedTensorType type = typeOf(getX());
  auto split = static_cast<int64_t>(getSplit()), concat = static_cast<int64_t>(getConcat());
  if (failed(ranks) || failed(verifyDim(*this, "split", split, type)) ||
      failed(verifyDim(*this, "concat", concat, type)))
    return failure();
  if (split == concat)
    return emitOpError() << "split and concat are both dimension " << split;
  if (failed(verifySplit(*this, type, split, *ranks)))
    return failure();
  return verifyResult(*this, resized(resized(type, split, 1, *ranks), concat, *ranks, 1));
}

LogicalResult PermuteOp::verifySymbolUses(SymbolTableCollection &symbols) {
  FailureOr<int64_t> ranks = verifyGroup(*this, getGroup(), symbols);
  if (failed(ranks))
    return failure();
  ArrayRef<int64_t> sources = getSources();
  if (static_cast<int64_t>(sources.size()) != *ranks)
    return emitOpError() << "has " << sources.size() << " sources for the group's " << *ranks
                         << " ranks";
  llvm::SmallBitVector seen(*ranks);
  for (int64_t source : sources) {
    if (source < 0 || source >= *ranks)
      return emitOpError() << "source " << source << " is not one of the group's " << *ranks
                           << " ranks";
    if (seen.test(source))
      return emitOpError() << "names source " << source << " twice";
    seen.set(source);
  }
  return success();
}

void LocalSliceOp::build(OpBuilder &builder, OperationState &state, Value x, GroupAttr group,
                         int64_t dim, MeshAttr mesh) {
  build(builder, state, resized(typeOf(x), dim, 1, mesh.sizeOf(group.getAxes())), x, group, dim);
}

LogicalResult LocalSliceOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyAlong(*this, /*gathers=*/false, symbols);
}

void AxisIndexOp::build(OpBuilder &builder, OperationState &state, GroupAttr group) {
  build(builder, state, RankedTensorType::get({}, builder.getI64Type()), group);
}

LogicalResult AxisIndexOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (failed(verifyGroup(*this, getGroup(), symbols)))
    return failure();
  return verifyResult(*this, RankedTensorType::get({}, IntegerType::get(getContext(), 64)));
}

LogicalResult PackOp::verify() {
  auto bucket = cast<RankedTensorType>(getType());
  if (getTensors().empty())
    return emitOpError("expects at least one tensor");
  if (getTensors().size() != getOffsets().size())
    return emitOpError() << "has " << getTensors().size() << " tensors but " << getOffsets().size()
                         << " offsets";
  if (bucket.getRank() != 1)
    return emitOpError() << "has result type " << bucket << "; expected rank 1";
  int64_t end = 0;
  for (auto [index, tensor, offset] : llvm::enumerate(getTensors(), getOffsets())) {
    RankedTensorType type = typeOf(tensor);
    if (type.getElementType() != bucket.getElementType())
      return emitOpError() << "element type of tensor " << index << " is " << type.getElementType()
                           << " but that of the result is " << bucket.getElementType();
    if (offset < end)
      return emitOpError() << "offset " << offset << " of tensor " << index << " is below " << end
                           << ", where what is before it ends";
    end = offset + type.getNumElements();
  }
  if (end > bucket.getDimSize(0))
    return emitOpError() << "the last tensor ends at element " << end << " of a result of "
                         << bucket.getDimSize(0);
  return success();
}

} // namespace deepshard::sharding
