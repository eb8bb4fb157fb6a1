//===- HostTensor.cpp - tensors, types and attributes in the runtime's terms ------------------===//

#include "dialects/graph/HostTensor.h"

#include "mlir/IR/AsmState.h"
#include "mlir/IR/BuiltinDialect.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/xxhash.h"

#include <cstring>

using namespace mlir;

namespace deepshard::graph {

HostTensor::HostTensor(RankedTensorType type)
    : type(type), bytes(type.getNumElements() * runtime::sizeOf(toDType(type.getElementType()))) {}

runtime::TensorDesc HostTensor::getDesc() const {
  return runtime::TensorDesc::contiguous(toDType(type.getElementType()),
                                         {type.getShape().begin(), type.getShape().end()});
}

runtime::DType toDType(Type elementType) {
  using runtime::DType;
  if (elementType.isF32())
    return DType::F32;
  if (elementType.isF64())
    return DType::F64;
  if (elementType.isBF16())
    return DType::BF16;
  if (elementType.isF16())
    return DType::F16;
  switch (elementType.getIntOrFloatBitWidth()) {
  case 64:
    return DType::I64;
  case 32:
    return DType::I32;
  case 8:
    return DType::I8;
  default:
    return DType::I1;
  }
}

runtime::Attributes toKernelAttributes(DictionaryAttr attributes) {
  runtime::Attributes result;
  for (NamedAttribute named : attributes) {
    std::string name = named.getName().str();
    llvm::TypeSwitch<Attribute>(named.getValue())
        .Case([&](UnitAttr) { result.set(name, true); })
        .Case([&](BoolAttr flag) { result.set(name, flag.getValue()); })
        .Case([&](IntegerAttr integer) { result.set(name, integer.getInt()); })
        .Case([&](FloatAttr number) { result.set(name, number.getValueAsDouble()); })
        .Case([&](StringAttr text) { result.set(name, text.str()); })
        .Case([&](DenseI64ArrayAttr integers) {
          result.set(name, std::vector<int64_t>(integers.asArrayRef().begin(),
                                                integers.asArrayRef().end()));
        });
  }
  return result;
}

/// Dense constants pack i1 elements into bits; kernels take a byte each.
static void copyBools(DenseElementsAttr dense, HostTensor &tensor) {
  char *to = tensor.as<char>();
  for (bool value : dense.getValues<bool>())
    *to++ = value;
}

HostTensor toHostTensor(ElementsAttr elements) {
  HostTensor tensor(cast<RankedTensorType>(elements.getType()));
  if (tensor.size() == 0)
    return tensor;
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(elements)) {
    // The verifier of graph.constant has seen that data are there and how many.
    std::memcpy(tensor.data(), resource.getRawHandle().getBlob()->getData().data(), tensor.size());
    return tensor;
  }
  auto dense = cast<DenseElementsAttr>(elements);
  if (dense.getElementType().isInteger(1)) {
    copyBools(dense, tensor);
    return tensor;
  }
  ArrayRef<char> raw = dense.getRawData();
  if (!dense.isSplat()) {
    std::memcpy(tensor.data(), raw.data(), tensor.size());
    return tensor;
  }
  for (size_t at = 0; at < tensor.size(); at += raw.size())
    std::memcpy(tensor.as<char>() + at, raw.data(), raw.size());
  return tensor;
}

static bool allEqual(const char *data, size_t bytes, size_t element) {
  // Every element equals the one before it.
  return bytes > 0 && std::memcmp(data, data + element, bytes - element) == 0;
}

/// Resources are told apart by name, not by what they hold. Layers of a network each bring the same
/// tables (rotary positions): named after their content they are one, so that their constants are
/// merged and the layers are seen to be equal.
static DenseResourceElementsAttr toResource(RankedTensorType type, ArrayRef<char> data) {
  MLIRContext *context = type.getContext();
  const std::string name =
      "table_" + llvm::utohexstr(llvm::xxh3_64bits(
                     ArrayRef(reinterpret_cast<const uint8_t *>(data.data()), data.size())));
  auto &resources = DenseResourceElementsHandle::getManagerInterface(context).getBlobManager();
  if (auto *entry = resources.lookup(name); entry && entry->getBlob()->getData() == data)
    return DenseResourceElementsAttr::get(
        type, DenseResourceElementsHandle(entry, context->getLoadedDialect<BuiltinDialect>()));
  return DenseResourceElementsAttr::get(
      type, name, HeapAsmResourceBlob::allocateAndCopyWithAlign(data, /*align=*/64));
}

ElementsAttr toElements(const HostTensor &tensor, size_t denseBytes) {
  RankedTensorType type = tensor.getType();
  Type elementType = type.getElementType();
  const char *data = tensor.as<char>();
  size_t element = runtime::sizeOf(toDType(elementType));
  bool splat = allEqual(data, tensor.size(), element);
  if (elementType.isInteger(1)) {
    ArrayRef<bool> flags(reinterpret_cast<const bool *>(data), splat ? 1 : tensor.size());
    if (splat || tensor.size() <= denseBytes)
      return DenseElementsAttr::get(type, flags);
  } else if (splat || tensor.size() <= denseBytes) {
    return DenseElementsAttr::getFromRawBuffer(type,
                                               ArrayRef(data, splat ? element : tensor.size()));
  }
  return toResource(type, ArrayRef(data, tensor.size()));
}

} // namespace deepshard::graph
