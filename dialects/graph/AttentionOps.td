//===- AttentionOps.td - scaled dot-product attention --------------------------------*- tablegen -*-===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_ATTENTIONOPS
#define DEEPSHARD_DIALECTS_GRAPH_ATTENTIONOPS

include "dialects/graph/GraphDialect.td"

def Graph_AttentionOp : Graph_Composite<"attention", [InferTypeOpAdaptor, AttrSizedOperandSegments, Graph_OwnCost,
                                                      Graph_Differentiable, Graph_OwnPartition]> {
  let summary = "softmax(scale q k^T + mask) v, per head";
  let description = [{
    q: b x h x s x d, k: b x g x t x d, v: b x g x t x e; heads h are a multiple of the key/value heads g, and head i
    reads key/value head i / (h / g) (grouped heads). o: b x h x s x e; lse: b x h x s, the logarithm of the softmax's
    denominator, in the type of q, or f32 where that is bf16 or f16: scores and softmax are computed in f32 then.

    With `causal`, query i sees keys j <= i + t - s + diagonal, where `diagonal`, 0 if absent, is known when the op runs:
    where queries and keys are blocks of longer ones, it says how far the queries are ahead. `mask` is added to the scaled scores (float), or says which keys
    are seen (i1). A query that sees no key gives o = 0, lse = -inf and no gradient. With `dropout` > 0 the
    probabilities are dropped as by `graph.dropout` with `id` on the b x h x s x t scores, with `counter` as counter
    and, where the operands are parts of larger tensors, `offsets` and `global_shape` of the scores.
    (Dao et al., arXiv 2205.14135, for the blocked computation.)

    Constraints:
    1. q, k, v have rank 4 and one element type; b, g, t, d agree as above; h is a multiple of g
    2. `mask` has rank 4 and broadcasts to b x h x s x t; it is i1 or has the element type of q or of lse
    3. 0 <= dropout < 1, and `counter` is given exactly if dropout > 0
    4. `offsets` and `global_shape` are given together and with `counter`, with 4 entries each; `global_shape` is not
       smaller than b x h x s x t
    5. `diagonal` is given only with `causal`
  }];
  let arguments = (ins Graph_Float:$q, Graph_Float:$k, Graph_Float:$v, Optional<Graph_Tensor>:$mask,
                       Optional<Graph_Counter>:$counter, Optional<Graph_Offsets>:$offsets,
                       Optional<Graph_Scalar<I64>>:$diagonal, F64Attr:$scale, UnitAttr:$causal, DefaultValuedAttr<F64Attr, "0.0">:$dropout,
                       DefaultValuedAttr<I64Attr, "0">:$id, OptionalAttr<DenseI64ArrayAttr>:$global_shape);
  let results = (outs Graph_Float:$o, Graph_Float:$lse);
  let assemblyFormat = [{
    $q `,` $k `,` $v (`mask` $mask^)? (`counter` $counter^)? (`at` $offsets^ `in` $global_shape)? `scale` $scale
    (`causal` $causal^)? (`diagonal` $diagonal^)? attr-dict `:` type(operands)
  }];
  let builders = [OpBuilder<(ins "::mlir::Value":$q, "::mlir::Value":$k, "::mlir::Value":$v, "::mlir::Value":$mask,
                                 "::mlir::Value":$counter, "::mlir::FloatAttr":$scale, "::mlir::UnitAttr":$causal,
                                 "::mlir::FloatAttr":$dropout, "::mlir::IntegerAttr":$id)>];
  let hasVerifier = 1;
}

def Graph_AttentionGradOp : Graph_Composite<"attention_grad", [InferTypeOpAdaptor, AttrSizedOperandSegments,
                                                               Graph_OwnCost, Graph_OwnPartition]> {
  let summary = "The gradients of attention with respect to q, k and v";
  let description = [{
    Recomputes the probabilities from q, k and lse.

    Constraints:
    1. the operands have the types of the forward op's operands and results; `d_o` has the type of `o`
  }];
  let arguments = (ins Graph_Float:$d_o, Graph_Float:$q, Graph_Float:$k, Graph_Float:$v, Graph_Float:$o,
                       Graph_Float:$lse, Optional<Graph_Tensor>:$mask, Optional<Graph_Counter>:$counter,
                       Optional<Graph_Offsets>:$offsets, Optional<Graph_Scalar<I64>>:$diagonal, F64Attr:$scale,
                       UnitAttr:$causal, DefaultValuedAttr<F64Attr, "0.0">:$dropout,
                       DefaultValuedAttr<I64Attr, "0">:$id, OptionalAttr<DenseI64ArrayAttr>:$global_shape);
  let results = (outs Graph_Float:$dq, Graph_Float:$dk, Graph_Float:$dv);
  let assemblyFormat = [{
    $d_o `,` $q `,` $k `,` $v `,` $o `,` $lse (`mask` $mask^)? (`counter` $counter^)?
    (`at` $offsets^ `in` $global_shape)? `scale` $scale (`causal` $causal^)? (`diagonal` $diagonal^)? attr-dict `:` type(operands)
  }];
  let hasVerifier = 1;
}

#endif // DEEPSHARD_DIALECTS_GRAPH_ATTENTIONOPS
