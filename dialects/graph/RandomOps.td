//===- RandomOps.td - counter-based random numbers -------------------------------------*- tablegen -*-===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_RANDOMOPS
#define DEEPSHARD_DIALECTS_GRAPH_RANDOMOPS

include "dialects/graph/GraphDialect.td"

def Graph_DropoutOp : Graph_Primitive<"dropout", [InferTypeOpAdaptor, Graph_DefaultCost, Graph_Differentiable,
                                                  Graph_OwnPartition]> {
  let summary = "Zeroes elements with probability `p`, scales the others by 1 / (1 - p)";
  let description = [{
    Whether an element is kept depends on (seed, step, `id`, element index + micro-batch x elements of x) alone, by
    Philox4x32-10 (Salmon et al., SC 2011); `counter` holds seed, step and micro-batch. The adjoint is the same op on
    the cotangent.

    With `offsets` x is a part of a tensor of shape `global_shape` whose first element lies at `offsets`; index and
    number of elements are those of that tensor, so that parts drop what the whole drops.

    Constraints:
    1. 0 <= p < 1
    2. `offsets` and `global_shape` are given together, with one entry per dimension of x; no size of x is larger than
       that of `global_shape`

    ```mlir
    %y = graph.dropout %x, %counter at %offsets in [8, 16] p 0.1 id 7
        : tensor<8x4xf32>, tensor<3xi64>, tensor<2xi64>
    ```
  }];
  let arguments = (ins Graph_Float:$x, Graph_Counter:$counter, Optional<Graph_Offsets>:$offsets, F64Attr:$p,
                       I64Attr:$id, OptionalAttr<DenseI64ArrayAttr>:$global_shape);
  let results = (outs Graph_Float:$result);
  let assemblyFormat = [{
    $x `,` $counter (`at` $offsets^ `in` $global_shape)? `p` $p `id` $id attr-dict
    `:` type($x) `,` type($counter) (`,` type($offsets)^)?
  }];
  let builders = [OpBuilder<(ins "::mlir::Value":$x, "::mlir::Value":$counter, "::mlir::FloatAttr":$p,
                                 "::mlir::IntegerAttr":$id)>];
  let hasVerifier = 1;
  let hasFolder = 1;
}

#endif // DEEPSHARD_DIALECTS_GRAPH_RANDOMOPS
