//===- CodegenTesting.h - what tests of generated kernels share -------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_CODEGEN_CODEGENTESTING_H
#define DEEPSHARD_TEST_UNIT_CODEGEN_CODEGENTESTING_H

#include "passes/kernels/codegen/Compile.h"
#include "runtime/kernels/CpuLevel.h"
#include "runtime/kernels/generated/Generated.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

namespace deepshard {

/// A context that has the dialects of kernels; collects messages.
class CodegenTest : public testing::Test {
protected:
  // Without threads of its own, so that a test may fork.
  CodegenTest() : context(mlir::MLIRContext::Threading::DISABLED) {
    context
        .loadDialect<mlir::arith::ArithDialect, mlir::func::FuncDialect, mlir::LLVM::LLVMDialect,
                     mlir::math::MathDialect, mlir::scf::SCFDialect, mlir::vector::VectorDialect>();
    context.getDiagEngine().registerHandler(
        [this](mlir::Diagnostic &diagnostic) { messages += diagnostic.str() + "\n"; });
  }

  /// A kernel from the text of its functions.
  KernelSource source(const std::string &name, const std::string &functions) {
    modules.push_back(mlir::parseSourceString<mlir::ModuleOp>(functions, &context));
    EXPECT_TRUE(modules.back()) << messages;
    return {name, modules.back().get()};
  }

  CodegenOptions options;
  mlir::MLIRContext context;
  std::vector<mlir::OwningOpRef<mlir::ModuleOp>> modules;
  std::string messages;
};

/// The levels that this machine can run.
inline std::vector<std::string> runnableLevels() {
  std::vector<std::string> result;
  for (const char *level : {"x86-64-v3", "x86-64-v4", "x86-64-v4-bf16"})
    if (runtime::offers(runtime::cpuLevel(), level))
      result.emplace_back(level);
  return result;
}

} // namespace deepshard

#endif // DEEPSHARD_TEST_UNIT_CODEGEN_CODEGENTESTING_H
