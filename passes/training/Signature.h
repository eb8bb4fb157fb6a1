//===- Signature.h - arguments and results of a function, changed in one go -------------------===//

#ifndef DEEPSHARD_PASSES_TRAINING_SIGNATURE_H
#define DEEPSHARD_PASSES_TRAINING_SIGNATURE_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace deepshard {

/// Attributes and additions that the function gets with `commit`. One by one, each would copy the
/// attributes and types of all arguments: O(arguments) a change.
class Signature {
public:
  explicit Signature(mlir::func::FuncOp function);

  /// Attributes that an argument, or a result, will have.
  mlir::NamedAttrList &argument(unsigned index) { return arguments[index]; }
  mlir::NamedAttrList &result(unsigned index) { return results[index]; }

  /// Behind the others. The argument is there at once.
  mlir::BlockArgument addArgument(mlir::Type type, mlir::DictionaryAttr attributes,
                                  mlir::Location location);
  void addResult(mlir::Value value, mlir::DictionaryAttr attributes);

  /// Changes the function, whose type becomes that of its block and terminator.
  void commit();

private:
  mlir::func::FuncOp function;
  llvm::SmallVector<mlir::NamedAttrList> arguments, results;
  llvm::SmallVector<mlir::Value> added; // results
};

} // namespace deepshard

#endif // DEEPSHARD_PASSES_TRAINING_SIGNATURE_H
