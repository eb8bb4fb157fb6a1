//===- ContractionOps.td - sums of products --------------------------------------*- tablegen -*-===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_CONTRACTIONOPS
#define DEEPSHARD_DIALECTS_GRAPH_CONTRACTIONOPS

include "dialects/graph/GraphDialect.td"

def Graph_MatmulOp : Graph_Primitive<"matmul", [InferTypeOpAdaptor, Graph_OwnCost, Graph_Differentiable,
                                                Graph_OwnRule]> {
  let summary = "Contracts dimensions of two tensors, with batch dimensions";
  let description = [{
    Dimensions of the result: the batch dimensions in the order of `lhs_batch`, the remaining dimensions of `lhs`, the
    remaining dimensions of `rhs`. Products are accumulated in at least f32. The result has the operands' element type, or
    `element_type`: gradients of bf16 weights leave the accumulators in f32, without a rounding.

    Constraints:
    1. both operands have the same floating element type; `element_type`, if given, is f32, and that is bf16 or f16
    2. `lhs_batch` and `rhs_batch` have the same length and pairwise equal sizes
    3. `lhs_contract` and `rhs_contract` have the same length and pairwise equal sizes
    4. no dimension is named twice on one side

    ```mlir
    %scores = graph.matmul %q, %k batch [0, 1] x [0, 1] contract [3] x [3]
        : tensor<2x4x8x16xf32>, tensor<2x4x8x16xf32>      // 2x4x8x8
    ```
  }];
  let arguments = (ins Graph_Float:$lhs, Graph_Float:$rhs, DenseI64ArrayAttr:$lhs_batch, DenseI64ArrayAttr:$rhs_batch,
                       DenseI64ArrayAttr:$lhs_contract, DenseI64ArrayAttr:$rhs_contract,
                       OptionalAttr<TypeAttr>:$element_type);
  let results = (outs Graph_Float:$result);
  let assemblyFormat = [{
    $lhs `,` $rhs `batch` $lhs_batch `x` $rhs_batch `contract` $lhs_contract `x` $rhs_contract (`in` $element_type^)?
    attr-dict `:` type($lhs) `,` type($rhs)
  }];
  let builders = [OpBuilder<(ins "::mlir::Value":$lhs, "::mlir::Value":$rhs, "::llvm::ArrayRef<int64_t>":$lhs_batch,
                                 "::llvm::ArrayRef<int64_t>":$rhs_batch, "::llvm::ArrayRef<int64_t>":$lhs_contract,
                                 "::llvm::ArrayRef<int64_t>":$rhs_contract)>];
}

def Graph_LinearOp : Graph_Composite<"linear", [InferTypeOpAdaptor, Graph_OwnCost, Graph_Differentiable,
                                                Graph_OwnPartition]> {
  let summary = "x W + b over the last dimension of x";
  let description = [{
    The columns n may be several dimensions, which the result then has in place of the last one of `x`: a fused
    projection keeps its parts apart (3 x heads), so that each can be split.

    Constraints:
    1. `weight` is k x n..., or n... x k with `transpose_weight` (torch.nn.Linear); k is the last dimension of `x`
    2. `bias`, if given, has the shape n...
    3. element types agree

    ```mlir
    %y = graph.linear %x, %w, %b : tensor<2x8x16xf32>, tensor<16x64xf32>, tensor<64xf32>
    ```
  }];
  let arguments = (ins Graph_Float:$x, Graph_Float:$weight, Optional<Graph_Float>:$bias, UnitAttr:$transpose_weight);
  let results = (outs Graph_Float:$y);
  let assemblyFormat = [{
    $x `,` $weight (`,` $bias^)? (`transpose_weight` $transpose_weight^)? attr-dict
    `:` type($x) `,` type($weight) (`,` type($bias)^)?
  }];
}

#endif // DEEPSHARD_DIALECTS_GRAPH_CONTRACTIONOPS
