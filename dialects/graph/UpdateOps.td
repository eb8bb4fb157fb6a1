//===- UpdateOps.td - gradient norm, optimizers, loss scale ------------------------------*- tablegen -*-===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_UPDATEOPS
#define DEEPSHARD_DIALECTS_GRAPH_UPDATEOPS

include "dialects/graph/GraphDialect.td"

def Graph_SumSquaresOp : Graph_Primitive<"sum_squares", [InferTypeOpAdaptor, Graph_OwnCost, Graph_OwnRule]> {
  let summary = "The sum of squares of a flat tensor, in f64";
  let description = [{
    Blocks of 65,536 elements are summed in f64 in the order of the elements, then the blocks in order.

    Constraints:
    1. `x` has rank 1
  }];
  let arguments = (ins Graph_Float:$x);
  let results = (outs Graph_Scalar<F64>:$result);
  let assemblyFormat = "$x attr-dict `:` type($x)";
}

def Graph_AdamWOp : Graph_Primitive<"adamw", [InferTypeOpAdaptor, AllTypesMatch<["parameter", "exp_avg", "exp_avg_sq"]>,
                                              Graph_OwnCost, Graph_PointwiseSharding]> {
  let summary = "One step of Adam or AdamW, pointwise";
  let description = [{
    With g = clip * gradient (+ weight_decay * parameter without `adam_w_mode`), t = `update_step`:
    m' = beta1 m + (1 - beta1) g, v' = beta2 v + (1 - beta2) g^2,
    p' = p (1 - lr weight_decay) [`adam_w_mode`] - lr / (1 - beta1^t) m' / (sqrt(v') / sqrt(1 - beta2^t) + eps);
    the corrections are left out without `bias_correction`. (Loshchilov and Hutter, arXiv 1711.05101.)
    With `copy_type` a further result is p' rounded to that type: what the model computes with, while p' is its master.
    Where `applies` is given and false, p' = p, m' = m and v' = v, whatever the gradient holds.

    Constraints:
    1. parameter, gradient and both moments have one shape
    2. parameter and moments have one element type
  }];
  let arguments = (ins Graph_Float:$parameter, Graph_Float:$gradient, Graph_Float:$exp_avg, Graph_Float:$exp_avg_sq,
                       Graph_Scalar<F64>:$learning_rate, Graph_Scalar<I64>:$update_step, Graph_Scalar<F64>:$clip,
                       Optional<Graph_Scalar<I1>>:$applies,
                       F64Attr:$beta1, F64Attr:$beta2, F64Attr:$eps, F64Attr:$weight_decay, BoolAttr:$bias_correction,
                       BoolAttr:$adam_w_mode, OptionalAttr<TypeAttr>:$copy_type);
  let results = (outs Graph_Float:$new_parameter, Graph_Float:$new_exp_avg, Graph_Float:$new_exp_avg_sq,
                      Optional<Graph_Float>:$copy);
  let assemblyFormat = "operands attr-dict `:` type(operands)";
  let hasVerifier = 1;
}

def Graph_UpdateLossScaleOp : Graph_Primitive<"update_loss_scale", [InferTypeOpAdaptor, Graph_DefaultCost, Graph_OwnRule]> {
  let summary = "The loss scale of the next step";
  let description = [{
    `state` is {scale, steps since the last overflow, overflows until the scale is halved, steps skipped so far}; `finite` says
    whether the gradients of this step are. The rules are those of DeepSpeed's DynamicLossScaler:

    | step | scale | since overflow | until halved | skipped |
    | --- | --- | --- | --- | --- |
    | overflow, 1 until halved | max(scale / 2, `minimum`), 0 if it is at `minimum` already | 0 | 1 | + 1 |
    | overflow, more | | 0 | - 1 | + 1 |
    | finite, n > 0 steps since overflow, `window` divides n | 2 scale | n + 1 | `hysteresis` | |
    | other | | n + 1 | with `consecutive_hysteresis`: `hysteresis` | |

    A scale of 0 says that there is none left to go on with. With `window` = 0 the scale is constant: only the steps are counted.

    Constraints:
    1. `state` has 4 elements
  }];
  let arguments = (ins Graph_TensorOf<[F64]>:$state, Graph_Scalar<I1>:$finite, I64Attr:$window, I64Attr:$hysteresis,
                       BoolAttr:$consecutive_hysteresis, F64Attr:$minimum);
  let results = (outs Graph_TensorOf<[F64]>:$new_state);
  let assemblyFormat = "operands attr-dict `:` type(operands)";
}

#endif // DEEPSHARD_DIALECTS_GRAPH_UPDATEOPS
