//===- KernelNames.h - what a generated kernel is called after --------------------------------===//
//
// A hash says nothing to who reads a profile. The ops that replace a composite carry its name in
// their location, where no rewrite looks, and a kernel is called after the composites and other ops
// that it holds.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_KERNELS_KERNELNAMES_H
#define DEEPSHARD_PASSES_KERNELS_KERNELNAMES_H

#include "mlir/IR/Operation.h"

namespace deepshard {

/// The location of the ops that `composite` is replaced by.
mlir::Location locationWithin(mlir::Operation *composite);
/// `location` without the name of a composite.
mlir::Location withoutComposite(mlir::Location location);

/// "dropout_add_layer_norm": the composites and other ops of which `ops` consist, at most four, in
/// the order of the program; conversions only where there is nothing else.
std::string nameOf(llvm::ArrayRef<mlir::Operation *> ops);

} // namespace deepshard

#endif // DEEPSHARD_PASSES_KERNELS_KERNELNAMES_H
