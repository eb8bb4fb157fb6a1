//===- Passes.h - passes inside a kernel ------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_CODEGEN_PASSES_H
#define DEEPSHARD_PASSES_KERNELS_CODEGEN_PASSES_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/Pass.h"

namespace deepshard {

#define GEN_PASS_DECL
#include "passes/kernels/codegen/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/kernels/codegen/Passes.h.inc"

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_CODEGEN_PASSES_H
