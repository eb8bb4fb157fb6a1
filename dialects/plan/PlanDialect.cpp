//===- PlanDialect.cpp - types and verifiers of the plan dialect ------------------------------===//

#include "dialects/plan/Plan.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

#include <numeric>

using namespace mlir;

#include "dialects/plan/PlanDialect.cpp.inc"
#include "dialects/plan/PlanEnums.cpp.inc"
#include "dialects/plan/PlanInterfaces.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/plan/PlanAttrs.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/plan/PlanTypes.cpp.inc"

#define GET_OP_CLASSES
#include "dialects/plan/PlanOps.cpp.inc"

namespace deepshard::plan {

void PlanDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/plan/PlanAttrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/plan/PlanTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/plan/PlanOps.cpp.inc"
      >();
}

int64_t elementBytes(Type elementType) {
  return llvm::divideCeil(elementType.getIntOrFloatBitWidth(), 8);
}

int64_t alignmentOf(BufferOp buffer, int64_t offset, ArrayRef<Attribute> axisStrides) {
  int64_t alignment = std::gcd(static_cast<int64_t>(buffer.getAlign()), offset);
  for (Attribute stride : axisStrides)
    alignment = std::gcd(alignment, cast<AxisStrideAttr>(stride).getBytes());
  return alignment;
}

//===------------------------------------------------------------------------------------------===//
// ViewType
//===------------------------------------------------------------------------------------------===//

SmallVector<int64_t> ViewType::contiguousStrides(ArrayRef<int64_t> shape) {
  SmallVector<int64_t> strides(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

int64_t ViewType::getNumElements() const {
  int64_t elements = 1;
  for (int64_t size : getShape())
    elements *= size;
  return elements;
}

bool ViewType::isContiguous() const {
  SmallVector<int64_t> rowMajor = contiguousStrides(getShape());
  for (auto [size, stride, expected] : llvm::zip(getShape(), getStrides(), rowMajor))
    if (size != 1 && stride != expected)
      return false;
  return true;
}

LogicalResult ViewType::verify(function_ref<InFlightDiagnostic()> emitError,
                               ArrayRef<int64_t> shape, Type elementType,
                               ArrayRef<int64_t> strides) {
  if (!elementType.isIntOrFloat())
    return emitError() << "expects an integer or float element type, got " << elementType;
  if (shape.size() != strides.size())
    return emitError() << "has " << shape.size() << " dimensions but " << strides.size()
                       << " strides";
  for (int64_t size : shape)
    if (size < 0)
      return emitError() << "expects a static shape";
  for (int64_t stride : strides)
    if (stride < 0)
      return emitError() << "expects strides that are not negative, got " << stride;
  return success();
}

Type ViewType::parse(AsmParser &parser) {
  SmallVector<int64_t> shape, strides;
  Type elementType;
  if (parser.parseLess() || parser.parseDimensionList(shape, /*allowDynamic=*/false) ||
      parser.parseType(elementType))
    return {};
  if (succeeded(parser.parseOptionalKeyword("strides"))) {
    auto parseStride = [&] { return parser.parseInteger(strides.emplace_back()); };
    if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseStride))
      return {};
  } else {
    strides = contiguousStrides(shape);
  }
  if (parser.parseGreater())
    return {};
  return parser.getChecked<ViewType>(parser.getContext(), shape, elementType, strides);
}

void ViewType::print(AsmPrinter &printer) const {
  printer << "<";
  for (int64_t size : getShape())
    printer << size << "x";
  printer << getElementType();
  if (getStrides() != ArrayRef<int64_t>(contiguousStrides(getShape()))) {
    printer << " strides [";
    llvm::interleaveComma(getStrides(), printer);
    printer << "]";
  }
  printer << ">";
}

//===------------------------------------------------------------------------------------------===//
// Verifiers
//===------------------------------------------------------------------------------------------===//

LogicalResult BufferOp::verify() {
  if (getBytes() <= 0)
    return emitOpError() << "expects a positive number of bytes, got " << getBytes();
  if (getAlign() <= 0 || !llvm::isPowerOf2_64(getAlign()))
    return emitOpError() << "expects an alignment that is a power of two, got " << getAlign();
  if (getOffset() && (static_cast<int64_t>(*getOffset()) < 0 || *getOffset() % getAlign() != 0))
    return emitOpError() << "offset " << static_cast<int64_t>(*getOffset())
                         << " is not a multiple of the alignment " << getAlign();
  if (std::optional<ElementsAttr> constant = getConstant()) {
    if (getLifetime() != Lifetime::Persistent)
      return emitOpError("has constant content, so it must be persistent");
    if (!constant->getElementType().isInteger(8) ||
        constant->getNumElements() != static_cast<int64_t>(getBytes()))
      return emitOpError() << "expects " << getBytes() << " bytes of constant content, got "
                           << constant->getType();
  }
  return success();
}

LogicalResult ViewOp::verify() {
  ViewType type = getType();
  int64_t element = elementBytes(type.getElementType());
  int64_t offset = getOffset();
  if (offset < 0 || offset % element != 0)
    return emitOpError() << "offset " << offset << " is not a multiple of the element's " << element
                         << " bytes";
  auto buffer = getBuffer().getDefiningOp<BufferOp>();
  if (!buffer || type.getNumElements() == 0)
    return success();
  int64_t last = 0;
  for (auto [size, stride] : llvm::zip(type.getShape(), type.getStrides()))
    last += (size - 1) * stride;
  int64_t end = offset + (last + 1) * element;
  if (end > static_cast<int64_t>(buffer.getBytes()))
    return emitOpError() << "ends at byte " << end << " of buffer \"" << buffer.getName()
                         << "\", which has " << buffer.getBytes();
  return success();
}

static LogicalResult verifyStream(Operation *op, uint64_t stream) {
  auto program = op->getParentOfType<ProgramOp>();
  if (program && stream >= program.getStreams().size())
    return op->emitOpError() << "runs on stream " << stream << ", but the program has "
                             << program.getStreams().size();
  return success();
}

LogicalResult LaunchOp::verify() {
  for (int64_t input : getOverwrites())
    if (input < 0 || input >= static_cast<int64_t>(getInputs().size()))
      return emitOpError() << "overwrites input " << input << " of " << getInputs().size()
                           << " inputs";
  return verifyStream(*this, getStream());
}

LogicalResult CollectiveOp::verify() {
  if (!llvm::is_contained({"all_reduce", "reduce_scatter", "all_gather", "all_to_all", "permute"},
                          getKind()))
    return emitOpError() << "is of kind \"" << getKind() << "\", which there is not";
  if (!llvm::is_contained({"sum", "max", "min"}, getReduction()))
    return emitOpError() << "reduces by \"" << getReduction() << "\", which there is not";
  for (Value view : {getInput(), getOutput()})
    if (!cast<ViewType>(view.getType()).isContiguous())
      return emitOpError() << "expects row-major views, got " << view.getType();
  return verifyStream(*this, getStream());
}

LogicalResult BucketOp::verify() {
  ViewType view = getView().getType();
  if (view.getShape().size() != 1)
    return emitOpError() << "expects a view of rank 1, got " << view;
  std::optional<ElementsAttr> initial = getInitial();
  if (initial &&
      initial->getShapedType() != RankedTensorType::get(view.getShape(), view.getElementType()))
    return emitOpError() << "starts with " << initial->getShapedType() << ", but is seen as "
                         << view;
  return success();
}

//===------------------------------------------------------------------------------------------===//
// What tasks touch
//===------------------------------------------------------------------------------------------===//

SmallVector<Value> LaunchOp::getReadViews() { return SmallVector<Value>(getInputs()); }

SmallVector<Value> LaunchOp::getWrittenViews() {
  SmallVector<Value> views(getOutputs());
  if (getWorkspace())
    views.push_back(getWorkspace());
  return views;
}

SmallVector<Value> CollectiveOp::getReadViews() { return {getInput()}; }
SmallVector<Value> CollectiveOp::getWrittenViews() { return {getOutput()}; }
SmallVector<Value> FeedOp::getReadViews() { return {}; }
SmallVector<Value> FeedOp::getWrittenViews() { return {getView()}; }

LogicalResult ScheduleOp::verifySymbolUses(SymbolTableCollection &symbols) {
  for (CallAttr call : getCalls().getAsRange<CallAttr>())
    if (!symbols.lookupNearestSymbolFrom<SegmentOp>(*this, call.getSegment()))
      return emitOpError() << "calls " << call.getSegment()
                           << ", which is no segment of the program";
  return success();
}

} // namespace deepshard::plan
