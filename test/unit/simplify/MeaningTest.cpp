//===- MeaningTest.cpp - what a simplify pass rewrites computes the same ----------------------===//
//
// Every function of the passes' lit files is run by the interpreter on random data, before and
// after its pass: a case of a lit file is a case of this test. Recognitions are compared in f64,
// where rounding does not hide a wrong formula; constants of the lit files are rounded to f32,
// which leaves 1e-6. Folding and layout must keep every bit.
//
//===------------------------------------------------------------------------------------------===//

#include "dialects/graph/Graph.h"
#include "dialects/graph/Interpreter.h"
#include "passes/simplify/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/MemoryBuffer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <regex>

using namespace mlir;
using namespace deepshard;
using graph::HostTensor;

namespace {

struct Case {
  const char *pass;
  std::unique_ptr<Pass> (*create)();
  bool bitExact;
};

std::ostream &operator<<(std::ostream &stream, const Case &test) { return stream << test.pass; }

/// The lit file of a pass; with `inF64` its f32 becomes f64 and its bf16 f32, for which there are
/// reference kernels.
std::string readLitFile(StringRef pass, bool inF64) {
  auto buffer =
      llvm::MemoryBuffer::getFile(std::string(DEEPSHARD_LIT_DIR) + "/" + pass.str() + ".mlir");
  EXPECT_TRUE(buffer) << pass.str();
  std::string text = buffer ? (*buffer)->getBuffer().str() : "";
  if (!inF64)
    return text;
  text = std::regex_replace(text, std::regex("([x<])f32>"), "$1f64>");
  text = std::regex_replace(text, std::regex("bf16"), "f32");
  return std::regex_replace(text, std::regex("0xFF800000"), "0xFFF0000000000000");
}

/// Normal floats, flags and small integers; a random counter gets a fixed seed, step and
/// micro-batch.
HostTensor randomTensor(RankedTensorType type, std::mt19937 &generator) {
  HostTensor tensor(type);
  std::normal_distribution<double> normal;
  Type elementType = type.getElementType();
  for (int64_t i = 0; i < type.getNumElements(); ++i) {
    double number = normal(generator);
    if (elementType.isF64())
      tensor.as<double>()[i] = number;
    else if (elementType.isF32())
      tensor.as<float>()[i] = static_cast<float>(number);
    else if (elementType.isInteger(1))
      tensor.as<uint8_t>()[i] = number > 0;
    else if (elementType.isInteger(32))
      tensor.as<int32_t>()[i] = static_cast<int32_t>(number * 1000);
    else if (elementType.isInteger(64))
      tensor.as<int64_t>()[i] = i + 5;
    else
      ADD_FAILURE() << "no random numbers for this type";
  }
  return tensor;
}

double elementOf(const HostTensor &tensor, int64_t i) {
  return tensor.getType().getElementType().isF64() ? tensor.as<double>()[i] : tensor.as<float>()[i];
}

void expectEqual(const HostTensor &before, const HostTensor &after, bool bitExact) {
  ASSERT_EQ(before.getType(), after.getType());
  if (bitExact || !isa<FloatType>(before.getType().getElementType())) {
    EXPECT_EQ(std::memcmp(before.data(), after.data(), before.size()), 0);
    return;
  }
  double tolerance = before.getType().getElementType().isF64() ? 1e-6 : 1e-5;
  for (int64_t i = 0; i < before.getType().getNumElements(); ++i)
    ASSERT_NEAR(elementOf(before, i), elementOf(after, i), tolerance) << "element " << i;
}

class MeaningTest : public testing::TestWithParam<Case> {};

TEST_P(MeaningTest, IsKept) {
  const Case &test = GetParam();
  DialectRegistry registry;
  registry.insert<func::FuncDialect, graph::GraphDialect>();
  MLIRContext context(registry);
  std::string text = readLitFile(test.pass, !test.bitExact);
  OwningOpRef<ModuleOp> before = parseSourceString<ModuleOp>(text, &context);
  ASSERT_TRUE(before);
  OwningOpRef<ModuleOp> after(cast<ModuleOp>(before->getOperation()->clone()));
  PassManager manager(&context);
  manager.addNestedPass<func::FuncOp>(test.create());
  ASSERT_TRUE(succeeded(manager.run(*after)));

  std::mt19937 generator(7);
  int compared = 0;
  for (auto function : before->getOps<func::FuncOp>()) {
    SCOPED_TRACE(function.getName().str());
    std::vector<HostTensor> arguments;
    for (Type type : function.getArgumentTypes())
      arguments.push_back(randomTensor(cast<RankedTensorType>(type), generator));
    auto rewritten = after->lookupSymbol<func::FuncOp>(function.getName());
    auto expected = graph::evaluateFunction(function, arguments);
    auto actual = graph::evaluateFunction(rewritten, arguments);
    ASSERT_TRUE(succeeded(expected) && succeeded(actual));
    ASSERT_EQ(expected->size(), actual->size());
    for (size_t i = 0; i < expected->size(); ++i)
      expectEqual((*expected)[i], (*actual)[i], test.bitExact);
    ++compared;
  }
  EXPECT_GE(compared, 5) << "the lit file holds fewer cases than it did";
}

INSTANTIATE_TEST_SUITE_P(
    Simplify, MeaningTest,
    testing::Values(Case{"fold-constants", [] { return createFoldConstantsPass(); }, true},
                    Case{"simplify-layout", [] { return createSimplifyLayoutPass(); }, true},
                    Case{"recognize-attention", [] { return createRecognizeAttentionPass(); },
                         false},
                    Case{"recognize-gelu", [] { return createRecognizeGeluPass(); }, false}),
    [](const testing::TestParamInfo<Case> &info) {
      std::string name = info.param.pass;
      std::erase(name, '-');
      return name;
    });

} // namespace
