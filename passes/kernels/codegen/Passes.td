//===- Passes.td - passes inside a kernel ------------------------------------------*- tablegen -*-===//

#ifndef DEEPSHARD_PASSES_KERNELS_CODEGEN_PASSES
#define DEEPSHARD_PASSES_KERNELS_CODEGEN_PASSES

include "mlir/Pass/PassBase.td"

def ExpandMathPass : Pass<"expand-math"> {
  let summary = "Replace functions of f32 by arithmetic";
  let description = [{
    A kernel calls no library. `math.exp`, `log`, `tanh`, `erf`, `sin`, `cos` and `powf` on f32, or vectors of it, become
    straight-line arithmetic: reduction to a small interval, a polynomial there, and the exponent put back by integer
    operations. It holds for every f32, denormals, infinities and NaN included, with at most 1.5 units in the last place
    of error for `exp` and 5 for the others. Products and sums are fused only where an `fma` is written, so every
    level of CPU computes the same bits. `math.rsqrt` becomes 1 / sqrt(x), and conversions from f32 to bf16 become integer
    operations that round to nearest even, which not every CPU has. GPUs have instructions for that, and for 2^x to within
    2 units in the last place, from which `exp` is made there.

    Input:
    ```mlir
    %y = math.tanh %x : vector<16xf32>
    ```

    Output (shortened):
    ```mlir
    %bits = arith.bitcast %x : vector<16xf32> to vector<16xi32>
    ...
    %p = math.fma %u, %c5, %c4 : vector<16xf32>
    %p1 = math.fma %p, %u, %c3 : vector<16xf32>
    ...
    %y = arith.bitcast %signed : vector<16xi32> to vector<16xf32>
    ```

    Requires: nothing. Leaves: no function of f32 but those that are instructions (`sqrt`, `fma`, `floor`, `absf`, ...).
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
  let options = [Option<"isGpu", "gpu", "bool", /*default=*/"false",
                        "Whether the target is a GPU: 2^x and conversions to bf16 are instructions">];
}

def LowerGpuPass : Pass<"lower-gpu", "::mlir::gpu::GPUModuleOp"> {
  let summary = "Lower gpu, arith, math and cf to LLVM and NVVM";
  let description = [{
    As `convert-gpu-to-nvvm`, but functions become intrinsics of LLVM, for which the back end has instructions, and not
    calls of NVIDIA's library.

    Input:
    ```mlir
    gpu.func @f(%x: !llvm.ptr<1>, %v: f32) kernel {
      %y = math.sqrt %v : f32
      ...
    }
    ```

    Output:
    ```mlir
    llvm.func @f(%x: !llvm.ptr<1>, %v: f32) attributes {gpu.kernel, nvvm.kernel} {
      %y = llvm.intr.sqrt(%v) : (f32) -> f32
      ...
    }
    ```

    Requires: no `scf` and no `vector`. Leaves: `llvm` and `nvvm` only.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect"];
}

#endif // DEEPSHARD_PASSES_KERNELS_CODEGEN_PASSES
