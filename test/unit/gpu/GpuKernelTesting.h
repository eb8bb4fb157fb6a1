//===- GpuKernelTesting.h - kernels for GPUs, run without one ---------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_GPU_GPUKERNELTESTING_H
#define DEEPSHARD_TEST_UNIT_GPU_GPUKERNELTESTING_H

#include "HostGpu.h"
#include "PtxInterpreter.h"
#include "test/unit/rowloops/RowKernelTesting.h"

#include "passes/kernels/codegen/Lower.h"
#include "passes/kernels/codegen/Ptx.h"

namespace deepshard {

class GpuKernelTest : public RowKernelTest {
protected:
  GpuKernelTest();

  /// How a kernel is run: its device IR by the host, or its PTX by the interpreter.
  enum class Way { Host, Interpreter };

  struct GpuCase {
    std::string name;
    mlir::func::FuncOp function;
    std::vector<graph::HostTensor> arguments;
    std::vector<Placed> inputs, outputs;
    std::vector<size_t> shifts; // bytes from an aligned address to each operand
    std::optional<GpuKernel> kernel;
    mlir::OwningOpRef<mlir::ModuleOp> source;
    llvm::SmallVector<GpuFunction> launches;
    std::string ptx;
    std::map<std::string, ptx::Function> functions; // of the PTX

    std::vector<graph::HostTensor> results();
  };

  /// Plans and emits the kernel of `function`; null if no row loops fit the operands. Strided
  /// operands lie at addresses that are aligned to their elements only.
  GpuCase *addGpu(mlir::func::FuncOp function, std::vector<graph::HostTensor> arguments,
                  bool isStrided = false);
  /// The same for operands, inputs before outputs, of these strides at addresses of these
  /// alignments. Where elements of an argument share their place, it gets what is stored there.
  GpuCase *addGpu(mlir::func::FuncOp function, std::vector<graph::HostTensor> arguments,
                  llvm::ArrayRef<Strides> strides, llvm::ArrayRef<int64_t> alignments);
  /// Compiles what has been emitted, or been made of it.
  void compile(GpuCase &test);
  /// Runs the kernel on fresh inputs. Output `output` of a pair (input, output) of `inPlace` lies
  /// in the bytes of the input. Returns what went wrong, or nothing.
  std::string run(GpuCase &test, Way way,
                  llvm::ArrayRef<std::pair<unsigned, unsigned>> inPlace = {});
  /// Runs it both ways; fails the test if anything goes wrong or a result differs from what the
  /// reference computes.
  void runAndCheck(GpuCase &test, double tolerance, bool inF64 = false,
                   llvm::ArrayRef<std::pair<unsigned, unsigned>> inPlace = {});

  std::deque<GpuCase> gpuCases;
  Lowering lowering{Lowering::Target::GPU};
  PtxCompiler compiler{"sm_90"};
  HostGpu host;
  ptx::Traffic traffic; // of the last run by the interpreter

private:
  /// Plans and emits a kernel whose operands have their places.
  GpuCase *emit(GpuCase &test, const RowLoops &loops, llvm::ArrayRef<int64_t> alignments);
};

} // namespace deepshard

#endif // DEEPSHARD_TEST_UNIT_GPU_GPUKERNELTESTING_H
