//===- RowKernelTesting.h - compiles and runs groups of ops -----------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_ROWLOOPS_ROWKERNELTESTING_H
#define DEEPSHARD_TEST_UNIT_ROWLOOPS_ROWKERNELTESTING_H

#include "dialects/graph/HostTensor.h"
#include "passes/kernels/rowloops/RowKernel.h"
#include "runtime/kernels/generated/Generated.h"

#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>

namespace deepshard {

/// A tensor in memory with strides.
struct Placed {
  runtime::TensorDesc desc;
  std::vector<char> bytes;

  /// Copies a row-major tensor here, or from here.
  void set(const graph::HostTensor &tensor);
  graph::HostTensor get(mlir::RankedTensorType type);

private:
  /// Calls `body` with each row, or element where rows do not lie in one piece, the place of its
  /// bytes in the row-major tensor, and their number.
  void forRows(llvm::function_ref<void(char *, int64_t, int64_t)> body);
};

/// Row-major; or with gaps behind rows and the leading dimensions in any order; or all in any order
/// and elements apart.
enum class Layout { RowMajor, Strided, Scattered };
Placed place(mlir::RankedTensorType type, Layout layout, std::mt19937_64 &random);
Placed place(mlir::RankedTensorType type, const Strides &strides);

/// Compares tensors of equal type. Floats differ by at most `tolerance` relative to the wanted
/// magnitude or 1; 0 demands equal bits. NaN is equal to NaN. Returns what differs, or nothing.
std::string difference(graph::HostTensor got, graph::HostTensor want, double tolerance);

/// The function on f64 in place of f32, into the same module. What it computes is not rounded to
/// f32.
mlir::func::FuncOp inDoubles(mlir::func::FuncOp function);
/// A tensor of floats in f64, or any other as it is.
graph::HostTensor toDoubles(const graph::HostTensor &tensor);
/// The opposite: the nearest f32.
graph::HostTensor toFloats(const graph::HostTensor &tensor);

/// f32 in a register of a level.
inline unsigned lanesOf(llvm::StringRef level) { return level == "x86-64-v3" ? 8 : 16; }

class RowKernelTest : public testing::Test {
protected:
  using Random = std::mt19937_64;

  RowKernelTest();
  ~RowKernelTest() override;

  /// A kernel: a group of ops for some threads, with operands.
  struct Case {
    std::string name;
    mlir::func::FuncOp function;
    std::vector<graph::HostTensor> arguments;
    std::vector<Placed> inputs, outputs;
    std::optional<RowKernel> kernel;
    mlir::OwningOpRef<mlir::ModuleOp> source;
    llvm::SmallVector<int64_t> extents;

    /// The results of the last run.
    std::vector<graph::HostTensor> results();
  };

  struct Options {
    int threads = 1;
    Layout layout = Layout::RowMajor;
    std::string level = "x86-64-v3";
  };

  /// The functions of a text are added to the module; returns the one called `name`.
  mlir::func::FuncOp parse(const std::string &text, llvm::StringRef name = "f");
  /// Replaces composites by primitives.
  static void decompose(mlir::func::FuncOp function);

  /// Normally distributed floats, small integers, random flags.
  graph::HostTensor randomTensor(mlir::RankedTensorType type);
  std::vector<graph::HostTensor> randomArguments(mlir::func::FuncOp function);
  /// Puts NaN, infinities, signed zeros and denormals in a few places of most floating-point
  /// tensors.
  void addSpecialNumbers(std::vector<graph::HostTensor> &tensors);

  /// Plans and emits the kernel of `function`; null if no row loops fit the operands. It is run
  /// after `compile`.
  Case *add(mlir::func::FuncOp function, std::vector<graph::HostTensor> arguments,
            const Options &options);
  /// Compiles all cases of a level that were added since the last call.
  void compile(const std::string &level = "x86-64-v3");
  /// Runs the kernel on fresh inputs. Output `output` of a pair (input, output) of `inPlace` lies
  /// in the bytes of the input. Chunks are run one after another unless there are threads.
  void run(Case &test, int threads = 1, llvm::ArrayRef<std::pair<unsigned, unsigned>> inPlace = {});

  /// What the reference interpreter computes.
  static std::vector<graph::HostTensor> expected(mlir::func::FuncOp function,
                                                 llvm::ArrayRef<graph::HostTensor> arguments);
  /// Fails the test if a result of the last run differs from what the interpreter computes, in f64
  /// if `inF64`.
  void check(Case &test, double tolerance, bool inF64 = false);
  static void check(mlir::func::FuncOp function, llvm::ArrayRef<graph::HostTensor> arguments,
                    llvm::ArrayRef<graph::HostTensor> got, double tolerance, bool inF64);

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  Random random{20261127};
  std::deque<Case> cases;

private:
  /// Where an argument lies; one that is only read transposed in the order in which it is read.
  Placed placeArgument(mlir::Value argument, Layout layout);

  std::map<std::string, std::vector<Case *>> waiting; // by level
  std::vector<std::unique_ptr<runtime::Code>> codes;
  llvm::DenseMap<Case *, runtime::Code *> codeOf;
};

} // namespace deepshard

#endif // DEEPSHARD_TEST_UNIT_ROWLOOPS_ROWKERNELTESTING_H
