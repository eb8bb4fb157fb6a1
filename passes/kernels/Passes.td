//===- Passes.td - which kernel computes what --------------------------------------*- tablegen -*-===//

#ifndef DEEPSHARD_PASSES_KERNELS_PASSES
#define DEEPSHARD_PASSES_KERNELS_PASSES

include "mlir/Pass/PassBase.td"

def ChooseKernelsPass : Pass<"choose-kernels", "::mlir::ModuleOp"> {
  let summary = "Give every op a provider, decomposing composites that have none";
  let description = [{
    Asks the providers in the order oneDNN, native, reference whether they run an op on contiguous operands of its
    types, and notes the first that does as `graph.provider`. A composite that no provider runs is replaced by its
    decomposition, whose ops are asked in turn. Ops that only rename elements (reshape, transpose, broadcast, slice) and
    constants get no provider: they become views and constant buffers.

    The choice depends on the op, its types and `threads` alone, so equal computations run the same way everywhere.

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
    ListOption<"providers", "providers", "std::string",
               "Ask these providers in this order; default: onednn,native,reference">
  ];
}

#endif // DEEPSHARD_PASSES_KERNELS_PASSES
