//===- HostTensor.h - tensors, types and attributes in the runtime's terms --------------------===//
//
// What the interpreter, constant folding and the lowering to kernels share: values of IR constants
// as bytes, element types and attributes as runtime/kernels knows them.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_HOSTTENSOR_H
#define DEEPSHARD_DIALECTS_GRAPH_HOSTTENSOR_H

#include "runtime/kernels/Kernel.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"

namespace deepshard::graph {

/// A row-major tensor in host memory.
class HostTensor {
public:
  HostTensor() = default;
  /// Zeros of `type`.
  explicit HostTensor(mlir::RankedTensorType type);

  mlir::RankedTensorType getType() const { return type; }
  runtime::TensorDesc getDesc() const;
  void *data() { return bytes.data(); }
  const void *data() const { return bytes.data(); }
  size_t size() const { return bytes.size(); }
  template <typename T> T *as() { return reinterpret_cast<T *>(bytes.data()); }
  template <typename T> const T *as() const { return reinterpret_cast<const T *>(bytes.data()); }

private:
  mlir::RankedTensorType type;
  std::vector<char> bytes;
};

/// The runtime's name of an element type of the graph dialect.
runtime::DType toDType(mlir::Type elementType);

/// Attributes of an op as its kernel gets them: unit and bool as flags, integers, floats, strings,
/// integer arrays.
runtime::Attributes toKernelAttributes(mlir::DictionaryAttr attributes);

/// The content of a dense, splat or resource constant.
HostTensor toHostTensor(mlir::ElementsAttr elements);

/// A constant with the content of `tensor`: a splat if all elements are equal, dense up to
/// `denseBytes`, else a resource. Equal tensors of one context give equal attributes.
mlir::ElementsAttr toElements(const HostTensor &tensor, size_t denseBytes = 4096);

} // namespace deepshard::graph

#endif // DEEPSHARD_DIALECTS_GRAPH_HOSTTENSOR_H
