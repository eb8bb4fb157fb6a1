//===- NormalizationOps.td - softmax, layer norm, losses ----------------------------*- tablegen -*-===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_NORMALIZATIONOPS
#define DEEPSHARD_DIALECTS_GRAPH_NORMALIZATIONOPS

include "dialects/graph/GraphDialect.td"

def Graph_SoftmaxOp : Graph_Composite<"softmax", [SameOperandsAndResultType, Graph_OwnCost, Graph_Differentiable,
                                                  Graph_OwnRule]> {
  let summary = "exp(x - max) / sum over dimension `dim`";
  let description = [{
    Constraints:
    1. `dim` is a dimension of `x`
  }];
  let arguments = (ins Graph_Float:$x, I64Attr:$dim);
  let results = (outs Graph_Float:$y);
  let assemblyFormat = "$x `dim` $dim attr-dict `:` type($x)";
  let hasVerifier = 1;
}

def Graph_SoftmaxGradOp : Graph_Composite<"softmax_grad", [SameOperandsAndResultType, Graph_OwnCost, Graph_OwnRule]> {
  let summary = "y (dy - sum(dy y)) over dimension `dim`";
  let description = [{
    Constraints:
    1. `dim` is a dimension of `y`
  }];
  let arguments = (ins Graph_Float:$dy, Graph_Float:$y, I64Attr:$dim);
  let results = (outs Graph_Float:$dx);
  let assemblyFormat = "$dy `,` $y `dim` $dim attr-dict `:` type($y)";
  let hasVerifier = 1;
}

def Graph_LayerNormOp : Graph_Composite<"layer_norm", [InferTypeOpAdaptor, Graph_OwnCost, Graph_Differentiable,
                                                       Graph_OwnRule]> {
  let summary = "(x - mean) rstd weight + bias over the trailing dimensions";
  let description = [{
    The normalised dimensions are those of `weight`; `mean` and `rstd` = 1 / sqrt(variance + eps) have the leading
    dimensions of `x`; the variance is the biased one. (Ba et al., arXiv 1607.06450.)

    Constraints:
    1. the shape of `weight` is a suffix of the shape of `x`, at least one dimension
    2. `bias` has the shape of `weight`
    3. element types agree
  }];
  let arguments = (ins Graph_Float:$x, Graph_Float:$weight, Graph_Float:$bias, F64Attr:$eps);
  let results = (outs Graph_Float:$y, Graph_Float:$mean, Graph_Float:$rstd);
  let assemblyFormat = "$x `,` $weight `,` $bias `eps` $eps attr-dict `:` type($x) `,` type($weight) `,` type($bias)";
}

def Graph_LayerNormGradOp : Graph_Composite<"layer_norm_grad", [InferTypeOpAdaptor, Graph_OwnCost, Graph_OwnRule]> {
  let summary = "The gradients of layer_norm with respect to x, weight and bias";
  let description = [{
    With n = (x - mean) rstd and g = dy weight: dx = rstd (g - mean(g) - n mean(g n)), dweight = sum(dy n),
    dbias = sum(dy).

    Constraints:
    1. `dy` has the type of `x`; the shape of `weight` is a suffix of the shape of `x`
    2. `mean` and `rstd` have the leading dimensions of `x`
  }];
  let arguments = (ins Graph_Float:$dy, Graph_Float:$x, Graph_Float:$weight, Graph_Float:$mean, Graph_Float:$rstd);
  let results = (outs Graph_Float:$dx, Graph_Float:$dweight, Graph_Float:$dbias);
  let assemblyFormat = "$dy `,` $x `,` $weight `,` $mean `,` $rstd attr-dict `:` type(operands)";
}

def Graph_CrossEntropyOp : Graph_Composite<"cross_entropy", [InferTypeOpAdaptor, Graph_OwnCost, Graph_Differentiable,
                                                             Graph_OwnPartition]> {
  let summary = "The sum of -log softmax(logits)[target] over rows, and how many rows count";
  let description = [{
    Rows whose target is `ignore_index` add nothing and do not count. Sum and count stay apart so that they can be
    reduced over ranks before they are divided. `lse` = log(sum(exp(logits))) per row. Rows may have several dimensions
    (batch and sequence), so that each can be split. The results have the logits' element type, or f32 where that is bf16
    or f16: all is computed in f32 then.

    Constraints:
    1. `logits` is n... x v
    2. `target` is n...
  }];
  let arguments = (ins Graph_Float:$logits, Graph_Index:$target, I64Attr:$ignore_index);
  let results = (outs Graph_Float:$loss_sum, Graph_Float:$count, Graph_Float:$lse);
  let extraClassDeclaration = [{
    /// `count` from the targets alone.
    ::mlir::Value buildCount(::mlir::OpBuilder &builder);
  }];
  let assemblyFormat = "$logits `,` $target `ignore_index` $ignore_index attr-dict `:` type($logits) `,` type($target)";
}

def Graph_CrossEntropyGradOp : Graph_Composite<"cross_entropy_grad", [InferTypeOpAdaptor, Graph_OwnCost,
                                                                      Graph_OwnPartition]> {
  let summary = "dloss_sum (softmax(logits) - onehot(target)), zero in rows that do not count";
  let description = [{
    `lse` is that of the logits. A target that is no column is hit by none.

    Constraints:
    1. `logits` is n... x v; `target` and `lse` are n...
    2. `dloss_sum` is a scalar; it and `lse` have the element type of the results of cross_entropy
  }];
  let arguments = (ins Graph_Float:$logits, Graph_Index:$target, Graph_Float:$lse, Graph_Float:$dloss_sum,
                       I64Attr:$ignore_index);
  let results = (outs Graph_Float:$dlogits);
  let assemblyFormat = [{
    $logits `,` $target `,` $lse `,` $dloss_sum `ignore_index` $ignore_index attr-dict `:` type(operands)
  }];
}

def Graph_CrossEntropyWithGradOp : Graph_Composite<"cross_entropy_with_grad", [InferTypeOpAdaptor, Graph_OwnCost,
                                                                                Graph_OwnRule]> {
  let summary = "loss_sum of cross_entropy and dlogits of cross_entropy_grad, from one pass over the logits";
  let description = [{
    For a gradient of the loss that is known before the loss is. Made by `fuse-cross-entropy`, behind partitioning.

    Constraints:
    1. `logits` is n... x v; `target` is n...
    2. `dloss_sum` is a scalar; it has the element type of `loss_sum`
  }];
  let arguments = (ins Graph_Float:$logits, Graph_Index:$target, Graph_Float:$dloss_sum, I64Attr:$ignore_index);
  let results = (outs Graph_Float:$dlogits, Graph_Float:$loss_sum);
  let assemblyFormat = "$logits `,` $target `,` $dloss_sum `ignore_index` $ignore_index attr-dict `:` type(operands)";
}

#endif // DEEPSHARD_DIALECTS_GRAPH_NORMALIZATIONOPS
