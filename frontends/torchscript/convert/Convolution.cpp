//===- Convolution.cpp - convolutions ---------------------------------------------------------===//

#include "frontends/torchscript/convert/AtenOp.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace deepshard;
using namespace deepshard::torchscript;

namespace {

/// An attribute with an entry per spatial dimension; a list of one stands for all of them.
SmallVector<int64_t> perDimension(const AtenOp &op, StringRef name, size_t spatial) {
  SmallVector<int64_t> values = op.integers(name);
  if (values.size() == 1)
    values.assign(spatial, values.front());
  return values;
}

struct Padding {
  SmallVector<int64_t> low, high;
};

/// "valid" pads nothing; "same" as much as keeps the sizes (the stride is 1), an odd element
/// behind.
Padding paddingOf(const AtenOp &op, ArrayRef<int64_t> kernel, ArrayRef<int64_t> dilations) {
  StringRef mode = op.string("padding");
  if (mode.empty()) {
    SmallVector<int64_t> both = perDimension(op, "padding", kernel.size());
    return {both, both};
  }
  Padding padding;
  for (auto [size, dilation] : llvm::zip_equal(kernel, dilations)) {
    int64_t total = mode == "same" ? dilation * (size - 1) : 0;
    padding.low.push_back(total / 2);
    padding.high.push_back(total - total / 2);
  }
  return padding;
}

/// x without a batch dimension is a batch of one.
LogicalResult convolution(AtenOp &op) {
  if (op.flag("transposed"))
    return op.unsupported("transposed = True");
  Type type = op.elementType();
  Value x = op.convert(op.tensor("input"), type), weight = op.convert(op.tensor("weight"), type);
  ArrayRef<int64_t> kernel = AtenOp::shapeOf(weight).drop_front(2);
  if (AtenOp::rankOf(x) < AtenOp::rankOf(weight)) {
    SmallVector<int64_t> shape = {1};
    llvm::append_range(shape, AtenOp::shapeOf(x));
    x = op.b.reshape(x, shape);
  }
  SmallVector<int64_t> strides = perDimension(op, "stride", kernel.size()),
                       dilations = perDimension(op, "dilation", kernel.size());
  Padding padding = paddingOf(op, kernel, dilations);
  Value y = graph::ConvolutionOp::create(op.builder, op.location, x, weight, strides, padding.low,
                                         padding.high, dilations, op.integer("groups", 1));
  if (op.has("bias")) {
    SmallVector<int64_t> shape(kernel.size() + 1, 1);
    shape.front() = AtenOp::shapeOf(weight).front();
    y = op.b.add(y, op.b.reshape(op.convert(op.tensor("bias"), type), shape));
  }
  return op.set(op.b.reshape(y, op.resultType().getShape()));
}

} // namespace

void torchscript::addConvolution(ConverterTable &table) {
  for (const char *name :
       {"_convolution", "_convolution_mode", "convolution", "conv1d", "conv2d", "conv3d"})
    table["aten::" + std::string(name)] = convolution;
}
