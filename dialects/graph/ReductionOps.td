//===- ReductionOps.td - fewer elements out than in ----------------------------*- tablegen -*-===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_REDUCTIONOPS
#define DEEPSHARD_DIALECTS_GRAPH_REDUCTIONOPS

include "dialects/graph/GraphDialect.td"

class Graph_Reduction<string mnemonic, string what, list<Trait> traits = [], Trait rule = Graph_OwnRule,
                      TypeConstraint type = Graph_Number>
    : Graph_Primitive<mnemonic, !listconcat([InferTypeOpAdaptor, Graph_OwnCost, rule], traits)> {
  let summary = "Takes the " # what # " over dimensions";
  let description = [{
    f32 sums are accumulated in f64 in the order of the elements.

    Constraints:
    1. `dims` are distinct, ascending dimensions of `x`; an empty list changes nothing
    2. the result lacks the reduced dimensions; with `keep_dims` they stay with size 1

    ```mlir
    %s = graph.reduce_sum %x dims [0, 2] : tensor<2x3x4xf32>
    ```
  }];
  let arguments = (ins type:$x, DenseI64ArrayAttr:$dims, UnitAttr:$keep_dims);
  let results = (outs type:$result);
  let assemblyFormat = "$x `dims` $dims (`keep_dims` $keep_dims^)? attr-dict `:` type($x)";
  let hasFolder = 1;
}

def Graph_ReduceSumOp : Graph_Reduction<"reduce_sum", "sum", [Graph_Differentiable]>;
def Graph_ReduceMaxOp : Graph_Reduction<"reduce_max", "maximum (NaN if any is)">;
def Graph_ReduceMinOp : Graph_Reduction<"reduce_min", "minimum (NaN if any is)">;
def Graph_ReduceLogSumExpOp
    : Graph_Reduction<"reduce_log_sum_exp", "logarithm of the sum of e^x (without overflow)",
                      [Graph_Differentiable, DeclareOpInterfaceMethods<DecomposableOpInterface>],
                      Graph_OwnPartition, Graph_Float>;

#endif // DEEPSHARD_DIALECTS_GRAPH_REDUCTIONOPS
