//===- Attributes.cpp - syntax, checks and accessors of the attributes ------------------------===//

#include "dialects/sharding/Sharding.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

#include "dialects/sharding/ShardingEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/sharding/ShardingAttrs.cpp.inc"

namespace deepshard::sharding {

void ShardingDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/sharding/ShardingAttrs.cpp.inc"
      >();
}

//===------------------------------------------------------------------------------------------===//
// Syntax of the parts that several attributes and ops share
//===------------------------------------------------------------------------------------------===//

template <typename Attr> static FailureOr<Attr> orFailure(Attr attribute) {
  if (attribute)
    return attribute;
  return failure();
}

/// "data" or "data":(1)2
static FailureOr<AxisRefAttr> parseAxis(AsmParser &parser) {
  std::string name;
  int64_t preSize = 0, size = 0;
  SMLoc location = parser.getCurrentLocation();
  if (parser.parseString(&name))
    return failure();
  if (succeeded(parser.parseOptionalColon()) &&
      (parser.parseLParen() || parser.parseInteger(preSize) || parser.parseRParen() ||
       parser.parseInteger(size)))
    return failure();
  auto emitError = [&] { return parser.emitError(location); };
  auto axis = AxisRefAttr::getChecked(emitError, parser.getContext(),
                                      StringAttr::get(parser.getContext(), name), preSize, size);
  return orFailure(axis);
}

/// {"data", "tensor"}
static FailureOr<AxisListAttr> parseAxisList(AsmParser &parser) {
  SmallVector<AxisRefAttr> axes;
  SMLoc location = parser.getCurrentLocation();
  auto parseOne = [&]() -> ParseResult {
    FailureOr<AxisRefAttr> axis = parseAxis(parser);
    if (succeeded(axis))
      axes.push_back(*axis);
    return success(succeeded(axis));
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Braces, parseOne))
    return failure();
  auto emitError = [&] { return parser.emitError(location); };
  auto list = AxisListAttr::getChecked(emitError, parser.getContext(), axes);
  return orFailure(list);
}

/// [{"data"}, {}]
static FailureOr<SmallVector<AxisListAttr>> parseAxisLists(AsmParser &parser) {
  SmallVector<AxisListAttr> lists;
  auto parseOne = [&]() -> ParseResult {
    FailureOr<AxisListAttr> list = parseAxisList(parser);
    if (succeeded(list))
      lists.push_back(*list);
    return success(succeeded(list));
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseOne))
    return failure();
  return lists;
}

static void printAxisLists(AsmPrinter &printer, ArrayRef<AxisListAttr> lists) {
  printer << "[";
  llvm::interleaveComma(lists, printer,
                        [&](AxisListAttr list) { printer << textOf(list.getAxes()); });
  printer << "]";
}

template <typename Enum>
static ParseResult parseKeyword(AsmParser &parser, std::optional<Enum> (*symbolize)(StringRef),
                                StringRef expected, Enum &value) {
  StringRef word;
  SMLoc location = parser.getCurrentLocation();
  if (parser.parseKeyword(&word))
    return failure();
  std::optional<Enum> parsed = symbolize(word);
  if (!parsed)
    return parser.emitError(location) << "expected " << expected << ", got " << word;
  value = *parsed;
  return success();
}

/// sum {"tensor"} in f32
static FailureOr<PartialAttr> parsePartial(AsmParser &parser) {
  Reduction kind = Reduction::Sum;
  SMLoc location = parser.getCurrentLocation();
  if (parseKeyword<Reduction>(parser, symbolizeReduction, "sum, max or min", kind))
    return failure();
  FailureOr<AxisListAttr> list = parseAxisList(parser);
  Type type;
  if (failed(list) ||
      (succeeded(parser.parseOptionalKeyword("in")) && failed(parser.parseType(type))))
    return failure();
  auto emitError = [&] { return parser.emitError(location); };
  auto partial = PartialAttr::getChecked(emitError, parser.getContext(), kind, *list, type);
  return orFailure(partial);
}

static void printPartial(AsmPrinter &printer, PartialAttr partial) {
  printer << stringifyReduction(partial.getKind()) << " " << textOf(partial.getAxes());
  if (partial.getType())
    printer << " in " << partial.getType();
}

ParseResult parseAxes(AsmParser &parser, MeshAttr &mesh) {
  SmallVector<StringAttr> names;
  SmallVector<int64_t> sizes;
  SMLoc location = parser.getCurrentLocation();
  auto parseOne = [&]() -> ParseResult {
    std::string name;
    if (parser.parseString(&name) || parser.parseEqual() ||
        parser.parseInteger(sizes.emplace_back()))
      return failure();
    names.push_back(StringAttr::get(parser.getContext(), name));
    return success();
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseOne))
    return failure();
  auto emitError = [&] { return parser.emitError(location); };
  mesh = MeshAttr::getChecked(emitError, parser.getContext(), names, sizes);
  return success(mesh != nullptr);
}

void printAxes(AsmPrinter &printer, Operation *, MeshAttr mesh) {
  printer << "[";
  llvm::interleaveComma(llvm::zip(mesh.getNames(), mesh.getSizes()), printer, [&](auto axis) {
    printer << std::get<0>(axis) << " = " << std::get<1>(axis);
  });
  printer << "]";
}

ParseResult parseGroup(AsmParser &parser, GroupAttr &group) {
  FlatSymbolRefAttr mesh;
  SMLoc location = parser.getCurrentLocation();
  if (parser.parseAttribute(mesh))
    return failure();
  FailureOr<AxisListAttr> list = parseAxisList(parser);
  if (failed(list))
    return failure();
  auto emitError = [&] { return parser.emitError(location); };
  group = GroupAttr::getChecked(emitError, parser.getContext(), mesh, *list);
  return success(group != nullptr);
}

void printGroup(AsmPrinter &printer, Operation *, GroupAttr group) {
  printer << group.getMesh() << " " << textOf(group.getAxes());
}

/// `<` what `parseBody` reads `>`; null on errors.
template <typename ParseBody>
static auto parseAngled(AsmParser &parser, ParseBody parseBody)
    -> std::remove_reference_t<decltype(*parseBody(parser))> {
  if (parser.parseLess())
    return {};
  auto attribute = parseBody(parser);
  if (failed(attribute) || parser.parseGreater())
    return {};
  return *attribute;
}

//===------------------------------------------------------------------------------------------===//
// AxisRefAttr, AxisListAttr
//===------------------------------------------------------------------------------------------===//

Attribute AxisRefAttr::parse(AsmParser &parser, Type) { return parseAngled(parser, parseAxis); }

void AxisRefAttr::print(AsmPrinter &printer) const { printer << "<" << textOf(*this) << ">"; }

LogicalResult AxisRefAttr::verify(function_ref<InFlightDiagnostic()> emitError, StringAttr name,
                                  int64_t preSize, int64_t size) {
  if (name.empty())
    return emitError() << "expects an axis with a name";
  if ((preSize != 0 || size != 0) && (preSize < 1 || size < 2))
    return emitError() << "sub-axis of " << name << " has pre-size " << preSize << " and size "
                       << size << "; expected at least 1 and 2";
  return success();
}

Attribute AxisListAttr::parse(AsmParser &parser, Type) {
  return parseAngled(parser, parseAxisList);
}

void AxisListAttr::print(AsmPrinter &printer) const { printer << "<" << textOf(getAxes()) << ">"; }

static LogicalResult verifyDisjoint(function_ref<InFlightDiagnostic()> emitError,
                                    ArrayRef<AxisRefAttr> axes) {
  for (auto [index, axis] : llvm::enumerate(axes))
    for (AxisRefAttr other : axes.drop_front(index + 1))
      if (!canCoexist(axis, other))
        return emitError() << "axes " << textOf(axis) << " and " << textOf(other) << " overlap";
  return success();
}

LogicalResult AxisListAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                   ArrayRef<AxisRefAttr> axes) {
  if (failed(verifyDisjoint(emitError, axes)))
    return failure();
  for (size_t i = 1; i < axes.size(); ++i) {
    AxisRefAttr major = axes[i - 1], minor = axes[i];
    if (major.getName() == minor.getName() &&
        major.getPreSize() * major.getSize() == minor.getPreSize())
      return emitError() << textOf(major) << " and " << textOf(minor) << " are one sub-axis; write "
                         << textOf(AxisRefAttr::get(major.getContext(), major.getName(),
                                                    major.getPreSize(),
                                                    major.getSize() * minor.getSize()));
  }
  return success();
}

//===------------------------------------------------------------------------------------------===//
// MeshAttr, GroupAttr, PartialAttr, FactorsAttr
//===------------------------------------------------------------------------------------------===//

Attribute MeshAttr::parse(AsmParser &parser, Type) {
  return parseAngled(parser, [](AsmParser &parser) -> FailureOr<MeshAttr> {
    MeshAttr mesh;
    return orFailure(succeeded(parseAxes(parser, mesh)) ? mesh : nullptr);
  });
}

void MeshAttr::print(AsmPrinter &printer) const {
  printer << "<";
  printAxes(printer, nullptr, *this);
  printer << ">";
}

LogicalResult MeshAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               ArrayRef<StringAttr> names, ArrayRef<int64_t> sizes) {
  if (names.size() != sizes.size())
    return emitError() << "has " << names.size() << " names but " << sizes.size() << " sizes";
  for (auto [index, name] : llvm::enumerate(names)) {
    if (name.empty())
      return emitError() << "axis " << index << " has no name";
    if (llvm::is_contained(names.drop_front(index + 1), name))
      return emitError() << "names axis " << name << " twice";
    if (sizes[index] < 1)
      return emitError() << "axis " << name << " has size " << sizes[index]
                         << "; expected at least 1";
  }
  return success();
}

Attribute GroupAttr::parse(AsmParser &parser, Type) {
  return parseAngled(parser, [](AsmParser &parser) -> FailureOr<GroupAttr> {
    GroupAttr group;
    return orFailure(succeeded(parseGroup(parser, group)) ? group : nullptr);
  });
}

void GroupAttr::print(AsmPrinter &printer) const {
  printer << "<";
  printGroup(printer, nullptr, *this);
  printer << ">";
}

LogicalResult GroupAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                FlatSymbolRefAttr mesh, AxisListAttr list) {
  if (list.empty())
    return emitError() << "a group of ranks of mesh " << mesh << " needs at least one axis, got {}";
  return success();
}

Attribute PartialAttr::parse(AsmParser &parser, Type) { return parseAngled(parser, parsePartial); }

void PartialAttr::print(AsmPrinter &printer) const {
  printer << "<";
  printPartial(printer, *this);
  printer << ">";
}

LogicalResult PartialAttr::verify(function_ref<InFlightDiagnostic()> emitError, Reduction kind,
                                  AxisListAttr list, Type type) {
  if (list.empty())
    return emitError() << "partial " << stringifyReduction(kind)
                       << " needs at least one axis, got {}";
  if (type && !isa<FloatType>(type))
    return emitError() << "partial " << stringifyReduction(kind) << " is reduced in " << type
                       << "; expected a float";
  return success();
}

Attribute FactorsAttr::parse(AsmParser &parser, Type) {
  SMLoc location = parser.getCurrentLocation();
  if (parser.parseLess())
    return {};
  FailureOr<SmallVector<AxisListAttr>> factors = parseAxisLists(parser);
  if (failed(factors) || parser.parseGreater())
    return {};
  auto emitError = [&] { return parser.emitError(location); };
  return getChecked(emitError, parser.getContext(), *factors);
}

void FactorsAttr::print(AsmPrinter &printer) const {
  printer << "<";
  printAxisLists(printer, getFactors());
  printer << ">";
}

static SmallVector<AxisRefAttr> flatten(ArrayRef<AxisListAttr> lists) {
  SmallVector<AxisRefAttr> axes;
  for (AxisListAttr list : lists)
    llvm::append_range(axes, list.getAxes());
  return axes;
}

LogicalResult FactorsAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                  ArrayRef<AxisListAttr> factors) {
  return verifyDisjoint(emitError, flatten(factors));
}

//===------------------------------------------------------------------------------------------===//
// LayoutAttr
//===------------------------------------------------------------------------------------------===//

Attribute LayoutAttr::parse(AsmParser &parser, Type) {
  SMLoc location = parser.getCurrentLocation();
  FlatSymbolRefAttr mesh;
  if (parser.parseLess() || parser.parseAttribute(mesh) || parser.parseComma())
    return {};
  FailureOr<SmallVector<AxisListAttr>> dims = parseAxisLists(parser);
  if (failed(dims))
    return {};
  PartialAttr partial;
  Memory memory = Memory::Device;
  // Both options begin with a comma and come in this order.
  bool more = succeeded(parser.parseOptionalComma());
  if (more && succeeded(parser.parseOptionalKeyword("partial"))) {
    if (parser.parseEqual())
      return {};
    FailureOr<PartialAttr> parsed = parsePartial(parser);
    if (failed(parsed))
      return {};
    partial = *parsed;
    more = succeeded(parser.parseOptionalComma());
  }
  if (more && (parser.parseKeyword("memory") || parser.parseEqual() ||
               parseKeyword<Memory>(parser, symbolizeMemory, "device, host or disk", memory)))
    return {};
  if (parser.parseGreater())
    return {};
  auto emitError = [&] { return parser.emitError(location); };
  return getChecked(emitError, parser.getContext(), mesh, *dims, partial, memory);
}

void LayoutAttr::print(AsmPrinter &printer) const {
  printer << "<" << getMesh() << ", ";
  printAxisLists(printer, getDims());
  if (getPartial()) {
    printer << ", partial = ";
    printPartial(printer, getPartial());
  }
  if (getMemory() != Memory::Device)
    printer << ", memory = " << stringifyMemory(getMemory());
  printer << ">";
}

LogicalResult LayoutAttr::verify(function_ref<InFlightDiagnostic()> emitError, FlatSymbolRefAttr,
                                 ArrayRef<AxisListAttr> dims, PartialAttr partial, Memory) {
  SmallVector<AxisRefAttr> axes = flatten(dims);
  if (partial)
    llvm::append_range(axes, partial.getAxes());
  return verifyDisjoint(emitError, axes);
}

LayoutAttr LayoutAttr::replicated(FlatSymbolRefAttr mesh, int64_t rank) {
  SmallVector<AxisListAttr> dims(rank, AxisListAttr::get(mesh.getContext(), {}));
  return get(mesh, dims);
}

ArrayRef<AxisRefAttr> LayoutAttr::getPartialAxes() const {
  return getPartial() ? getPartial().getAxes() : ArrayRef<AxisRefAttr>();
}

bool LayoutAttr::isReplicated() const {
  return !isPartial() && llvm::all_of(getDims(), [](AxisListAttr dim) { return dim.empty(); });
}

SmallVector<AxisRefAttr> LayoutAttr::getSplitAxes() const { return flatten(getDims()); }

LayoutAttr LayoutAttr::withAxes(unsigned dim, ArrayRef<AxisRefAttr> axes) const {
  SmallVector<AxisListAttr> dims(getDims());
  dims[dim] = AxisListAttr::get(getContext(), axes);
  return get(getMesh(), dims, getPartial(), getMemory());
}

LayoutAttr LayoutAttr::withPartial(PartialAttr partial) const {
  return get(getMesh(), getDims(), partial, getMemory());
}

LayoutAttr LayoutAttr::withMemory(Memory memory) const {
  return get(getMesh(), getDims(), getPartial(), memory);
}

std::optional<unsigned> LayoutAttr::firstUnevenDim(MeshAttr mesh, ArrayRef<int64_t> shape) const {
  for (unsigned dim = 0; dim < shape.size(); ++dim)
    if (shape[dim] % mesh.sizeOf(getAxes(dim)) != 0)
      return dim;
  return std::nullopt;
}

SmallVector<int64_t> LayoutAttr::localShape(MeshAttr mesh, ArrayRef<int64_t> shape) const {
  assert(static_cast<int64_t>(shape.size()) == getRank() && !firstUnevenDim(mesh, shape) &&
         "the shape does not divide into equal parts");
  SmallVector<int64_t> local(shape);
  for (auto [dim, size] : llvm::enumerate(local))
    size /= mesh.sizeOf(getAxes(dim));
  return local;
}

SmallVector<int64_t> LayoutAttr::globalShape(MeshAttr mesh, ArrayRef<int64_t> localShape) const {
  SmallVector<int64_t> shape(localShape);
  for (auto [dim, size] : llvm::enumerate(shape))
    size *= mesh.sizeOf(getAxes(dim));
  return shape;
}

RankedTensorType LayoutAttr::localType(MeshAttr mesh, RankedTensorType type) const {
  return type.clone(localShape(mesh, type.getShape()));
}

RankedTensorType LayoutAttr::globalType(MeshAttr mesh, RankedTensorType localType) const {
  return localType.clone(globalShape(mesh, localType.getShape()));
}

SmallVector<int64_t> LayoutAttr::offsetsOf(MeshAttr mesh, ArrayRef<int64_t> shape,
                                           int64_t rank) const {
  SmallVector<int64_t> offsets = localShape(mesh, shape);
  for (auto [dim, offset] : llvm::enumerate(offsets))
    offset *= mesh.partOf(getAxes(dim), rank);
  return offsets;
}

LogicalResult LayoutAttr::verifyFor(function_ref<InFlightDiagnostic()> emitError, MeshAttr mesh,
                                    Type type) const {
  if (!mesh)
    return emitError() << getMesh() << " is no sharding.mesh of the module";
  SmallVector<AxisRefAttr> axes = getSplitAxes();
  llvm::append_range(axes, getPartialAxes());
  if (failed(mesh.verifyAxes(emitError, axes)))
    return failure();
  auto position = [&](AxisRefAttr axis) {
    return std::pair(*mesh.find(axis.getName()), axis.getPreSize());
  };
  ArrayRef<AxisRefAttr> partial = getPartialAxes();
  for (size_t i = 1; i < partial.size(); ++i)
    if (position(partial[i - 1]) > position(partial[i]))
      return emitError() << "partial axis " << textOf(partial[i]) << " follows "
                         << textOf(partial[i - 1]) << ", which the mesh has after it";
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || tensor.getRank() != getRank())
    return emitError() << "has " << getRank() << " dimensions but the value has type " << type;
  return success();
}

} // namespace deepshard::sharding
