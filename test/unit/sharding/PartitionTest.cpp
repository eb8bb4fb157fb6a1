//===- PartitionTest.cpp - whole programs, split at random, against one rank ------------------===//
//
// Blocks of models are given random layouts of their arguments and results on random meshes,
// propagated, partitioned and run on simulated ranks; what the ranks return is joined and compared
// with the whole program, in f64. Whatever the layouts are, the numbers must not change. So it is
// with layouts that choose-layouts finds around some that are given.
//
//===------------------------------------------------------------------------------------------===//

#include "test/unit/sharding/Testing.h"

#include "dialects/graph/Interpreter.h"
#include "passes/planner/Passes.h"
#include "passes/sharding/Passes.h"

#include "mlir/Pass/PassManager.h"

#include <cmath>

using namespace mlir;

namespace deepshard::sharding {
namespace {

using graph::HostTensor;

constexpr const char *kMeshes[] = {R"(["a" = 2])",          R"(["a" = 3])",
                                   R"(["a" = 2, "b" = 2])", R"(["a" = 2, "b" = 3])",
                                   R"(["a" = 4, "b" = 2])", R"(["a" = 2, "b" = 2, "c" = 2])"};

struct Program {
  const char *name;
  const char *text;
};

const Program kPrograms[] = {
    {"mlp with bias, residual and layer norm", R"(
func.func @f(%x: tensor<4x6x8xf64>, %g: tensor<8xf64>, %b: tensor<8xf64>, %w: tensor<8x12xf64>, %c: tensor<12xf64>,
             %v: tensor<12x8xf64>, %d: tensor<8xf64>) -> (tensor<4x6x8xf64>, tensor<4x6xf64>) {
  %n, %m, %r = graph.layer_norm %x, %g, %b eps 1.0e-5 : tensor<4x6x8xf64>, tensor<8xf64>, tensor<8xf64>
  %h = graph.linear %n, %w, %c : tensor<4x6x8xf64>, tensor<8x12xf64>, tensor<12xf64>
  %a = graph.gelu tanh %h : tensor<4x6x12xf64>
  %y = graph.linear %a, %v, %d : tensor<4x6x12xf64>, tensor<12x8xf64>, tensor<8xf64>
  %z = graph.add %x, %y : tensor<4x6x8xf64>, tensor<4x6x8xf64>
  return %z, %m : tensor<4x6x8xf64>, tensor<4x6xf64>
})"},
    {"gated mlp behind an rms norm", R"(
func.func @f(%x: tensor<4x6x8xf64>, %g: tensor<8xf64>, %w: tensor<12x8xf64>, %u: tensor<12x8xf64>, %v: tensor<8x12xf64>)
    -> tensor<4x6x8xf64> {
  %q = graph.mul %x, %x : tensor<4x6x8xf64>, tensor<4x6x8xf64>
  %s = graph.reduce_sum %q dims [2] keep_dims : tensor<4x6x8xf64>
  %e = graph.constant dense<1.0e-5> : tensor<f64>
  %t = graph.add %s, %e : tensor<4x6x1xf64>, tensor<f64>
  %r = graph.rsqrt %t : tensor<4x6x1xf64>
  %n = graph.mul %x, %r : tensor<4x6x8xf64>, tensor<4x6x1xf64>
  %m = graph.mul %n, %g : tensor<4x6x8xf64>, tensor<8xf64>
  %a = graph.linear %m, %w transpose_weight : tensor<4x6x8xf64>, tensor<12x8xf64>
  %b = graph.sigmoid %a : tensor<4x6x12xf64>
  %c = graph.mul %a, %b : tensor<4x6x12xf64>, tensor<4x6x12xf64>
  %d = graph.linear %m, %u transpose_weight : tensor<4x6x8xf64>, tensor<12x8xf64>
  %h = graph.mul %c, %d : tensor<4x6x12xf64>, tensor<4x6x12xf64>
  %y = graph.linear %h, %v transpose_weight : tensor<4x6x12xf64>, tensor<8x12xf64>
  return %y : tensor<4x6x8xf64>
})"},
    {"attention with grouped heads", R"(
func.func @f(%x: tensor<2x6x8xf64>, %wq: tensor<8x16xf64>, %wk: tensor<8x8xf64>, %wv: tensor<8x8xf64>, %wo: tensor<16x8xf64>)
    -> tensor<2x6x8xf64> {
  %q = graph.linear %x, %wq : tensor<2x6x8xf64>, tensor<8x16xf64>
  %k = graph.linear %x, %wk : tensor<2x6x8xf64>, tensor<8x8xf64>
  %v = graph.linear %x, %wv : tensor<2x6x8xf64>, tensor<8x8xf64>
  %q1 = graph.reshape %q : tensor<2x6x16xf64> to tensor<2x6x4x4xf64>
  %k1 = graph.reshape %k : tensor<2x6x8xf64> to tensor<2x6x2x4xf64>
  %v1 = graph.reshape %v : tensor<2x6x8xf64> to tensor<2x6x2x4xf64>
  %q2 = graph.transpose %q1 [0, 2, 1, 3] : tensor<2x6x4x4xf64>
  %k2 = graph.transpose %k1 [0, 2, 1, 3] : tensor<2x6x2x4xf64>
  %v2 = graph.transpose %v1 [0, 2, 1, 3] : tensor<2x6x2x4xf64>
  %o, %l = graph.attention %q2, %k2, %v2 scale 0.5 causal : tensor<2x4x6x4xf64>, tensor<2x2x6x4xf64>, tensor<2x2x6x4xf64>
  %o1 = graph.transpose %o [0, 2, 1, 3] : tensor<2x4x6x4xf64>
  %o2 = graph.reshape %o1 : tensor<2x6x4x4xf64> to tensor<2x6x16xf64>
  %y = graph.linear %o2, %wo : tensor<2x6x16xf64>, tensor<16x8xf64>
  return %y : tensor<2x6x8xf64>
})"},
    {"attention with dropout and its gradient", R"(
func.func @f(%q: tensor<2x4x12x2xf64>, %k: tensor<2x2x12x2xf64>, %v: tensor<2x2x12x4xf64>, %d: tensor<2x4x12x4xf64>,
             %c: tensor<3xi64>)
    -> (tensor<2x4x12x4xf64>, tensor<2x4x12x2xf64>, tensor<2x2x12x2xf64>, tensor<2x2x12x4xf64>) {
  %q1 = graph.tanh %q : tensor<2x4x12x2xf64>
  %o, %l = graph.attention %q1, %k, %v counter %c scale 0.5 causal {dropout = 0.25, id = 2 : i64}
      : tensor<2x4x12x2xf64>, tensor<2x2x12x2xf64>, tensor<2x2x12x4xf64>, tensor<3xi64>
  %dq, %dk, %dv = graph.attention_grad %d, %q1, %k, %v, %o, %l counter %c scale 0.5 causal {dropout = 0.25, id = 2 : i64}
      : tensor<2x4x12x4xf64>, tensor<2x4x12x2xf64>, tensor<2x2x12x2xf64>, tensor<2x2x12x4xf64>, tensor<2x4x12x4xf64>,
        tensor<2x4x12xf64>, tensor<3xi64>
  return %o, %dq, %dk, %dv : tensor<2x4x12x4xf64>, tensor<2x4x12x2xf64>, tensor<2x2x12x2xf64>, tensor<2x2x12x4xf64>
})"},
    {"embedding, tied head, loss and its gradient", R"(
func.func @f(%w: tensor<12x8xf64>, %i: tensor<2x6xi64>, %t: tensor<12xi64>) -> (tensor<f64>, tensor<12x8xf64>) {
  %x = graph.embedding %w, %i : tensor<12x8xf64>, tensor<2x6xi64>
  %l = graph.linear %x, %w transpose_weight : tensor<2x6x8xf64>, tensor<12x8xf64>
  %n = graph.reshape %l : tensor<2x6x12xf64> to tensor<12x12xf64>
  %s, %c, %e = graph.cross_entropy %n, %t ignore_index 3 : tensor<12x12xf64>, tensor<12xi64>
  %loss = graph.div %s, %c : tensor<f64>, tensor<f64>
  %one = graph.constant dense<1.0> : tensor<f64>
  %d = graph.div %one, %c : tensor<f64>, tensor<f64>
  %dn = graph.cross_entropy_grad %n, %t, %e, %d ignore_index 3 : tensor<12x12xf64>, tensor<12xi64>, tensor<12xf64>, tensor<f64>
  %dl = graph.reshape %dn : tensor<12x12xf64> to tensor<2x6x12xf64>
  %dx = graph.matmul %dl, %w batch [] x [] contract [2] x [0] : tensor<2x6x12xf64>, tensor<12x8xf64>
  %dh = graph.matmul %dl, %x batch [] x [] contract [0, 1] x [0, 1] : tensor<2x6x12xf64>, tensor<2x6x8xf64>
  %de = graph.embedding_grad %dx, %i rows 12 : tensor<2x6x8xf64>, tensor<2x6xi64>
  %dw = graph.add %dh, %de : tensor<12x8xf64>, tensor<12x8xf64>
  return %loss, %dw : tensor<f64>, tensor<12x8xf64>
})"},
    {"embedding, tied head, loss of rows in two dimensions and its gradient", R"(
func.func @f(%w: tensor<12x8xf64>, %i: tensor<2x6xi64>, %t: tensor<2x6xi64>) -> (tensor<f64>, tensor<12x8xf64>) {
  %x = graph.embedding %w, %i : tensor<12x8xf64>, tensor<2x6xi64>
  %l = graph.linear %x, %w transpose_weight : tensor<2x6x8xf64>, tensor<12x8xf64>
  %s, %c, %e = graph.cross_entropy %l, %t ignore_index 3 : tensor<2x6x12xf64>, tensor<2x6xi64>
  %loss = graph.div %s, %c : tensor<f64>, tensor<f64>
  %one = graph.constant dense<1.0> : tensor<f64>
  %d = graph.div %one, %c : tensor<f64>, tensor<f64>
  %dl = graph.cross_entropy_grad %l, %t, %e, %d ignore_index 3 : tensor<2x6x12xf64>, tensor<2x6xi64>, tensor<2x6xf64>, tensor<f64>
  %dx = graph.matmul %dl, %w batch [] x [] contract [2] x [0] : tensor<2x6x12xf64>, tensor<12x8xf64>
  %dh = graph.matmul %dl, %x batch [] x [] contract [0, 1] x [0, 1] : tensor<2x6x12xf64>, tensor<2x6x8xf64>
  %de = graph.embedding_grad %dx, %i rows 12 : tensor<2x6x8xf64>, tensor<2x6xi64>
  %dw = graph.add %dh, %de : tensor<12x8xf64>, tensor<12x8xf64>
  return %loss, %dw : tensor<f64>, tensor<12x8xf64>
})"},
    {"convolutions with a norm of channels, residual, loss and its gradient", R"(
func.func @f(%x: tensor<4x4x6x5xf64>, %w: tensor<8x4x3x3xf64>, %g: tensor<8x1x1xf64>, %b: tensor<8x1x1xf64>,
             %d: tensor<8x1x3x3xf64>, %p: tensor<12x8x1x1xf64>, %q: tensor<8x6x2x1xf64>, %t: tensor<4x8x3x3xf64>)
    -> (tensor<f64>, tensor<8x4x3x3xf64>, tensor<8x1x3x3xf64>, tensor<12x8x1x1xf64>, tensor<8x6x2x1xf64>) {
  %c = graph.convolution %x, %w strides [2, 2] low [1, 1] high [1, 1] dilations [1, 1] groups 1 : tensor<4x4x6x5xf64>, tensor<8x4x3x3xf64>
  %s = graph.mul %c, %c : tensor<4x8x3x3xf64>, tensor<4x8x3x3xf64>
  %m = graph.reduce_sum %s dims [1] keep_dims : tensor<4x8x3x3xf64>
  %e = graph.constant dense<1.0e-5> : tensor<f64>
  %v = graph.add %m, %e : tensor<4x1x3x3xf64>, tensor<f64>
  %r = graph.rsqrt %v : tensor<4x1x3x3xf64>
  %n = graph.mul %c, %r : tensor<4x8x3x3xf64>, tensor<4x1x3x3xf64>
  %ng = graph.mul %n, %g : tensor<4x8x3x3xf64>, tensor<8x1x1xf64>
  %nb = graph.add %ng, %b : tensor<4x8x3x3xf64>, tensor<8x1x1xf64>
  %h = graph.convolution %nb, %d strides [1, 1] low [1, 1] high [1, 1] dilations [1, 1] groups 8 : tensor<4x8x3x3xf64>, tensor<8x1x3x3xf64>
  %u = graph.convolution %h, %p strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : tensor<4x8x3x3xf64>, tensor<12x8x1x1xf64>
  %a = graph.gelu tanh %u : tensor<4x12x3x3xf64>
  %y = graph.convolution %a, %q strides [1, 1] low [2, 0] high [0, 0] dilations [2, 1] groups 2 : tensor<4x12x3x3xf64>, tensor<8x6x2x1xf64>
  %z = graph.add %y, %nb : tensor<4x8x3x3xf64>, tensor<4x8x3x3xf64>
  %l = graph.mul %z, %t : tensor<4x8x3x3xf64>, tensor<4x8x3x3xf64>
  %loss = graph.reduce_sum %l dims [0, 1, 2, 3] : tensor<4x8x3x3xf64>
  %dq = graph.convolution_weight_grad %t, %a sizes [2, 1] strides [1, 1] low [2, 0] high [0, 0] dilations [2, 1] groups 2 : tensor<4x8x3x3xf64>, tensor<4x12x3x3xf64>
  %da = graph.convolution_input_grad %t, %q sizes [3, 3] strides [1, 1] low [2, 0] high [0, 0] dilations [2, 1] groups 2 : tensor<4x8x3x3xf64>, tensor<8x6x2x1xf64>
  %du = graph.gelu_grad tanh %da, %u : tensor<4x12x3x3xf64>
  %dp = graph.convolution_weight_grad %du, %h sizes [1, 1] strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : tensor<4x12x3x3xf64>, tensor<4x8x3x3xf64>
  %dh = graph.convolution_input_grad %du, %p sizes [3, 3] strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : tensor<4x12x3x3xf64>, tensor<12x8x1x1xf64>
  %dd = graph.convolution_weight_grad %dh, %nb sizes [3, 3] strides [1, 1] low [1, 1] high [1, 1] dilations [1, 1] groups 8 : tensor<4x8x3x3xf64>, tensor<4x8x3x3xf64>
  %db = graph.convolution_input_grad %dh, %d sizes [3, 3] strides [1, 1] low [1, 1] high [1, 1] dilations [1, 1] groups 8 : tensor<4x8x3x3xf64>, tensor<8x1x3x3xf64>
  %dz = graph.add %db, %t : tensor<4x8x3x3xf64>, tensor<4x8x3x3xf64>
  %dg = graph.mul %dz, %g : tensor<4x8x3x3xf64>, tensor<8x1x1xf64>
  %k0 = graph.mul %dg, %n : tensor<4x8x3x3xf64>, tensor<4x8x3x3xf64>
  %k1 = graph.reduce_sum %k0 dims [1] keep_dims : tensor<4x8x3x3xf64>
  %k2 = graph.mul %n, %k1 : tensor<4x8x3x3xf64>, tensor<4x1x3x3xf64>
  %k3 = graph.sub %dg, %k2 : tensor<4x8x3x3xf64>, tensor<4x8x3x3xf64>
  %dc = graph.mul %k3, %r : tensor<4x8x3x3xf64>, tensor<4x1x3x3xf64>
  %dw = graph.convolution_weight_grad %dc, %x sizes [3, 3] strides [2, 2] low [1, 1] high [1, 1] dilations [1, 1] groups 1 : tensor<4x8x3x3xf64>, tensor<4x4x6x5xf64>
  return %loss, %dw, %dd, %dp, %dq : tensor<f64>, tensor<8x4x3x3xf64>, tensor<8x1x3x3xf64>, tensor<12x8x1x1xf64>, tensor<8x6x2x1xf64>
})"},
    {"dropout keeps its mask", R"(
func.func @f(%x: tensor<4x6xf64>, %c: tensor<3xi64>, %w: tensor<6x8xf64>) -> tensor<4x8xf64> {
  %d = graph.dropout %x, %c p 0.5 id 3 : tensor<4x6xf64>, tensor<3xi64>
  %y = graph.linear %d, %w : tensor<4x6xf64>, tensor<6x8xf64>
  %z = graph.dropout %y, %c p 0.25 id 4 : tensor<4x8xf64>, tensor<3xi64>
  return %z : tensor<4x8xf64>
})"},
};

class PartitionTest : public ShardingTest {
protected:
  static HostTensor randomTensor(RankedTensorType type, Random &random) {
    HostTensor tensor(type);
    for (int64_t i = 0; i < type.getNumElements(); ++i) {
      if (type.getElementType().isF64())
        tensor.as<double>()[i] = std::uniform_real_distribution<double>(-1, 1)(random);
      else
        tensor.as<int64_t>()[i] = static_cast<int64_t>(random() % 12);
    }
    return tensor;
  }

  static double distance(const HostTensor &a, const HostTensor &b) {
    double most = 0, scale = 1;
    for (int64_t i = 0; i < a.getType().getNumElements(); ++i) {
      double apart = std::abs(a.as<double>()[i] - b.as<double>()[i]);
      if (!(apart <= most)) // also if it is not a number
        most = apart;
      scale = std::max(scale, std::abs(b.as<double>()[i]));
    }
    return most / scale;
  }

  /// Returns false if there are too many layouts to search. With `searches`, two of
  /// three arguments are parameters that the search places, and results are whole.
  bool check(const Program &program, const char *axes, Random &random, bool searches) {
    OwningOpRef<ModuleOp> module = parse(axes, program.text);
    EXPECT_TRUE(module);
    auto function = *module->getOps<func::FuncOp>().begin();
    // A sequence that is cut goes round, or to the heads where these divide.
    if (random() % 2)
      (*module)->setAttr(kAttentionAttr, StringAttr::get(&context, kRing));
    MeshAttr grid = mesh(axes);
    std::vector<HostTensor> arguments;
    for (auto [index, type] : llvm::enumerate(function.getArgumentTypes())) {
      auto tensorType = cast<RankedTensorType>(type);
      LayoutAttr layout = randomLayout(tensorType, grid, random);
      if (searches && random() % 3 != 0 && tensorType.getElementType().isF64())
        function.setArgAttr(index, graph::kParameterAttr,
                            StringAttr::get(&context, "p" + std::to_string(index)));
      else
        function.setArgAttr(index, kLayoutAttr, layout);
      arguments.push_back(randomTensor(tensorType, random));
    }
    for (auto [index, type] : llvm::enumerate(function.getResultTypes()))
      if (!searches)
        function.setResultAttr(index, kLayoutAttr,
                               randomLayout(cast<RankedTensorType>(type), grid, random));
    FailureOr<SmallVector<HostTensor>> expected = graph::evaluateFunction(function, arguments);
    EXPECT_TRUE(succeeded(expected));

    std::string message;
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
      message += diagnostic.str() + "\n";
      return success();
    });
    PassManager passes(&context);
    if (searches)
      passes.addPass(createChooseLayouts());
    passes.addPass(createPropagateLayouts());
    passes.addPass(createVerifyAnnotated());
    passes.addPass(createPartition());
    if (failed(passes.run(*module))) {
      EXPECT_TRUE(searches && StringRef(message).contains("too many layouts")) << message;
      return false;
    }
    std::vector<Parts> parts;
    for (auto [argument, value] : llvm::zip_equal(function.getArguments(), arguments))
      parts.push_back(split(value, layoutOf(argument), grid));
    FailureOr<std::vector<Parts>> returned = evaluateOnRanks(function, grid, parts);
    EXPECT_TRUE(succeeded(returned)) << message;
    if (failed(returned))
      return false;
    auto emit = [&] { return emitError(function.getLoc()); };
    for (unsigned index = 0; index < function.getNumResults(); ++index) {
      auto layout = function.getResultAttrOfType<LayoutAttr>(index, kLayoutAttr);
      FailureOr<HostTensor> whole = join(emit, (*returned)[index], layout, grid);
      EXPECT_TRUE(succeeded(whole)) << message;
      if (succeeded(whole)) {
        EXPECT_LE(distance(*whole, (*expected)[index]), 1e-12) << "result " << index;
      }
    }
    return true;
  }

  void checkAll(int trials, bool searches) {
    for (const Program &program : kPrograms) {
      int checked = 0;
      for (const char *axes : kMeshes)
        for (int trial = 0; trial < trials; ++trial) {
          SCOPED_TRACE(std::string(program.name) + " on " + axes + ", trial " +
                       std::to_string(trial));
          Random random(trial);
          checked += check(program, axes, random, searches);
          if (HasFailure())
            return;
        }
      EXPECT_GT(checked, 2 * trials) << program.name;
    }
  }
};

TEST_F(PartitionTest, RandomLayouts) { checkAll(25, /*searches=*/false); }

TEST_F(PartitionTest, LayoutsThatTheSearchFinds) { checkAll(2, /*searches=*/true); }

} // namespace
} // namespace deepshard::sharding
