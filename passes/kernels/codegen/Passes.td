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
    operations that round to nearest even, which not every CPU has.

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
}

#endif // DEEPSHARD_PASSES_KERNELS_CODEGEN_PASSES
