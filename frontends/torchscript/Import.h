//===- Import.h - from a TorchScript archive to the graph dialect -----------------------------===//

#ifndef DEEPSHARD_FRONTENDS_TORCHSCRIPT_IMPORT_H
#define DEEPSHARD_FRONTENDS_TORCHSCRIPT_IMPORT_H

#include "frontends/Inputs.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <string>
#include <vector>

namespace deepshard {

struct TorchScriptImportOptions {
  /// The archive that torch.jit.save wrote. The IR refers to weights in it by this name.
  std::string path;
  /// Shapes and types of the arguments of `forward`, by name.
  std::vector<InputSpec> inputs;
  /// The size of every dimension called `batch`.
  int64_t batch = 1;
  /// libds_torchscript.so; empty: $DEEPSHARD_TORCHSCRIPT_PLUGIN, else ../lib and the directory
  /// beside this program.
  std::string pluginPath;
  /// Tensors that depend on constants only are computed at import up to this many bytes each.
  int64_t foldCap = int64_t(64) << 20;
  /// Every float type becomes f64, so that scalars of the model are not rounded before a plan in
  /// f64 sees them.
  bool f64 = false;
  /// Whether to warn when the model was traced in eval mode.
  bool training = true;
};

/// Whether the file starts like a ZIP archive, as TorchScript files do.
bool isTorchScriptArchive(const std::string &path);

/// Imports method `forward` as `func.func @forward` (GraphDialect.td says what its attributes
/// mean). Weights are not read. Faults (no archive, wrong inputs, unsupported ops: all of them at
/// once) are diagnostics on `context`.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
importTorchScript(mlir::MLIRContext &context, const TorchScriptImportOptions &options);

} // namespace deepshard

#endif // DEEPSHARD_FRONTENDS_TORCHSCRIPT_IMPORT_H
