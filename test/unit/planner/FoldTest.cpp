//===- FoldTest.cpp - repeated blocks -----------------------------------------------------------===//

#include "test/unit/sharding/Testing.h"

#include "passes/planner/Fold.h"
#include "passes/training/Passes.h"

#include "mlir/Pass/PassManager.h"

using namespace mlir;

namespace deepshard {
namespace {

TEST(FoldRunsTest, TheRepetitionThatCoversMost) {
  auto text = [](ArrayRef<unsigned> kinds) {
    std::string result;
    for (const Run &run : findRuns(kinds))
      result += std::to_string(run.length) + "x" + std::to_string(run.count) + "@" +
                std::to_string(run.first) + " ";
    return result;
  };
  EXPECT_EQ(text({}), "");
  EXPECT_EQ(text({0}), "1x1@0 ");
  EXPECT_EQ(text({0, 1, 2}), "1x1@0 1x1@1 1x1@2 ");
  EXPECT_EQ(text({0, 1, 2, 1, 2, 1, 2, 3}), "1x1@0 2x3@1 1x1@7 ");
  EXPECT_EQ(text({0, 0, 1, 0, 0, 1, 2}), "3x2@0 1x1@6 ");
  EXPECT_EQ(text({0, 0, 0, 0}), "1x4@0 ");
}

class FoldTest : public sharding::ShardingTest {
public:
  /// Layers of norm, linear, gelu, linear around a residual stream, behind an embedding and in
  /// front of a loss; all of `width` but those in `wider`.
  static std::string network(unsigned layers, unsigned different = ~0U) {
    std::string arguments = "%ids: tensor<4x8xi64> {graph.input = \"ids\"}, %labels: tensor<32xi64> "
                            "{graph.input = \"labels\"}, %e: tensor<50x16xf64> {graph.parameter = "
                            "\"e\"}, %p: tensor<8x16xf64> {graph.parameter = \"p\"}";
    std::string body = "%i = graph.iota i64 0 : tensor<8xi64>\n"
                       "%x = graph.embedding %e, %ids : tensor<50x16xf64>, tensor<4x8xi64>\n"
                       "%y = graph.embedding %p, %i : tensor<8x16xf64>, tensor<8xi64>\n"
                       "%x0 = graph.add %x, %y : tensor<4x8x16xf64>, tensor<8x16xf64>\n";
    for (unsigned layer = 0; layer < layers; ++layer) {
      const std::string n = std::to_string(layer), next = std::to_string(layer + 1);
      arguments += ", %w" + n + ": tensor<16xf64> {graph.parameter = \"norm" + n + "\"}, %b" + n +
                   ": tensor<16xf64> {graph.parameter = \"bias" + n + "\"}, %u" + n +
                   ": tensor<16x64xf64> {graph.parameter = \"up" + n + "\"}, %d" + n +
                   ": tensor<64x16xf64> {graph.parameter = \"down" + n + "\"}";
      body += "%n" + n + ", %m" + n + ", %r" + n + " = graph.layer_norm %x" + n + ", %w" + n +
              ", %b" + n + " eps 1.0e-5 : tensor<4x8x16xf64>, tensor<16xf64>, tensor<16xf64>\n";
      body += "%h" + n + " = graph.linear %n" + n + ", %u" + n +
              " : tensor<4x8x16xf64>, tensor<16x64xf64>\n";
      body += "%a" + n + " = graph." + (layer == different ? "relu" : "gelu tanh") + " %h" + n +
              " : tensor<4x8x64xf64>\n";
      body += "%o" + n + " = graph.linear %a" + n + ", %d" + n +
              " : tensor<4x8x64xf64>, tensor<64x16xf64>\n";
      body += "%x" + next + " = graph.add %x" + n + ", %o" + n +
              " : tensor<4x8x16xf64>, tensor<4x8x16xf64>\n";
    }
    const std::string last = std::to_string(layers);
    body += "%logits = graph.linear %x" + last +
            ", %e transpose_weight : tensor<4x8x16xf64>, tensor<50x16xf64>\n"
            "%flat = graph.reshape %logits : tensor<4x8x50xf64> to tensor<32x50xf64>\n";
    return "func.func @forward(" + arguments + ") -> (tensor<f64> {graph.output = \"loss\"}) {\n" + body;
  }
};

} // namespace
} // namespace deepshard
