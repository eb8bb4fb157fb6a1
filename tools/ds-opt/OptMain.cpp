//===- OptMain.cpp - runs passes by name on IR -------------------------------------------------===//

#include "tools/ds-opt/Tool.h"

#include "dialects/graph/Graph.h"
#ifdef DS_HAVE_SIMPLIFY
#include "passes/simplify/Passes.h"
#endif
#ifdef DS_HAVE_TRAINING
#include "passes/training/Passes.h"
#endif

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

namespace deepshard {

void registerDialects(mlir::DialectRegistry &registry) {
  registry.insert<mlir::func::FuncDialect, graph::GraphDialect>();
}

int runPasses(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registerDialects(registry);
  mlir::registerTransformsPasses();
#ifdef DS_HAVE_SIMPLIFY
  registerSimplifyPasses();
#endif
#ifdef DS_HAVE_TRAINING
  registerTrainingPasses();
#endif
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "DeepShard's compiler: passes on IR\n", registry));
}

} // namespace deepshard
