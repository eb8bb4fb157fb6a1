//===- Passes.td - from a forward function to the training step ----------------*- tablegen -*-===//
//
// In the order of the pipeline. All work on the module: options of a step are module attributes.
//
//===--------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_TRAINING_PASSES
#define DEEPSHARD_PASSES_TRAINING_PASSES

include "mlir/Pass/PassBase.td"

def SetPrecision : Pass<"set-precision", "::mlir::ModuleOp"> {
  let summary = "Set every float type of the module";
  let description = [{
    A plan in f64 on reference kernels tells a wrong formula from rounding. Every float type becomes `type`: arguments,
    results, constants (resources too). Conversions between floats, those that the model asks for included, vanish.
    `graph.storage` keeps the type that the file has: values are converted when they are loaded. Run the pass before
    constants are folded, if constants of the model are to have more digits than its own precision holds.

    Requires: a module of the graph dialect without gradients. Leaves: the same with one float type.

    Input:
    ```mlir
    func.func @forward(%x: tensor<4xf32> {graph.input = "x"}) -> (tensor<4xf32> {graph.output = "y"}) {
      %half = graph.constant dense<5.0e-01> : tensor<f32>
      %0 = graph.convert %x : tensor<4xf32> to tensor<4xbf16>
      %1 = graph.convert %0 : tensor<4xbf16> to tensor<4xf32>
      %2 = graph.mul %1, %half : tensor<4xf32>, tensor<f32>
      return %2 : tensor<4xf32>
    }
    ```

    Output:
    ```mlir
    func.func @forward(%x: tensor<4xf64> {graph.input = "x"}) -> (tensor<4xf64> {graph.output = "y"}) {
      %half = graph.constant dense<5.0e-01> : tensor<f64>
      %0 = graph.mul %x, %half : tensor<4xf64>, tensor<f64>
      return %0 : tensor<4xf64>
    }
    ```
  }];
  let options = [Option<"type", "type", "std::string", /*default=*/"\"f64\"",
                        "The float type: f64 (f32 where a model in f64 is to be planned in f32)">];
  let dependentDialects = ["::deepshard::graph::GraphDialect"];
}

def MixedPrecision : Pass<"mixed-precision", "::mlir::ModuleOp"> {
  let summary = "Compute products in a narrow type and all else in f32, from values kept in the narrow type";
  let description = [{
    Obeys `graph.mixed_precision` of the module; without it nothing changes. `compute` is the narrow type, bf16 or f16. Each op has a policy:
    products (matmul, linear, convolution, attention) read and write the narrow type and sum in f32; ops that only move elements
    take what they get; all others compute in f32, between conversions. Sums stay in f32, other results are kept in the type of
    their widest operand. Cross entropy reads the logits as they are and gives f32.

    With `parameters` = `compute` the parameters become narrow, as the modules of a model in that type, and `graph.master` says that the
    optimizer keeps them in f32. With `parameters` = f32 they stay as they are and products convert them (torch.autocast);
    then normalisations, softmax and powers leave f32.

    Run before the gradients exist, so that they are built in the precision they are computed in: those of parameters
    are f32 in both cases.

    Requires: a module in f32 without gradients. Leaves: conversions; `graph.master`.

    Input:
    ```mlir
    module attributes {graph.mixed_precision = #graph.mixed_precision<compute = bf16, parameters = bf16>} {
      func.func @forward(%w: tensor<4x2xf32> {graph.parameter = "w"}, %x: tensor<3x4xf32> {graph.input = "x"})
          -> (tensor<3x2xf32> {graph.output = "y"}) {
        %0 = graph.linear %x, %w : tensor<3x4xf32>, tensor<4x2xf32>
        %1 = graph.tanh %0 : tensor<3x2xf32>
        return %1 : tensor<3x2xf32>
      }
    }
    ```

    Output:
    ```mlir
    func.func @forward(%w: tensor<4x2xbf16> {graph.master = f32, graph.parameter = "w"}, %x: tensor<3x4xf32> {graph.input = "x"})
        -> (tensor<3x2xbf16> {graph.output = "y"}) {
      %0 = graph.convert %x : tensor<3x4xf32> to tensor<3x4xbf16>
      %1 = graph.linear %0, %w : tensor<3x4xbf16>, tensor<4x2xbf16>
      %2 = graph.convert %1 : tensor<3x2xbf16> to tensor<3x2xf32>
      %3 = graph.tanh %2 : tensor<3x2xf32>
      %4 = graph.convert %3 : tensor<3x2xf32> to tensor<3x2xbf16>
      return %4 : tensor<3x2xbf16>
    }
    ```
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect"];
}

def Differentiate : Pass<"differentiate", "::mlir::ModuleOp"> {
  let summary = "Add the gradient of every parameter to the results of @forward";
  let description = [{
    Reverse mode over the functional graph. A value is active if it is a float, depends on a `graph.parameter` and the
    loss depends on it. The ops are visited backwards; each active one builds its vector-Jacobian product
    (DifferentiableOpInterface). Cotangents that meet at a value are added in the order in which they arrive, which is
    fixed by the order of the ops. Those of bf16 and f16 values are added in f32 and rounded once; the sum of a parameter with
    `graph.master`, or of a rounded copy of a parameter, is not rounded at all. The walk starts from 1 / `graph.accumulation_steps` (1 without the attribute), as
    `(loss / N).backward()` does, so that gradients of N micro-batches need only be added. With `graph.loss_scale` it starts from
    that times the scale: an f64 argument more, a member of bucket "loss_scale". The gradients carry the scale, the loss does not.

    The loss is the result whose `graph.output` is `loss`, by default the only float scalar among the outputs. It is
    marked `graph.metric = "loss"`. Parameters that do not reach the loss get a gradient of zeros and a warning.

    Requires: @forward with `graph.parameter` arguments and `graph.output` results, no gradients yet. Leaves: one more
    result `graph.gradient` per parameter, in argument order and of the type of the parameter or of its master; every op but the return is
    marked `graph.phase` "forward" or "backward"; backward ops lie behind all forward ones.

    Input:
    ```mlir
    func.func @forward(%w: tensor<2xf32> {graph.parameter = "w"}, %x: tensor<2xf32> {graph.input = "x"})
        -> (tensor<f32> {graph.output = "loss"}) {
      %0 = graph.mul %w, %x : tensor<2xf32>, tensor<2xf32>
      %1 = graph.reduce_sum %0 dims [0] : tensor<2xf32>
      return %1 : tensor<f32>
    }
    ```

    Output:
    ```mlir
    func.func @forward(%w: tensor<2xf32> {graph.parameter = "w"}, %x: tensor<2xf32> {graph.input = "x"})
        -> (tensor<f32> {graph.metric = "loss", graph.output = "loss"}, tensor<2xf32> {graph.gradient = "w"}) {
      %0 = graph.mul %w, %x {graph.phase = "forward"} : tensor<2xf32>, tensor<2xf32>
      %1 = graph.reduce_sum %0 dims [0] {graph.phase = "forward"} : tensor<2xf32>
      %2 = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
      %3 = graph.broadcast %2 [] {graph.phase = "backward"} : tensor<f32> to tensor<2xf32>
      %4 = graph.mul %3, %x {graph.phase = "backward"} : tensor<2xf32>, tensor<2xf32>
      return %1, %4 : tensor<f32>, tensor<2xf32>
    }
    ```
  }];
  let options = [Option<"loss", "loss", "std::string", /*default=*/"", "Name of the output to minimise">];
  let dependentDialects = ["::deepshard::graph::GraphDialect"];
}

def AccumulateGradients : Pass<"accumulate-gradients", "::mlir::ModuleOp"> {
  let summary = "Sum gradients and loss over the micro-batches of a step";
  let description = [{
    With `graph.accumulation_steps` = N > 1 the function runs N times per step. Each gradient becomes an argument plus
    the gradient of this micro-batch, both marked with one `graph.state`; the plan gives them one buffer, which is zero
    when a step starts. The reported loss is the sum of loss / N, likewise. The gradients carry the factor 1 / N from
    `differentiate`. Accumulators have the type of what they sum. With N = 1 (or no attribute) nothing changes.

    Requires: a differentiated @forward. Leaves: `graph.state` = "gradient.NAME" and "loss" as described.

    Input:
    ```mlir
    module attributes {graph.accumulation_steps = 2 : i64} {
      func.func @forward(%w: tensor<f32> {graph.parameter = "w"})
          -> (tensor<f32> {graph.metric = "loss", graph.output = "loss"}, tensor<f32> {graph.gradient = "w"}) {
        %0 = graph.sin %w {graph.phase = "forward"} : tensor<f32>
        %1 = graph.cos %w {graph.phase = "backward"} : tensor<f32>
        return %0, %1 : tensor<f32>, tensor<f32>
      }
    }
    ```

    Output:
    ```mlir
    func.func @forward(%w: tensor<f32> {graph.parameter = "w"},
                       %g: tensor<f32> {graph.state = "gradient.w"}, %l: tensor<f32> {graph.state = "loss"})
        -> (tensor<f32> {graph.output = "loss"}, tensor<f32> {graph.gradient = "w", graph.state = "gradient.w"},
            tensor<f32> {graph.metric = "loss", graph.state = "loss"}) {
      %0 = graph.sin %w {graph.phase = "forward"} : tensor<f32>
      %1 = graph.cos %w {graph.phase = "backward"} : tensor<f32>
      %2 = graph.add %g, %1 {graph.phase = "backward"} : tensor<f32>, tensor<f32>
      %3 = graph.constant {graph.phase = "backward"} dense<2.000000e+00> : tensor<f32>
      %4 = graph.div %0, %3 {graph.phase = "backward"} : tensor<f32>, tensor<f32>
      %5 = graph.add %l, %4 {graph.phase = "backward"} : tensor<f32>, tensor<f32>
      return %0, %2, %5 : tensor<f32>, tensor<f32>, tensor<f32>
    }
    ```
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect"];
}

def CreateUpdate : Pass<"create-update", "::mlir::ModuleOp"> {
  let summary = "Put parameters and gradients into buckets and create @update, which runs once per step";
  let description = [{
    @forward becomes @micro_batch. Its parameters are assigned, in argument order, to buckets: flat tensors of up to
    `bucket-size` elements in which every member starts at a multiple of 64 bytes; a larger parameter has a bucket of
    its own, and a bucket holds one element type. `graph.member` says where a parameter, its gradient and the
    accumulator of that lie; buckets of equal index have one layout whatever their kind.

    ```
    bucket 0   | w (100) | pad (12) | b (10) | pad (6) |     f32, offsets 0 and 112, 128 elements
    ```

    @update works on whole buckets: the global norm of the gradients (sums of squares per bucket, added in bucket order,
    f64), the clip coefficient min(1, C / (norm + 1e-6)) of torch.nn.utils.clip_grad_norm_ where
    `graph.gradient_clipping` = C is given and not 0, and the optimizer of `graph.optimizer`. The padding of a
    gradient bucket is zero, and zero it stays in the other kinds: the moments of a zero gradient are zero, and so is
    the update of a zero parameter. So the padding adds nothing to the norm either.

    With `graph.loss_scale` the gradients carry the scale: norm and clip coefficient are divided by it. The sum of squares is finite
    if and only if all gradients are: the step applies (`applies` of the optimizer), or is skipped, and `update_loss_scale` counts it.
    The state of that is bucket "loss_scale"; the scale, whether the step overflowed and the steps skipped so far are metrics.

    Parameters with `graph.master` = f32 have a bucket of kind "master" in their place, which @update steps and of which it
    gives the rounded copy as bucket "parameter".

    Requires: a differentiated @forward with one gradient per parameter; `graph.optimizer`. Leaves: @micro_batch and
    @update; every op of @update is marked `graph.phase` "update".

    Input:
    ```mlir
    module attributes {graph.gradient_clipping = 1.0 : f64, graph.optimizer = #graph.adamw<...>} {
      func.func @forward(%w: tensor<4xf32> {graph.parameter = "w"})
          -> (tensor<f32> {graph.metric = "loss"}, tensor<4xf32> {graph.gradient = "w"})
    ```

    Output:
    ```mlir
    func.func @micro_batch(%w: tensor<4xf32> {graph.member = #graph.member<kind = "parameter", index = 0, offset = 0>,
                                              graph.parameter = "w"})
        -> (tensor<f32> {graph.metric = "loss"},
            tensor<4xf32> {graph.gradient = "w",
                           graph.member = #graph.member<kind = "gradient", index = 0, offset = 0>})
    func.func @update(%p: tensor<16xf32> {graph.bucket = #graph.bucket<kind = "parameter", index = 0>,
                                          graph.state = "parameter.0"},
                      %g: tensor<16xf32> {graph.bucket = #graph.bucket<kind = "gradient", index = 0>},
                      %m: tensor<16xf32> {graph.bucket = #graph.bucket<kind = "exp_avg", index = 0>,
                                          graph.state = "exp_avg.0"},
                      %v: tensor<16xf32> {graph.bucket = #graph.bucket<kind = "exp_avg_sq", index = 0>,
                                          graph.state = "exp_avg_sq.0"},
                      %lr: tensor<f64> {graph.run_state = "learning_rate"},
                      %t: tensor<i64> {graph.run_state = "update_step"})
        -> (tensor<16xf32> {graph.bucket = ..., graph.state = "parameter.0"}, ... exp_avg.0, ... exp_avg_sq.0,
            tensor<f64> {graph.metric = "grad_norm"}) {
      %0 = graph.sum_squares %g : tensor<16xf32>
      %norm = graph.sqrt %0 : tensor<f64>
      %eps = graph.constant dense<1.0e-06> : tensor<f64>
      %1 = graph.add %norm, %eps : tensor<f64>, tensor<f64>
      %limit = graph.constant dense<1.0> : tensor<f64>
      %2 = graph.div %limit, %1 : tensor<f64>, tensor<f64>
      %one = graph.constant dense<1.0> : tensor<f64>
      %clip = graph.minimum %one, %2 : tensor<f64>, tensor<f64>
      %p2, %m2, %v2 = graph.adamw %p, %g, %m, %v, %lr, %t, %clip {...} : ...
      return %p2, %m2, %v2, %norm : ...
    }
    ```
  }];
  let options = [Option<"bucketSize", "bucket-size", "int64_t", /*default=*/"::deepshard::kDefaultBucketSize",
                        "Elements of a bucket">];
  let dependentDialects = ["::deepshard::graph::GraphDialect", "::deepshard::sharding::ShardingDialect"];
}

def VerifyDifferentiated : Pass<"verify-differentiated", "::mlir::ModuleOp"> {
  let summary = "Check what the training phase promises to the passes behind it";
  let description = [{
    The border of the phase; runs in release too. Reports all faults at once:

    1. every op of the graph dialect but constants is marked `graph.phase`, "forward", "backward" or "update"
    2. no forward op reads what a backward op computes; update ops share a function with no other phase
    3. in a function with gradients every parameter has exactly one gradient, of its type or of its master's, and every
       gradient names one
    4. such a function has exactly one result `graph.metric = "loss"`, a float scalar
    5. a `graph.state` names one argument and one result, of one type
    6. members of a bucket do not overlap
    7. a gradient lies in its bucket where the parameter lies in its own
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect"];
}

#endif // DEEPSHARD_PASSES_TRAINING_PASSES
