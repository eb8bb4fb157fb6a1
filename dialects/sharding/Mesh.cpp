//===- Mesh.cpp - coordinates, parts and groups of ranks --------------------------------------===//

#include "dialects/sharding/Sharding.h"

#include "mlir/IR/BuiltinOps.h"

using namespace mlir;

namespace deepshard::sharding {

std::string textOf(AxisRefAttr axis) {
  std::string text = "\"" + axis.getName().str() + "\"";
  if (!axis.isWhole())
    text += ":(" + std::to_string(axis.getPreSize()) + ")" + std::to_string(axis.getSize());
  return text;
}

std::string textOf(ArrayRef<AxisRefAttr> axes) {
  std::string text = "{";
  for (AxisRefAttr axis : axes)
    text += (text.size() > 1 ? ", " : "") + textOf(axis);
  return text + "}";
}

bool canCoexist(AxisRefAttr a, AxisRefAttr b) {
  if (a.getName() != b.getName())
    return true;
  if (a.isWhole() || b.isWhole())
    return false;
  if (a.getPreSize() > b.getPreSize())
    std::swap(a, b);
  return b.getPreSize() % (a.getPreSize() * a.getSize()) == 0;
}

MeshAttr lookupMesh(Operation *from, FlatSymbolRefAttr symbol) {
  auto mesh = SymbolTable::lookupNearestSymbolFrom<MeshOp>(from, symbol);
  return mesh ? mesh.getAxes() : nullptr;
}

MeshOp onlyMesh(Operation *from) {
  auto module = dyn_cast<ModuleOp>(from);
  if (!module)
    module = from->getParentOfType<ModuleOp>();
  if (!module)
    return nullptr;
  auto meshes = module.getOps<MeshOp>();
  return llvm::hasSingleElement(meshes) ? *meshes.begin() : MeshOp();
}

//===------------------------------------------------------------------------------------------===//
// MeshAttr
//===------------------------------------------------------------------------------------------===//

int64_t MeshAttr::getRanks() const {
  int64_t ranks = 1;
  for (int64_t size : getSizes())
    ranks *= size;
  return ranks;
}

std::optional<unsigned> MeshAttr::find(StringRef name) const {
  for (auto [index, axis] : llvm::enumerate(getNames()))
    if (axis == name)
      return index;
  return std::nullopt;
}

int64_t MeshAttr::sizeOf(AxisRefAttr axis) const {
  if (!axis.isWhole())
    return axis.getSize();
  std::optional<unsigned> index = find(axis.getName());
  assert(index && "the mesh has no axis of this name");
  return getSizes()[*index];
}

int64_t MeshAttr::sizeOf(ArrayRef<AxisRefAttr> axes) const {
  int64_t parts = 1;
  for (AxisRefAttr axis : axes)
    parts *= sizeOf(axis);
  return parts;
}

SmallVector<int64_t> MeshAttr::coordinatesOf(int64_t rank) const {
  SmallVector<int64_t> coordinates(getSizes().size());
  for (size_t i = coordinates.size(); i-- > 0; rank /= getSizes()[i])
    coordinates[i] = rank % getSizes()[i];
  return coordinates;
}

namespace {

/// One digit of a rank's number: (rank / stride) mod size.
struct Digit {
  int64_t stride;
  int64_t size;

  int64_t of(int64_t rank) const { return rank / stride % size; }
};

Digit digitOf(MeshAttr mesh, AxisRefAttr axis) {
  std::optional<unsigned> index = mesh.find(axis.getName());
  assert(index && "the mesh has no axis of this name");
  int64_t inner = 1;
  for (int64_t size : mesh.getSizes().drop_front(*index + 1))
    inner *= size;
  int64_t whole = mesh.getSizes()[*index];
  if (axis.isWhole())
    return {inner, whole};
  return {inner * (whole / (axis.getPreSize() * axis.getSize())), axis.getSize()};
}

SmallVector<Digit> digitsOf(MeshAttr mesh, ArrayRef<AxisRefAttr> axes) {
  return llvm::map_to_vector(axes, [&](AxisRefAttr axis) { return digitOf(mesh, axis); });
}

int64_t partOf(ArrayRef<Digit> digits, int64_t rank) {
  int64_t part = 0;
  for (const Digit &digit : digits)
    part = part * digit.size + digit.of(rank);
  return part;
}

/// `rank` with all digits 0, and what part `part` adds to it.
int64_t withPart(ArrayRef<Digit> digits, int64_t rank, int64_t part) {
  for (const Digit &digit : llvm::reverse(digits)) {
    rank += (part % digit.size - digit.of(rank)) * digit.stride;
    part /= digit.size;
  }
  return rank;
}

/// A sub-axis with all its numbers.
struct Range {
  unsigned axis;
  int64_t preSize;
  int64_t size;

  int64_t end() const { return preSize * size; }
  bool operator<(const Range &other) const {
    return std::tie(axis, preSize) < std::tie(other.axis, other.preSize);
  }
};

SmallVector<Range> rangesOf(MeshAttr mesh, ArrayRef<AxisRefAttr> axes) {
  return llvm::map_to_vector(axes, [&](AxisRefAttr axis) {
    std::optional<unsigned> index = mesh.find(axis.getName());
    assert(index && "the mesh has no axis of this name");
    return Range{*index, axis.isWhole() ? 1 : axis.getPreSize(), mesh.sizeOf(axis)};
  });
}

SmallVector<AxisRefAttr> axesOf(MeshAttr mesh, ArrayRef<Range> ranges) {
  SmallVector<Range> merged;
  for (const Range &range : ranges) {
    if (range.size == 1)
      continue;
    if (!merged.empty() && merged.back().axis == range.axis && merged.back().end() == range.preSize)
      merged.back().size *= range.size;
    else
      merged.push_back(range);
  }
  return llvm::map_to_vector(merged, [&](const Range &range) {
    StringRef name = mesh.getNames()[range.axis];
    return range.size == mesh.getSizes()[range.axis]
               ? AxisRefAttr::get(mesh.getContext(), name)
               : AxisRefAttr::get(mesh.getContext(), name, range.preSize, range.size);
  });
}

} // namespace

int64_t MeshAttr::coordinateOf(AxisRefAttr axis, int64_t rank) const {
  return digitOf(*this, axis).of(rank);
}

int64_t MeshAttr::partOf(ArrayRef<AxisRefAttr> axes, int64_t rank) const {
  return sharding::partOf(digitsOf(*this, axes), rank);
}

SmallVector<int64_t> MeshAttr::groupOf(ArrayRef<AxisRefAttr> axes, int64_t rank) const {
  SmallVector<Digit> digits = digitsOf(*this, axes);
  SmallVector<int64_t> group(sizeOf(axes));
  for (auto [part, member] : llvm::enumerate(group))
    member = withPart(digits, rank, static_cast<int64_t>(part));
  return group;
}

SmallVector<SmallVector<int64_t>> MeshAttr::groups(ArrayRef<AxisRefAttr> axes) const {
  SmallVector<Digit> digits = digitsOf(*this, axes);
  SmallVector<SmallVector<int64_t>> groups;
  for (int64_t rank = 0; rank < getRanks(); ++rank)
    if (sharding::partOf(digits, rank) == 0)
      groups.push_back(groupOf(axes, rank));
  return groups;
}

SmallVector<AxisRefAttr> MeshAttr::canonical(ArrayRef<AxisRefAttr> axes) const {
  return axesOf(*this, rangesOf(*this, axes));
}

SmallVector<AxisRefAttr> MeshAttr::inMeshOrder(ArrayRef<AxisRefAttr> axes) const {
  SmallVector<Range> ranges = rangesOf(*this, axes);
  llvm::sort(ranges);
  return axesOf(*this, ranges);
}

SmallVector<AxisRefAttr> MeshAttr::complement(ArrayRef<AxisRefAttr> axes) const {
  SmallVector<Range> used = rangesOf(*this, axes);
  llvm::sort(used);
  SmallVector<Range> rest;
  const Range *next = used.begin();
  for (unsigned axis = 0; axis < getSizes().size(); ++axis) {
    int64_t begin = 1;
    for (; next != used.end() && next->axis == axis; begin = (next++)->end())
      rest.push_back({axis, begin, next->preSize / begin});
    rest.push_back({axis, begin, getSizes()[axis] / begin});
  }
  return axesOf(*this, rest);
}

LogicalResult MeshAttr::verifyAxes(function_ref<InFlightDiagnostic()> emitError,
                                   ArrayRef<AxisRefAttr> axes) const {
  for (AxisRefAttr axis : axes) {
    std::optional<unsigned> index = find(axis.getName());
    if (!index) {
      InFlightDiagnostic error = emitError();
      error << "names axis " << textOf(axis) << ", but the axes of the mesh are ";
      llvm::interleaveComma(getNames(), error);
      return error;
    }
    if (axis.isWhole())
      continue;
    int64_t whole = getSizes()[*index];
    if (whole % (axis.getPreSize() * axis.getSize()) != 0)
      return emitError() << "axis " << axis.getName() << " of size " << whole << " has no sub-axis "
                         << textOf(axis) << ": " << axis.getPreSize() * axis.getSize()
                         << " does not divide " << whole;
    if (axis.getSize() == whole)
      return emitError() << textOf(axis) << " is all of axis " << axis.getName() << " of size "
                         << whole << "; write " << axis.getName();
  }
  return success();
}

} // namespace deepshard::sharding
