//===- MutantTest.cpp - kernels with a fault sown in ------------------------------------------===//
//
// Each fault is one that a generator could make. Running the kernel on the host or by the
// interpreter finds it: something goes wrong, or a result differs from the reference.
//
//===------------------------------------------------------------------------------------------===//

#include "GpuKernelTesting.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <iostream>

using namespace mlir;

namespace deepshard {
namespace {

using graph::HostTensor;

class MutantTest : public GpuKernelTest {
protected:
  /// Normalisations with sums along the rows, of 24 rows.
  func::FuncOp norms(int64_t columns, bool hasSums) {
    std::string n = std::to_string(columns), x = "tensor<24x" + n + "xf32>",
                w = "tensor<" + n + "xf32>", row = "tensor<24xf32>",
                name = "norms" + std::to_string(++count);
    std::string sums = "  %s = graph.reduce_sum %y dims [0] : " + x + "\n";
    func::FuncOp function = parse(
        "func.func @" + name + "(%x: " + x + ", %w: " + w + ", %b: " + w + ") -> (" + x + ", " +
            row + (hasSums ? ", " + w : "") + ") {\n" +
            "  %y, %mean, %rstd = graph.layer_norm %x, %w, %b eps 1.0e-5 : " + x + ", " + w + ", " +
            w + "\n" + (hasSums ? sums : "") + "  return %y, %mean" + (hasSums ? ", %s" : "") +
            " : " + x + ", " + row + (hasSums ? ", " + w : "") + "\n}",
        name);
    decompose(function);
    return function;
  }

  /// Whether any way of running the kernel finds it wrong.
  bool isCaught(GpuCase &test, std::string &how) {
    std::vector<HostTensor> want = expected(test.function, test.arguments);
    for (int attempt = 0; attempt < 8; ++attempt)
      for (Way way : {Way::Interpreter, Way::Host}) {
        how = run(test, way);
        if (!how.empty())
          return true;
        std::vector<HostTensor> got = test.results();
        for (size_t i = 0; i < got.size(); ++i)
          if (how = difference(got[i], want[i], 1e-4); !how.empty())
            return true;
      }
    return false;
  }

  /// Sows the fault at every place where `sow` finds one: it is called with ever higher numbers and
  /// changes that place, or returns false if there is no such.
  void expectCaught(const std::string &fault, func::FuncOp function, int atLeast,
                    llvm::function_ref<bool(ModuleOp, int)> sow) {
    std::vector<HostTensor> arguments = randomArguments(function);
    for (int place = 0;; ++place) {
      GpuCase *test = addGpu(function, arguments);
      ASSERT_TRUE(test);
      if (!sow(*test->source, place)) {
        EXPECT_GE(place, atLeast) << fault;
        return;
      }
      compile(*test);
      if (HasFatalFailure())
        return;
      std::string how;
      EXPECT_TRUE(isCaught(*test, how))
          << fault << " " << place << " of " << function.getName().str() << " goes unnoticed\n"
          << test->ptx;
      std::cout << fault << " " << place << ": " << how << "\n";
    }
  }

  template <typename Op> static Op find(ModuleOp module, int place, auto &&accepts) {
    Op found;
    module.walk([&](Op op) {
      if (!found && accepts(op) && place-- == 0)
        found = op;
    });
    return found;
  }
  template <typename Op> static Op find(ModuleOp module, int place) {
    return find<Op>(module, place, [](Op) { return true; });
  }

  int count = 0;
};

constexpr int64_t kWarpColumns = 96, kBlockColumns = 4096;

TEST_F(MutantTest, BarrierRemoved) {
  auto sow = [](ModuleOp module, int place) {
    auto barrier = find<gpu::BarrierOp>(module, place);
    if (barrier)
      barrier.erase();
    return static_cast<bool>(barrier);
  };
  expectCaught("barrier", norms(kBlockColumns, false), 2, sow);
  expectCaught("barrier", norms(kWarpColumns, true), 1, sow);
}

TEST_F(MutantTest, WrongShuffle) {
  auto sow = [](ModuleOp module, int place) {
    auto shuffle = find<gpu::ShuffleOp>(module, place);
    if (!shuffle)
      return false;
    APInt distance;
    (void)matchPattern(shuffle.getOffset(), m_ConstantInt(&distance));
    OpBuilder builder(shuffle);
    int32_t wrong = distance == 1 ? 2 : static_cast<int32_t>(distance.getZExtValue() / 2);
    shuffle.getOffsetMutable().assign(
        arith::ConstantIntOp::create(builder, shuffle.getLoc(), wrong, 32));
    return true;
  };
  expectCaught("shuffle", norms(kWarpColumns, false), 10, sow);
}

TEST_F(MutantTest, ShuffleOfSomeLanes) {
  auto sow = [](ModuleOp module, int place) {
    auto shuffle = find<gpu::ShuffleOp>(module, place);
    if (!shuffle)
      return false;
    OpBuilder builder(shuffle);
    shuffle.getWidthMutable().assign(
        arith::ConstantIntOp::create(builder, shuffle.getLoc(), 16, 32));
    return true;
  };
  expectCaught("shuffle", norms(kWarpColumns, false), 10, sow);
}

TEST_F(MutantTest, OneMore) {
  // Of rows, of columns, of chunks.
  auto sow = [](ModuleOp module, int place) {
    auto loop = find<scf::ForOp>(module, place);
    if (!loop)
      return false;
    OpBuilder builder(loop);
    Type type = loop.getUpperBound().getType();
    Value one = arith::ConstantIntOp::create(builder, loop.getLoc(), type, 1);
    loop.getUpperBoundMutable().assign(
        arith::AddIOp::create(builder, loop.getLoc(), loop.getUpperBound(), one));
    return true;
  };
  expectCaught("row", norms(kWarpColumns, false), 1, sow);
}

TEST_F(MutantTest, MisalignedAccess) {
  auto isVector = [](Type type) {
    auto vector = dyn_cast<VectorType>(type);
    return vector && vector.getNumElements() > 1;
  };
  auto shift = [](Value address, Operation *op) {
    OpBuilder builder(op);
    return LLVM::GEPOp::create(builder, op->getLoc(), address.getType(), builder.getF32Type(),
                               address, LLVM::GEPArg(1));
  };
  func::FuncOp function = norms(kWarpColumns, false);
  expectCaught("load", function, 3, [&](ModuleOp module, int place) {
    auto load = find<LLVM::LoadOp>(module, place, [&](auto op) { return isVector(op.getType()); });
    if (load)
      load.getAddrMutable().assign(shift(load.getAddr(), load));
    return static_cast<bool>(load);
  });
  expectCaught("store", function, 1, [&](ModuleOp module, int place) {
    auto store = find<LLVM::StoreOp>(module, place,
                                     [&](auto op) { return isVector(op.getValue().getType()); });
    if (store)
      store.getAddrMutable().assign(shift(store.getAddr(), store));
    return static_cast<bool>(store);
  });
}

/// What one thread should do is done by all.
TEST_F(MutantTest, ConditionRemoved) {
  auto sow = [](ModuleOp module, int place) {
    auto conditional = find<scf::IfOp>(module, place);
    if (!conditional)
      return false;
    OpBuilder builder(conditional);
    conditional.getConditionMutable().assign(
        arith::ConstantIntOp::create(builder, conditional.getLoc(), 1, 1));
    return true;
  };
  expectCaught("condition", norms(kWarpColumns, true), 2, sow);
}

} // namespace
} // namespace deepshard
