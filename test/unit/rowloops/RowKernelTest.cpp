//===- RowKernelTest.cpp - generated kernels against the reference interpreter ----------------===//

#include "GroupGenerator.h"

#include "dialects/graph/HostTensor.h"
#include "dialects/graph/Interpreter.h"
#include "passes/kernels/codegen/Compile.h"
#include "passes/kernels/rowloops/RowKernel.h"
#include "runtime/kernels/CpuLevel.h"
#include "runtime/kernels/generated/Generated.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <deque>
#include <iostream>

using namespace mlir;

namespace deepshard {
namespace {

/// A tensor in memory with strides.
struct Placed {
  runtime::TensorDesc desc;
  std::vector<char> bytes;

  char *at(int64_t index) {
    int64_t offset = 0;
    for (size_t dim = desc.shape.size(); dim-- > 0;) {
      offset += index % desc.shape[dim] * desc.strides[dim];
      index /= desc.shape[dim];
    }
    return bytes.data() + offset * static_cast<int64_t>(sizeOf(desc.dtype));
  }
};

/// Row-major with gaps behind rows, or with two leading dimensions exchanged.
Placed place(RankedTensorType type, bool isStrided, GroupGenerator::Random &random) {
  Placed placed;
  placed.desc = runtime::TensorDesc::contiguous(graph::toDType(type.getElementType()),
                                                {type.getShape().begin(), type.getShape().end()});
  std::vector<int64_t> &strides = placed.desc.strides;
  size_t rank = strides.size();
  if (isStrided && rank > 1) {
    int64_t gap = static_cast<int64_t>(random() % 3) * 16;
    std::vector<size_t> order;
    for (size_t dim = 0; dim + 1 < rank; ++dim)
      order.push_back(dim);
    std::shuffle(order.begin(), order.end(), random);
    int64_t stride = placed.desc.shape[rank - 1] + gap;
    for (size_t dim : order) {
      strides[dim] = stride;
      stride *= placed.desc.shape[dim];
    }
  }
  int64_t last = 0;
  for (size_t dim = 0; dim < rank; ++dim)
    last += (placed.desc.shape[dim] - 1) * strides[dim];
  placed.bytes.assign((last + 1) * sizeOf(placed.desc.dtype), 0x7B);
  return placed;
}

Strides stridesOf(const Placed &placed) {
  return Strides(placed.desc.strides.begin(), placed.desc.strides.end());
}

class RowKernelTest : public testing::Test {
protected:
  RowKernelTest() : module(ModuleOp::create(UnknownLoc::get(&context))) {
    context
        .loadDialect<arith::ArithDialect, func::FuncDialect, graph::GraphDialect, LLVM::LLVMDialect,
                     math::MathDialect, scf::SCFDialect, vector::VectorDialect>();
  }

  struct Case {
    func::FuncOp function;
    std::vector<graph::HostTensor> arguments;
    std::vector<Placed> inputs, outputs;
    std::optional<RowKernel> kernel;
    SmallVector<int64_t> extents;
    OwningOpRef<ModuleOp> source;
  };

  void fill(graph::HostTensor &tensor) {
    Type element = tensor.getType().getElementType();
    std::normal_distribution<float> normal;
    int64_t count = tensor.getType().getNumElements();
    for (int64_t i = 0; i < count; ++i) {
      if (element.isF32())
        tensor.as<float>()[i] = normal(random);
      else if (element.isBF16()) {
        float value = normal(random);
        uint32_t bits;
        std::memcpy(&bits, &value, 4);
        tensor.as<uint16_t>()[i] = static_cast<uint16_t>(bits >> 16);
      } else
        tensor.as<int64_t>()[i] = static_cast<int64_t>(random() % 1000);
    }
  }

  /// Plans and emits the kernel of a function on random operands.
  bool prepare(Case &test, int threads, bool isStrided, unsigned lanes) {
    for (Type type : test.function.getArgumentTypes()) {
      graph::HostTensor tensor(cast<RankedTensorType>(type));
      fill(tensor);
      bool moves = isStrided && !cast<RankedTensorType>(type).getElementType().isInteger(64);
      Placed placed = place(cast<RankedTensorType>(type), moves, random);
      for (int64_t i = 0; i < tensor.getType().getNumElements(); ++i)
        std::memcpy(placed.at(i),
                    static_cast<char *>(tensor.data()) +
                        i * static_cast<int64_t>(sizeOf(placed.desc.dtype)),
                    sizeOf(placed.desc.dtype));
      test.arguments.push_back(tensor);
      test.inputs.push_back(placed);
    }
    for (Type type : test.function.getResultTypes())
      test.outputs.push_back(place(cast<RankedTensorType>(type), isStrided, random));
    std::optional<RowLoops> loops = RowLoops::of(test.function);
    if (!loops)
      return false;
    auto strides = [](const std::vector<Placed> &places) {
      return llvm::map_to_vector(places, stridesOf);
    };
    test.kernel =
        RowKernel::of(std::move(*loops), strides(test.inputs), strides(test.outputs), threads);
    if (!test.kernel)
      return false;
    test.source = ModuleOp::create(UnknownLoc::get(&context));
    test.extents = emitRowKernel(*test.kernel, test.function.getName(), lanes, *test.source);
    EXPECT_TRUE(succeeded(verify(*test.source)));
    return true;
  }

  void run(Case &test, const runtime::GeneratedProvider &provider, int threads) {
    runtime::KernelSpec spec;
    spec.name = test.function.getName().str();
    spec.threads = threads;
    std::vector<void *> inputs, outputs;
    for (Placed &input : test.inputs) {
      spec.inputs.push_back(input.desc);
      inputs.push_back(input.bytes.data());
    }
    for (Placed &output : test.outputs) {
      spec.outputs.push_back(output.desc);
      outputs.push_back(output.bytes.data());
    }
    spec.attributes.set("extents", std::vector<int64_t>(test.extents.begin(), test.extents.end()));
    spec.attributes.set("chunks",
                        std::vector<int64_t>(test.extents.size(), test.kernel->getChunks()));
    spec.attributes.set("workspace_bytes", test.kernel->getWorkspaceBytes());
    std::vector<char> workspace(test.kernel->getWorkspaceBytes() + 64);
    auto *aligned =
        reinterpret_cast<char *>((reinterpret_cast<uintptr_t>(workspace.data()) + 63) / 64 * 64);
    provider.prepare(spec)->run({inputs, outputs, aligned});
  }

  void check(Case &test, double tolerance) {
    FailureOr<SmallVector<graph::HostTensor>> expected =
        graph::evaluateFunction(test.function, test.arguments);
    ASSERT_TRUE(succeeded(expected));
    for (auto [i, want] : llvm::enumerate(*expected)) {
      Type element = want.getType().getElementType();
      for (int64_t at = 0; at < want.getType().getNumElements(); ++at) {
        char *got = test.outputs[i].at(at);
        double a, b;
        double allowed = tolerance;
        if (element.isF32()) {
          float x;
          std::memcpy(&x, got, 4);
          a = x;
          b = want.as<float>()[at];
        } else if (element.isBF16()) {
          auto widen = [](uint16_t bits) {
            uint32_t wide = static_cast<uint32_t>(bits) << 16;
            float x;
            std::memcpy(&x, &wide, 4);
            return static_cast<double>(x);
          };
          uint16_t x;
          std::memcpy(&x, got, 2);
          a = widen(x);
          b = widen(want.as<uint16_t>()[at]);
          allowed = std::max(allowed, 8e-3);
        } else {
          a = *got;
          b = want.as<int8_t>()[at];
        }
        if (std::isnan(b) && std::isnan(a))
          continue;
        if (std::isinf(b) && a == b)
          continue;
        double error = std::abs(a - b) / std::max(1.0, std::abs(b));
        if (!(error <= allowed)) {
          std::string text;
          llvm::raw_string_ostream(text) << test.function;
          FAIL() << "result " << i << " element " << at << ": " << a << ", expected " << b << "\n"
                 << text;
        }
      }
    }
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  GroupGenerator::Random random{20261127};
};

TEST_F(RowKernelTest, RandomGroupsComputeWhatTheReferenceDoes) {
  std::string level(runtime::cpuLevel());
  unsigned lanes = level == "x86-64-v3" ? 8 : 16;
  std::deque<Case> cases;
  std::vector<KernelSource> sources;
  int strided = 0, columnLoops = 0, spilled = 0, manyPhases = 0, blocked = 0;
  for (int i = 0; i < 240; ++i) {
    GroupGenerator generator(*module, random);
    Case &test = cases.emplace_back();
    test.function =
        generator.generate("group" + std::to_string(i), 1 + static_cast<int>(random() % 24));
    if (!prepare(test, 1 + static_cast<int>(random() % 3), random() % 2, lanes)) {
      cases.pop_back();
      continue;
    }
    const RowKernel &kernel = *test.kernel;
    columnLoops += kernel.hasColumnLoop();
    spilled += !kernel.getSpills().empty();
    manyPhases += kernel.getLoops().getPhases() > 2;
    blocked += kernel.isBlocked();
    strided +=
        llvm::any_of(test.inputs, [](const Placed &input) { return !input.desc.isContiguous(); });
    sources.push_back({test.function.getName().str(), *test.source});
  }
  std::cout << cases.size() << " groups, " << strided << " strided, " << columnLoops
            << " with sums along rows, " << spilled << " with kept rows, " << manyPhases
            << " of more than two phases, " << blocked << " blocked\n";
  EXPECT_GT(cases.size(), 160u);
  EXPECT_GT(std::min({strided, columnLoops, manyPhases}), 20);
  EXPECT_GT(std::min(spilled, blocked), 4);
  CodegenOptions options;
  options.cpuLevel = level;
  FailureOr<std::string> object = compileKernels(sources, options);
  ASSERT_TRUE(succeeded(object));
  runtime::Code code(*object);
  runtime::GeneratedProvider provider(&code);
  for (Case &test : cases) {
    run(test, provider, 2);
    check(test, 3e-5);
    if (HasFatalFailure())
      return;
  }
}

} // namespace
} // namespace deepshard
