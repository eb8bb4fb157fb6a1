//===- ChunkRowsTest.cpp - models whose logits are computed in chunks ------------------------===//
//
// The oracle of what is computed is the same model with whole logits, run by the reference
// interpreter in f64: only sums over rows are added up otherwise.
//
//===------------------------------------------------------------------------------------------===//

#include "test/unit/planner/Models.h"
#include "test/unit/planner/RandomArguments.h"

#include "dialects/graph/Interpreter.h"
#include "passes/memory/Passes.h"
#include "passes/planner/Passes.h"
#include "passes/training/Passes.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <gtest/gtest.h>

using namespace mlir;

namespace deepshard {
namespace {

using graph::HostTensor;

class ChunkRowsTest : public testing::Test {
protected:
  ChunkRowsTest() { context.loadDialect<func::FuncDialect, graph::GraphDialect>(); }

  /// With gradients; `mode` is what is computed again.
  OwningOpRef<ModuleOp> prepare(const std::string &text, StringRef mode = "none") {
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
    run(module, [&](PassManager &passes) {
      buildGradientPipeline(passes, {});
      if (mode != "none")
        passes.addNestedPass<func::FuncOp>(createChooseRecompute({mode.str(), 0}));
    });
    return module;
  }

  void run(const OwningOpRef<ModuleOp> &module, function_ref<void(PassManager &)> add) {
    PassManager passes(&context);
    add(passes);
    ASSERT_TRUE(succeeded(passes.run(*module)));
  }

  void chunk(const OwningOpRef<ModuleOp> &module, int64_t chunks) {
    run(module, [&](PassManager &passes) {
      passes.addNestedPass<func::FuncOp>(createChunkRows({chunks}));
      passes.addNestedPass<func::FuncOp>(createRecompute());
    });
  }

  static func::FuncOp forward(const OwningOpRef<ModuleOp> &module) {
    return module.get().lookupSymbol<func::FuncOp>("forward");
  }

  /// The most rows of any value with rows of `columns` and more than `rows` of them or one.
  static int64_t mostRows(func::FuncOp function, int64_t columns) {
    int64_t most = 0;
    function.walk([&](Operation *op) {
      for (Value result : op->getResults()) {
        auto type = cast<RankedTensorType>(result.getType());
        if (type.getRank() > 1 && type.getShape().back() == columns)
          most = std::max(most, type.getNumElements() / columns);
      }
    });
    return most;
  }

  static void expectNear(const HostTensor &a, const HostTensor &b) {
    ASSERT_EQ(a.getType(), b.getType());
    double largest = 0, difference = 0;
    for (int64_t i = 0; i < a.getType().getNumElements(); ++i) {
      largest = std::max(largest, std::abs(b.as<double>()[i]));
      difference = std::max(difference, std::abs(a.as<double>()[i] - b.as<double>()[i]));
    }
    EXPECT_LE(difference, 1e-12 * largest);
  }

  /// The same results in `chunks`, with no more than `rows` rows of logits at a time.
  void check(const std::string &text, int64_t vocabulary, int64_t chunks, int64_t rows,
             StringRef mode = "none") {
    const OwningOpRef<ModuleOp> plain = prepare(text), module = prepare(text, mode);
    chunk(module, chunks);
    EXPECT_EQ(mostRows(forward(module), vocabulary), rows);
    const std::vector<HostTensor> arguments = randomArguments(forward(plain));
    const auto expected = graph::evaluateFunction(forward(plain), arguments);
    const auto results = graph::evaluateFunction(forward(module), arguments);
    ASSERT_TRUE(succeeded(expected) && succeeded(results));
    for (auto [result, other] : llvm::zip_equal(*results, *expected))
      expectNear(result, other);
  }

  MLIRContext context{MLIRContext::Threading::DISABLED};
};

/// So many rows of `batch` x `sequence` has the largest of at least `chunks` even chunks.
int64_t largestChunk(int64_t batch, int64_t sequence, int64_t chunks) {
  if (chunks <= batch)
    return llvm::divideCeil(batch, chunks) * sequence;
  const int64_t pieces = llvm::divideCeil(chunks, batch);
  return llvm::divideCeil(sequence, std::min(sequence, pieces));
}

/// Rows that divide and such that do not, by samples and inside them; the head of one has a bias
/// and the table of the embedding.
TEST_F(ChunkRowsTest, SameResults) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 24; ++round) {
    const int64_t batch = 1 + random() % 5, sequence = 2 + random() % 8;
    const int64_t chunks = 2 + random() % (batch * sequence);
    const int64_t rows = largestChunk(batch, sequence, chunks);
    SCOPED_TRACE(std::to_string(batch) + " x " + std::to_string(sequence) + " in " +
                 std::to_string(chunks));
    check(llama({1, 8, 2, 1, 12, 37, batch, sequence}, ModelPrecision::F64), 37, chunks, rows);
    check(bert({1, 8, 2, 12, 37, batch, sequence, true}, ModelPrecision::F64), 37, chunks, rows);
  }
}

/// What the forward would have kept and is computed again is read in chunks.
TEST_F(ChunkRowsTest, WithRecomputation) {
  for (StringRef mode : {"selective", "full"})
    for (int64_t chunks : {2, 6})
      check(llama({3, 8, 2, 1, 12, 37, 4, 6}, ModelPrecision::F64), 37, chunks,
            largestChunk(4, 6, chunks), mode);
}

/// One chunk, and a loss that is no wide value's: nothing changes.
TEST_F(ChunkRowsTest, NothingToCut) {
  const std::string texts[] = {llama({1, 8, 2, 1, 12, 37, 2, 4}, ModelPrecision::F64),
                               moe({1, 8, 2, 2, 12, 2, 4}, ModelPrecision::F64)};
  const int64_t chunks[] = {1, 4};
  for (auto [text, count] : llvm::zip(texts, chunks)) {
    const OwningOpRef<ModuleOp> module = prepare(text);
    auto printed = [&] {
      std::string result;
      llvm::raw_string_ostream(result) << *module;
      return result;
    };
    const std::string before = printed();
    chunk(module, count);
    EXPECT_EQ(printed(), before);
  }
}

} // namespace
} // namespace deepshard
