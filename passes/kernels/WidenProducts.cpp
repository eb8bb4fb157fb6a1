//===- WidenProducts.cpp - small products of bf16 and f16 become products of f32 --------------===//

#include "passes/kernels/Passes.h"

#include "dialects/graph/Graph.h"
#include "dialects/graph/KernelAttrs.h"
#include "runtime/kernels/CpuLevel.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_WIDENPRODUCTSPASS
#include "passes/kernels/Passes.h.inc"

namespace {

/// Elements of the largest tensor that may take twice the memory: logits of a few thousand tokens.
/// Larger ones are converted block by block inside the kernels of their products
/// (runtime/kernels/onednn/Widened.h).
constexpr int64_t kMostElements = int64_t{1} << 27;

bool isSmall(Type type) { return cast<RankedTensorType>(type).getNumElements() <= kMostElements; }

struct WidenProducts : impl::WidenProductsPassBase<WidenProducts> {
  using WidenProductsPassBase::WidenProductsPassBase;

  void runOnOperation() override {
    SmallVector<Operation *> products;
    for (Operation &op : getOperation().getOps())
      if (isa<graph::MatmulOp, graph::LinearOp>(op) && isWidened(op))
        products.push_back(&op);
    for (Operation *op : products)
      widen(op);
    SmallVector<graph::CrossEntropyWithGradOp> losses(
        getOperation().getOps<graph::CrossEntropyWithGradOp>());
    for (graph::CrossEntropyWithGradOp loss : losses)
      widenLoss(loss);
  }

private:
  /// Whether the library would convert the operands itself.
  bool isWidened(Operation &op) const {
    Type element = getElementTypeOrSelf(op.getOperand(0).getType());
    bool multiplies = element.isBF16() && runtime::offers(cpuLevel, runtime::kCpuLevels.back());
    return (element.isBF16() || element.isF16()) && !multiplies &&
           llvm::all_of(op.getOperandTypes(), isSmall) &&
           llvm::all_of(op.getResultTypes(), isSmall);
  }

  static void widen(Operation *op) {
    OpBuilder builder(op);
    auto convert = [&](Value value, Type element) -> Value {
      if (getElementTypeOrSelf(value.getType()) == element)
        return value;
      auto type = cast<RankedTensorType>(value.getType()).clone(element);
      auto made = graph::ConvertOp::create(builder, op->getLoc(), type, value);
      for (StringRef name : {graph::kPhaseAttr, graph::kChunkAttr})
        if (Attribute attribute = op->getAttr(name))
          made->setAttr(name, attribute);
      return made;
    };
    Type wide = builder.getF32Type();
    Value result = op->getResult(0);
    Operation *product = builder.clone(*op);
    builder.setInsertionPoint(product);
    for (OpOperand &operand : product->getOpOperands())
      operand.set(convert(operand.get(), wide));
    if (auto matmul = dyn_cast<graph::MatmulOp>(product))
      matmul.removeElementTypeAttr();
    product->getResult(0).setType(cast<RankedTensorType>(result.getType()).clone(wide));
    builder.setInsertionPointAfter(product);
    result.replaceAllUsesWith(
        convert(product->getResult(0), getElementTypeOrSelf(result.getType())));
    op->erase();
  }

  /// Logits that a product leaves in f32 only for a loss, whose gradient is widened again for
  /// products, stay f32: the narrow copies would be all that the rounding is for.
  static void widenLoss(graph::CrossEntropyWithGradOp loss) {
    auto narrowed = loss.getLogits().getDefiningOp<graph::ConvertOp>();
    auto widens = [](Operation *user) {
      return isa<graph::ConvertOp>(user) &&
             getElementTypeOrSelf(user->getResult(0).getType()).isF32();
    };
    if (!narrowed || !narrowed->hasOneUse() ||
        !getElementTypeOrSelf(narrowed.getOperand().getType()).isF32() ||
        loss.getDlogits().use_empty() || !llvm::all_of(loss.getDlogits().getUsers(), widens))
      return;
    loss.getLogitsMutable().assign(narrowed.getOperand());
    narrowed->erase();
    loss.getDlogits().setType(cast<RankedTensorType>(loss.getLogits().getType()));
    for (Operation *user : llvm::make_early_inc_range(loss.getDlogits().getUsers())) {
      user->getResult(0).replaceAllUsesWith(loss.getDlogits());
      user->erase();
    }
  }
};

} // namespace
} // namespace deepshard
