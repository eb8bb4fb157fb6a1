//===- Translate.h - from aten ops to the graph dialect ---------------------------------------===//

#ifndef DEEPSHARD_FRONTENDS_TORCHSCRIPT_TRANSLATE_H
#define DEEPSHARD_FRONTENDS_TORCHSCRIPT_TRANSLATE_H

#include "frontends/torchscript/Plugin.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace deepshard::torchscript {

/// `NameLoc("h.0.attn", FileLineCol(...))`, or what of it is known.
mlir::Location locationOf(mlir::MLIRContext *context, const Place &place);

/// Builds `@forward`, with `f64` in that type instead of every other float type. `path` is what
/// `graph.storage` calls the archive. Ops that do not reach an output are left out; all ops that
/// are not supported are reported at once.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
translate(mlir::MLIRContext &context, const ImportedGraph &graph, llvm::StringRef path, bool f64);

} // namespace deepshard::torchscript

#endif // DEEPSHARD_FRONTENDS_TORCHSCRIPT_TRANSLATE_H
