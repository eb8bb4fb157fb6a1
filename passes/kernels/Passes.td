//===- Passes.td - which kernel computes what --------------------------------------*- tablegen -*-===//

#ifndef DEEPSHARD_PASSES_KERNELS_PASSES
#define DEEPSHARD_PASSES_KERNELS_PASSES

include "mlir/Pass/PassBase.td"

def ChooseKernelsPass : Pass<"choose-kernels", "::mlir::ModuleOp"> {
  let summary = "Give every op a provider, decomposing composites that have none";
  let description = [{
    Asks the providers in the order oneDNN, native, generated, reference whether they run an op on contiguous operands of its
    types, and notes the first that does as `graph.provider`; "generated" stands between native and reference for
    primitives that kernels can be generated for (`fuse-kernels`). With `gpu` the order is cuDNN, cuBLASLt, generated, cuda. A composite that no provider runs is replaced by its
    decomposition, whose ops are asked in turn. Ops that only rename elements (reshape, transpose, broadcast, slice),
    concatenations and constants get no provider: they become views, places to compute in and constant buffers.

    The choice depends on the op, its types, the CPU level and `threads` alone, so equal computations run the same way everywhere.

    Input:
    ```mlir
    %y = graph.softmax %x dim 1 : tensor<2x3xf32>
    ```

    Output:
    ```mlir
    %m = graph.reduce_max %x dims [1] keep_dims {graph.provider = "reference"} : tensor<2x3xf32>
    %d = graph.sub %x, %m {graph.provider = "reference"} : tensor<2x3xf32>, tensor<2x1xf32>
    ...
    ```

    Requires: a verified program of graph ops. Leaves: every op is a primitive or has a provider with a kernel for it.
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect"];
  let options = [
    Option<"threads", "threads", "int", /*default=*/"1", "Threads a rank will run its kernels with">,
    Option<"isGpu", "gpu", "bool", /*default=*/"false", "Whether kernels are for GPUs">,
    Option<"useAtomics", "atomics", "bool", /*default=*/"false",
           "On GPUs, whether gradients of embeddings are added by atomics, in any order">,
    ListOption<"providers", "providers", "std::string",
               "Ask these providers in this order; default: onednn,native,generated,reference or, with gpu, "
               "cudnn,cublaslt,generated,cuda">
  ];
}

def WidenProductsPass : Pass<"widen-products", "::mlir::func::FuncOp"> {
  let summary = "Multiply bf16 and f16 in f32 where the CPU has no instructions for them";
  let description = [{
    There they are formats of storage: a product converts its operands to f32 and rounds its result. As ops of their own
    the conversions are shared by the products that read a value, and computed where it is: the kernel behind which
    a product comes writes f32 too or only, and the one that follows it rounds. The numbers are the same, but for losses (below).
    Products of very large tensors (logits of many tokens) are left to kernels that convert block by block.

    Logits that would be narrowed for their loss alone, and widened again as its gradient, stay f32
    (`cross_entropy_with_grad`): less memory at once, and two roundings less.

    Input:
    ```mlir
    %0 = graph.matmul %x, %w batch [] x [] contract [1] x [0] : tensor<4x8xbf16>, tensor<8x6xbf16>
    ```

    Output:
    ```mlir
    %0 = graph.convert %x : tensor<4x8xbf16> to tensor<4x8xf32>
    %1 = graph.convert %w : tensor<8x6xbf16> to tensor<8x6xf32>
    %2 = graph.matmul %0, %1 batch [] x [] contract [1] x [0] : tensor<4x8xf32>, tensor<8x6xf32>
    %3 = graph.convert %2 : tensor<4x6xf32> to tensor<4x6xbf16>
    ```

    Leaves: on a CPU level without their instructions no small matmul or linear of bf16, on none one of f16.
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect"];
  let options = [
    Option<"cpuLevel", "cpu-level", "std::string", /*default=*/"\"x86-64-v3\"", "What the CPU offers (runtime/kernels/CpuLevel.h)">
  ];
}

def FuseCrossEntropyPass : Pass<"fuse-cross-entropy", "::mlir::func::FuncOp"> {
  let summary = "Compute the gradient of a loss where the loss is computed, from one pass over the logits";
  let description = [{
    The gradient by the logits needs of the loss only the logarithm of the sum of exponentials of its own row, and what scales it
    (one over the number of rows that count, a loss scale) is known before. So both come from a row while that is in the
    cache, and the gradient may take the place of the logits.

    Only where the gradient is the one reader of `lse`, has the loss's own logits and target (a copy that the backward
    makes of the target is as good), and its scale does not depend on the loss. How many rows count is computed from the target
    then, and what the scale is computed by comes in front, with phase and chunk of the loss. Element-wise ops that
    alone read the gradient (the mask of a padded vocabulary) follow it. A vocabulary that ranks share is
    left as it is: there the ranks exchange what they have of `lse`.

    Input:
    ```mlir
    %sum, %count, %lse = graph.cross_entropy %x, %t ignore_index -100 {graph.phase = "forward"} : ...
    %d = graph.div %one, %count {graph.phase = "backward"} : tensor<f32>, tensor<f32>
    %dx = graph.cross_entropy_grad %x, %t, %lse, %d ignore_index -100 {graph.phase = "backward"} : ...
    ```

    Output:
    ```mlir
    %0 = graph.compare "ne" %t, %ignored {graph.phase = "forward"} : ...
    ...
    %count = graph.reduce_sum %1 dims [0, 1] {graph.phase = "forward"} : tensor<8x256xf32>
    %d = graph.div %one, %count {graph.phase = "forward"} : tensor<f32>, tensor<f32>
    %dx, %sum = graph.cross_entropy_with_grad %x, %t, %d ignore_index -100 {graph.phase = "forward"} : ...
    ```

    Requires: a local function (`partition`) with its gradients, behind `recompute`.
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect"];
}

def FuseAccumulationPass : Pass<"fuse-accumulation", "::mlir::func::FuncOp"> {
  let summary = "Products that are added to a sum are computed into it";
  let description = [{
    A matmul, linear or embedding_grad whose only use is a sum that is a parameter's gradient, and whose provider
    accumulates, is left to the kernel of the sum: the sum takes its provider, and stands where the op stood. The product
    never exists by itself.
    The other operand of the sum must be there before and be used by nothing else, so that the kernel can add in place.
    A sum with products that were added to each other is a + (b + c): it becomes (a + b) + c.
    Only gradients: what the forward computes must have the same bits when the backward computes it again.

    Input:
    ```mlir
    %0 = graph.matmul %x, %dy ... {graph.phase = "backward", graph.provider = "onednn"}
    %1 = graph.add %sum, %0 {graph.phase = "backward", graph.provider = "generated"}
    ```

    Output:
    ```mlir
    %0 = graph.matmul %x, %dy ... {graph.phase = "backward"}
    %1 = graph.add %sum, %0 {graph.phase = "backward", graph.provider = "onednn"}
    ```

    Requires: `choose-kernels`. Leaves: ops without provider whose only user is a sum with the provider of their kernel.
  }];
  let options = [Option<"threads", "threads", "int", /*default=*/"1", "Threads a rank will run its kernels with">];
}

def FuseKernelsPass : Pass<"fuse-kernels", "::mlir::ModuleOp"> {
  let summary = "Group ops whose kernels are generated into one kernel each";
  let description = [{
    Ops whose provider is "generated" become calls of private functions, one per kernel; equal kernels are one function.
    Ops join into a group as long as fewer bytes are read and written than by two kernels, one nest of row loops
    computes the group (`passes/kernels/rowloops`), and no path leads out of the group and back in. Constants, iotas and
    renamings (reshape, transpose, broadcast) between ops of a group are cloned into it. Groups hold ops of one phase
    and, where a pass has cut rows into chunks (`graph.chunk`), of one chunk.
    `graph.holds` names the ops of a kernel for people, composites that were decomposed by their own names.
    The ids of dropouts become arguments. The program is reordered as little as that needs.

    Which ops form a group depends on the ops, their types and `threads` alone.

    Input:
    ```mlir
    %0 = graph.exp %x {graph.phase = "forward", graph.provider = "generated"} : tensor<4x8xf32>
    %1 = graph.add %0, %y {graph.phase = "forward", graph.provider = "generated"} : tensor<4x8xf32>, tensor<8xf32>
    ```

    Output:
    ```mlir
    %0 = call @kernel_0(%x, %y) {graph.phase = "forward", graph.provider = "generated"}
        : (tensor<4x8xf32>, tensor<8xf32>) -> tensor<4x8xf32>
    ...
    func.func private @kernel_0(%arg0: tensor<4x8xf32>, %arg1: tensor<8xf32>) -> tensor<4x8xf32>
        attributes {graph.holds = "exp_add"} {
      %0 = graph.exp %arg0 : tensor<4x8xf32>
      %1 = graph.add %0, %arg1 : tensor<4x8xf32>, tensor<8xf32>
      return %1 : tensor<4x8xf32>
    }
    ```

    Requires: `choose-kernels`. Leaves: no op of provider "generated" but calls.
  }];
  let dependentDialects = ["::mlir::func::FuncDialect"];
  let options = [Option<"threads", "threads", "int", /*default=*/"1", "Threads a rank will run its kernels with">];
}

def GenerateKernelsPass : Pass<"generate-kernels", "::mlir::ModuleOp"> {
  let summary = "Emit the kernels that launches of provider \"generated\" name";
  let description = [{
    Every launch of provider "generated" names a function of graph ops. For each such function and the strides of the
    launch's views a kernel is emitted into the module `@kernels` (a nested module per kernel, named after
    what its function holds, `graph.holds`, and a hash of its text), as `passes/kernels/codegen/Compile.h` wants it. The launch then names the kernel and says how its loops are cut.

    Input:
    ```mlir
    plan.launch "generated" "kernel_0" ins(%x : !plan.view<4x8xf32>) outs(%y : !plan.view<4x8xf32>) ... attributes {}
    ```

    Output:
    ```mlir
    plan.launch "generated" "exp_add_1f3b..." ins(%x : ...) outs(%y : ...) ... attributes {chunks = [1], extents = [1], workspace_bytes = 0}
    module @kernels {
      module @exp_add_1f3b... {
        func.func @exp_add_1f3b..._0(%operands: !llvm.ptr, %begin: i64, %end: i64, %slot: i64) { ... }
      }
    }
    ```

    With `gpu` kernels are emitted for GPUs, as `passes/kernels/codegen/CompileGpu.h` wants them; the attributes `grid`,
    `block` and `shared_bytes` then say how the functions `NAME_0`, `NAME_1` are launched, one after the other
    (`runtime/kernels/cuda/Generated.h`).

    Requires: `lower-to-plan`. Leaves: no function of graph ops.
  }];
  let dependentDialects = ["::deepshard::plan::PlanDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
                           "::mlir::gpu::GPUDialect",
                           "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect", "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect"];
  let options = [
    Option<"threads", "threads", "int", /*default=*/"1", "Threads a rank will run its kernels with">,
    Option<"cpuLevel", "cpu-level", "std::string", /*default=*/"\"x86-64-v3\"", "What the CPU offers (runtime/kernels/CpuLevel.h)">,
    Option<"isGpu", "gpu", "bool", /*default=*/"false", "Whether kernels are for GPUs">
  ];
}

#endif // DEEPSHARD_PASSES_KERNELS_PASSES
