//===- Simulate.cpp - runs a local program on all ranks of a mesh -----------------------------===//

#include "dialects/sharding/Simulate.h"

#include "dialects/graph/Interpreter.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cstring>

using namespace mlir;

namespace deepshard::sharding {

using graph::HostTensor;

namespace {

//===------------------------------------------------------------------------------------------===//
// Pieces of a tensor
//===------------------------------------------------------------------------------------------===//

int64_t elementBytes(RankedTensorType type) {
  return static_cast<int64_t>(runtime::sizeOf(graph::toDType(type.getElementType())));
}

/// Copies between `box` and the place in `whole` where it begins at `offsets`.
template <bool kIntoBox>
void copyBox(char *whole, char *box, RankedTensorType wholeType, RankedTensorType boxType,
             ArrayRef<int64_t> offsets) {
  int64_t rank = wholeType.getRank(), bytes = elementBytes(wholeType);
  if (boxType.getNumElements() == 0)
    return;
  int64_t row = rank == 0 ? bytes : boxType.getDimSize(rank - 1) * bytes;
  for (int64_t element = 0; element < boxType.getNumElements() * bytes / row; ++element) {
    int64_t at = 0, stride = bytes, index = element;
    for (int64_t dim = rank; dim-- > 0; stride *= wholeType.getDimSize(dim)) {
      int64_t inside = 0;
      if (dim < rank - 1) {
        inside = index % boxType.getDimSize(dim);
        index /= boxType.getDimSize(dim);
      }
      at += (offsets[dim] + inside) * stride;
    }
    if constexpr (kIntoBox)
      std::memcpy(box + element * row, whole + at, row);
    else
      std::memcpy(whole + at, box + element * row, row);
  }
}

HostTensor takeBox(const HostTensor &whole, ArrayRef<int64_t> shape, ArrayRef<int64_t> offsets) {
  HostTensor box(whole.getType().clone(shape));
  copyBox</*kIntoBox=*/true>(const_cast<char *>(whole.as<char>()), box.as<char>(), whole.getType(),
                             box.getType(), offsets);
  return box;
}

void putBox(HostTensor &whole, const HostTensor &box, ArrayRef<int64_t> offsets) {
  copyBox</*kIntoBox=*/false>(whole.as<char>(), const_cast<char *>(box.as<char>()), whole.getType(),
                              box.getType(), offsets);
}

/// Part `part` of `parts` equal ones along a dimension.
HostTensor partAlong(const HostTensor &tensor, int64_t dim, int64_t parts, int64_t part) {
  SmallVector<int64_t> shape(tensor.getType().getShape()), offsets(shape.size(), 0);
  shape[dim] /= parts;
  offsets[dim] = shape[dim] * part;
  return takeBox(tensor, shape, offsets);
}

HostTensor joinAlong(ArrayRef<HostTensor> parts, int64_t dim) {
  SmallVector<int64_t> shape(parts.front().getType().getShape()), offsets(shape.size(), 0);
  int64_t size = shape[dim];
  shape[dim] *= static_cast<int64_t>(parts.size());
  HostTensor whole(parts.front().getType().clone(shape));
  for (const HostTensor &part : parts) {
    putBox(whole, part, offsets);
    offsets[dim] += size;
  }
  return whole;
}

//===------------------------------------------------------------------------------------------===//
// Reductions
//===------------------------------------------------------------------------------------------===//

template <typename T> T combine(Reduction reduction, T a, T b) {
  if (reduction == Reduction::Sum) {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) +
                            static_cast<std::make_unsigned_t<T>>(b));
    else
      return a + b;
  }
  bool first = reduction == Reduction::Max ? a > b : a < b;
  return first || a != a ? a : b; // a NaN wins
}

/// The reduction of values[0], values[1], ..., halves first.
template <typename T> T reduceTree(Reduction reduction, ArrayRef<T> values) {
  if (values.size() == 1)
    return values.front();
  size_t half = values.size() / 2;
  return combine(reduction, reduceTree(reduction, values.take_front(half)),
                 reduceTree(reduction, values.drop_front(half)));
}

template <typename T> HostTensor reduceAs(Reduction reduction, ArrayRef<const HostTensor *> parts) {
  HostTensor result(parts.front()->getType());
  SmallVector<T> values(parts.size());
  for (int64_t i = 0; i < result.getType().getNumElements(); ++i) {
    for (size_t rank = 0; rank < parts.size(); ++rank)
      values[rank] = parts[rank]->template as<T>()[i];
    result.as<T>()[i] = reduceTree<T>(reduction, values);
  }
  return result;
}

/// Two-byte floats: in f32, rounded once.
HostTensor reduceNarrow(Reduction reduction, ArrayRef<const HostTensor *> parts,
                        const llvm::fltSemantics &semantics) {
  HostTensor result(parts.front()->getType());
  SmallVector<float> values(parts.size());
  bool exact = false;
  for (int64_t i = 0; i < result.getType().getNumElements(); ++i) {
    for (auto [value, part] : llvm::zip_equal(values, parts)) {
      APFloat wide(semantics, APInt(16, part->as<uint16_t>()[i]));
      wide.convert(APFloat::IEEEsingle(), APFloat::rmNearestTiesToEven, &exact);
      value = wide.convertToFloat();
    }
    APFloat sum(reduceTree<float>(reduction, values));
    sum.convert(semantics, APFloat::rmNearestTiesToEven, &exact);
    result.as<uint16_t>()[i] = static_cast<uint16_t>(sum.bitcastToAPInt().getZExtValue());
  }
  return result;
}

FailureOr<HostTensor> reduce(function_ref<InFlightDiagnostic()> emitError, Reduction reduction,
                             ArrayRef<const HostTensor *> parts) {
  using runtime::DType;
  Type elementType = parts.front()->getType().getElementType();
  switch (graph::toDType(elementType)) {
  case DType::F32:
    return reduceAs<float>(reduction, parts);
  case DType::F64:
    return reduceAs<double>(reduction, parts);
  case DType::BF16:
    return reduceNarrow(reduction, parts, APFloat::BFloat());
  case DType::F16:
    return reduceNarrow(reduction, parts, APFloat::IEEEhalf());
  case DType::I64:
    return reduceAs<int64_t>(reduction, parts);
  case DType::I32:
    return reduceAs<int32_t>(reduction, parts);
  default:
    return emitError() << "no reduction of values of type " << elementType << " over ranks";
  }
}

//===------------------------------------------------------------------------------------------===//
// Ops
//===------------------------------------------------------------------------------------------===//

/// Calls `exchange` with the values of each group, in the order of its parts; it returns theirs.
FailureOr<Parts> inGroups(const Parts &parts, GroupAttr group, MeshAttr mesh,
                          function_ref<FailureOr<Parts>(ArrayRef<const HostTensor *>)> exchange) {
  Parts results(parts.size());
  for (ArrayRef<int64_t> ranks : mesh.groups(group.getAxes())) {
    auto inputs = llvm::map_to_vector(ranks, [&](int64_t rank) { return &parts[rank]; });
    FailureOr<Parts> outputs = exchange(inputs);
    if (failed(outputs))
      return failure();
    for (auto [rank, output] : llvm::zip_equal(ranks, *outputs))
      results[rank] = std::move(output);
  }
  return results;
}

using Group = ArrayRef<const HostTensor *>;

FailureOr<Parts> exchange(AllGatherOp op, Group group) {
  Parts parts;
  for (const HostTensor *part : group)
    parts.push_back(*part);
  return Parts(group.size(), joinAlong(parts, static_cast<int64_t>(op.getDim())));
}

FailureOr<Parts> exchange(AllReduceOp op, Group group) {
  FailureOr<HostTensor> sum = reduce([&] { return op.emitOpError(); }, op.getReduction(), group);
  if (failed(sum))
    return failure();
  return Parts(group.size(), *sum);
}

FailureOr<Parts> exchange(ReduceScatterOp op, Group group) {
  FailureOr<HostTensor> sum = reduce([&] { return op.emitOpError(); }, op.getReduction(), group);
  if (failed(sum))
    return failure();
  Parts results;
  for (size_t part = 0; part < group.size(); ++part)
    results.push_back(partAlong(*sum, static_cast<int64_t>(op.getDim()),
                                static_cast<int64_t>(group.size()), static_cast<int64_t>(part)));
  return results;
}

FailureOr<Parts> exchange(AllToAllOp op, Group group) {
  Parts results;
  for (size_t part = 0; part < group.size(); ++part) {
    Parts received;
    for (const HostTensor *from : group)
      received.push_back(partAlong(*from, static_cast<int64_t>(op.getSplit()),
                                   static_cast<int64_t>(group.size()), static_cast<int64_t>(part)));
    results.push_back(joinAlong(received, static_cast<int64_t>(op.getConcat())));
  }
  return results;
}

FailureOr<Parts> exchange(PermuteOp op, Group group) {
  Parts results;
  for (int64_t source : op.getSources())
    results.push_back(*group[source]);
  return results;
}

FailureOr<Parts> exchange(LocalSliceOp op, Group group) {
  Parts results;
  for (auto [part, tensor] : llvm::enumerate(group))
    results.push_back(partAlong(*tensor, static_cast<int64_t>(op.getDim()),
                                static_cast<int64_t>(group.size()), static_cast<int64_t>(part)));
  return results;
}

Parts evaluate(AxisIndexOp op, MeshAttr mesh) {
  Parts parts;
  for (int64_t rank = 0; rank < mesh.getRanks(); ++rank) {
    HostTensor index(cast<RankedTensorType>(op.getType()));
    *index.as<int64_t>() = mesh.partOf(op.getGroup().getAxes(), rank);
    parts.push_back(std::move(index));
  }
  return parts;
}

Parts evaluate(PackOp op, MeshAttr mesh, ArrayRef<const Parts *> operands) {
  auto type = cast<RankedTensorType>(op.getType());
  Parts parts(mesh.getRanks(), HostTensor(type));
  for (auto [offset, tensors] : llvm::zip_equal(op.getOffsets(), operands))
    for (auto [bucket, tensor] : llvm::zip_equal(parts, *tensors))
      std::memcpy(bucket.as<char>() + offset * elementBytes(type), tensor.data(), tensor.size());
  return parts;
}

FailureOr<std::vector<Parts>> single(FailureOr<Parts> parts) {
  if (failed(parts))
    return failure();
  std::vector<Parts> results;
  results.push_back(std::move(*parts));
  return results;
}

FailureOr<std::vector<Parts>> evaluateGraphOp(Operation *op, MeshAttr mesh,
                                              ArrayRef<const Parts *> operands) {
  std::vector<Parts> results(op->getNumResults(), Parts(mesh.getRanks()));
  for (int64_t rank = 0; rank < mesh.getRanks(); ++rank) {
    auto local = llvm::map_to_vector(operands, [&](const Parts *parts) { return &(*parts)[rank]; });
    FailureOr<SmallVector<HostTensor>> values = graph::evaluateOp(op, local);
    if (failed(values))
      return failure();
    for (auto [result, value] : llvm::zip_equal(results, *values))
      result[rank] = std::move(value);
  }
  return results;
}

} // namespace

FailureOr<std::vector<Parts>> evaluateOnRanks(Operation *op, MeshAttr mesh,
                                              ArrayRef<const Parts *> operands) {
  return TypeSwitch<Operation *, FailureOr<std::vector<Parts>>>(op)
      .Case<AllGatherOp, AllReduceOp, ReduceScatterOp, AllToAllOp, PermuteOp, LocalSliceOp>(
          [&](auto collective) {
            return single(inGroups(*operands.front(), collective.getGroup(), mesh,
                                   [&](Group group) { return exchange(collective, group); }));
          })
      .Case([&](AxisIndexOp index) { return single(evaluate(index, mesh)); })
      .Case([&](PackOp pack) { return single(evaluate(pack, mesh, operands)); })
      .Default([&](Operation *other) { return evaluateGraphOp(other, mesh, operands); });
}

FailureOr<std::vector<Parts>> evaluateOnRanks(func::FuncOp function, MeshAttr mesh,
                                              ArrayRef<Parts> arguments) {
  if (!function.getBody().hasOneBlock() || function.getBody().front().empty())
    return function.emitError("cannot be evaluated: expected a body of one block");
  if (arguments.size() != function.getNumArguments())
    return function.emitError("takes ")
           << function.getNumArguments() << " arguments, got " << arguments.size();
  Block &body = function.getBody().front();
  llvm::DenseMap<Value, Parts> values;
  llvm::DenseMap<Value, int64_t> remaining;
  auto set = [&](Value value, Parts parts) {
    remaining[value] = std::distance(value.use_begin(), value.use_end());
    values[value] = std::move(parts);
  };
  for (auto [argument, parts] : llvm::zip_equal(body.getArguments(), arguments)) {
    for (auto [rank, tensor] : llvm::enumerate(parts))
      if (tensor.getType() != argument.getType())
        return function.emitError("argument ")
               << argument.getArgNumber() << " has type " << argument.getType() << ", but rank "
               << rank << " got a value of type " << tensor.getType();
    if (static_cast<int64_t>(parts.size()) != mesh.getRanks())
      return function.emitError("argument ") << argument.getArgNumber() << " has " << parts.size()
                                             << " parts for " << mesh.getRanks() << " ranks";
    set(argument, parts);
  }
  for (Operation &op : body.without_terminator()) {
    auto operands = llvm::map_to_vector(
        op.getOperands(), [&](Value value) { return &std::as_const(values.find(value)->second); });
    FailureOr<std::vector<Parts>> results = evaluateOnRanks(&op, mesh, operands);
    if (failed(results))
      return failure();
    for (Value operand : op.getOperands())
      if (--remaining[operand] == 0)
        values.erase(operand);
    for (auto [value, parts] : llvm::zip_equal(op.getResults(), *results))
      set(value, std::move(parts));
  }
  std::vector<Parts> results;
  for (Value output : body.back().getOperands())
    results.push_back(values.at(output));
  return results;
}

//===------------------------------------------------------------------------------------------===//
// Layouts
//===------------------------------------------------------------------------------------------===//

HostTensor split(const HostTensor &tensor, LayoutAttr layout, MeshAttr mesh, int64_t rank) {
  ArrayRef<int64_t> shape = tensor.getType().getShape();
  if (layout.isPartial() && layout.getPartial().getKind() == Reduction::Sum &&
      mesh.partOf(layout.getPartialAxes(), rank) != 0)
    return HostTensor(layout.localType(mesh, tensor.getType()));
  return takeBox(tensor, layout.localShape(mesh, shape), layout.offsetsOf(mesh, shape, rank));
}

Parts split(const HostTensor &tensor, LayoutAttr layout, MeshAttr mesh) {
  Parts parts;
  for (int64_t rank = 0; rank < mesh.getRanks(); ++rank)
    parts.push_back(split(tensor, layout, mesh, rank));
  return parts;
}

FailureOr<HostTensor> join(function_ref<InFlightDiagnostic()> emitError, const Parts &parts,
                           LayoutAttr layout, MeshAttr mesh) {
  if (static_cast<int64_t>(parts.size()) != mesh.getRanks())
    return emitError() << "has " << parts.size() << " parts for " << mesh.getRanks() << " ranks";
  for (auto [rank, part] : llvm::enumerate(parts))
    if (part.getType() != parts.front().getType())
      return emitError() << "rank 0 holds " << parts.front().getType() << " but rank " << rank
                         << " holds " << part.getType();
  // Ranks that differ only where nothing is split hold the same.
  SmallVector<AxisRefAttr> split = layout.getSplitAxes();
  llvm::append_range(split, layout.getPartialAxes());
  for (ArrayRef<int64_t> ranks : mesh.groups(mesh.complement(split)))
    for (int64_t rank : ranks.drop_front())
      if (std::memcmp(parts[rank].data(), parts[ranks.front()].data(), parts[rank].size()) != 0)
        return emitError() << "ranks " << ranks.front() << " and " << rank
                           << " should hold the same but differ";
  HostTensor whole(layout.globalType(mesh, parts.front().getType()));
  for (int64_t rank = 0; rank < mesh.getRanks(); ++rank) {
    if (mesh.partOf(layout.getPartialAxes(), rank) != 0)
      continue;
    auto summands = llvm::map_to_vector(mesh.groupOf(layout.getPartialAxes(), rank),
                                        [&](int64_t member) { return &parts[member]; });
    FailureOr<HostTensor> part = layout.isPartial()
                                     ? reduce(emitError, layout.getPartial().getKind(), summands)
                                     : FailureOr<HostTensor>(parts[rank]);
    if (failed(part))
      return failure();
    putBox(whole, *part, layout.offsetsOf(mesh, whole.getType().getShape(), rank));
  }
  return whole;
}

} // namespace deepshard::sharding
