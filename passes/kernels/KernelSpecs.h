//===- KernelSpecs.h - asks the runtime's providers about ops ---------------------------------===//
//
// The bridge from IR to runtime/kernels: element types, attributes and operand types in the
// runtime's terms.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_KERNELSPECS_H
#define DEEPSHARD_PASSES_KERNELS_KERNELSPECS_H

#include "dialects/plan/Plan.h"
#include "runtime/kernels/Kernel.h"

namespace deepshard {

/// Name by which providers know the kernel of a graph op.
llvm::StringRef kernelName(mlir::Operation *op);

/// The kernel's attributes: the op's own, for attention which optional operands it has, and
/// `atomic`.
mlir::DictionaryAttr kernelAttributes(mlir::Operation *op);

/// The operands of the kernel.
llvm::SmallVector<mlir::Value> kernelOperands(mlir::Operation *op);

/// The op whose kernel computes the sum `op`, accumulating (`fuse-accumulation`): it has no
/// provider itself. Null for all others. The functions above see through it.
mlir::Operation *accumulatedBy(mlir::Operation *op);
/// Whether `op` is computed by the kernel of the sum that it is added to.
bool isAccumulated(mlir::Operation *op);

/// The kernel of `op` on contiguous operands of their types.
runtime::KernelSpec contiguousSpec(mlir::Operation *op, int threads);

/// The providers of attention and of products on GPUs.
inline constexpr llvm::StringLiteral kCudnnProvider("cudnn");
inline constexpr llvm::StringLiteral kCublasltProvider("cublaslt");

/// Whether `provider` is a library of GPUs: the plan says how much workspace a kernel gets
/// (attribute `workspace_bytes`), and its operands are aligned for the widest access.
inline bool isGpuLibrary(llvm::StringRef provider) {
  return provider == kCudnnProvider || provider == kCublasltProvider;
}

/// The provider that plans call `name`, as one asks it before there is a plan: those of GPUs answer
/// without one. Null if there is none of that name.
const runtime::KernelProvider *plannedProvider(llvm::StringRef name);

/// Who runs primitives that no other provider of the backend runs.
inline llvm::StringRef primitivesProvider(bool isGpu) { return isGpu ? "cuda" : "reference"; }

/// Row-major or strided operand types in the runtime's terms.
runtime::TensorDesc tensorDesc(mlir::RankedTensorType type);
runtime::TensorDesc tensorDesc(plan::ViewType type);

/// What the addresses of a launch's operands, inputs before outputs, are multiples of, up to what
/// the widest access of a GPU needs.
llvm::SmallVector<int64_t> alignmentsOf(plan::LaunchOp launch);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_KERNELSPECS_H
