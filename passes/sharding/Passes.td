//===- Passes.td - from whole tensors to the pieces of each rank ----------------*- tablegen -*-===//
//
// In the order of the pipeline. A module without a `sharding.mesh` is left as it is.
//
//===--------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_SHARDING_PASSES
#define DEEPSHARD_PASSES_SHARDING_PASSES

include "mlir/Pass/PassBase.td"

def VerifyHeads : Pass<"verify-heads", "::mlir::func::FuncOp"> {
  let summary = "Refuse pins that would split heads of attention";
  let description = [{
    The columns of a linear op whose result reaches an operand of attention through elementwise and layout ops are its heads
    (of keys and values there may be fewer, repeated behind it). A `sharding.layout` that splits these columns into parts
    that are not whole heads is an error at the attention; equal ones are reported once.

    ```mlir
    %q = graph.linear %x, %w : tensor<1x4x6xf32>, tensor<6x6xf32>    // %w pinned to [{}, {"tensor"} ], tensor = 2
    ...
    %o, %l = graph.attention %heads, ...                             // 3 heads of 2: error
    ```
  }];
}

def SplitFusedProjections : Pass<"split-fused-projections", "::mlir::func::FuncOp"> {
  let summary = "Give the parts of a fused projection a dimension of their own";
  let description = [{
    A weight whose columns hold several projections (query, key, value) and whose layout splits the columns is seen as
    [rows, parts, columns of a part], so that every rank gets its share of each part. The linear op then has results of
    one more dimension, and the slices that took the parts take one index of it.

    Requires: `sharding.layout` on the weight; the users of the projection are slices of equal width. Leaves:
    `graph.cut` on weight and bias. Other projections stay as they are. With `open` weights without a layout are prepared
    too, for a search that may split them.

    Input:
    ```mlir
    func.func @forward(%x: tensor<2x8xf32>,
                       %w: tensor<8x12xf32> {graph.parameter = "w", sharding.layout = #sharding.layout<@mesh, [{}, {"tensor"} ]>})
        -> (tensor<2x4xf32>) {
      %y = graph.linear %x, %w : tensor<2x8xf32>, tensor<8x12xf32>
      %k = graph.slice %y [0, 4] to [2, 8] by [1, 1] : tensor<2x12xf32>
      return %k : tensor<2x4xf32>
    }
    ```

    Output:
    ```mlir
    func.func @forward(%x: tensor<2x8xf32>,
                       %w: tensor<8x3x4xf32> {graph.cut = #graph.cut<shape = [8, 12], dims = [8, 3, 4]>, graph.parameter = "w",
                                              sharding.layout = #sharding.layout<@mesh, [{}, {}, {"tensor"} ]>})
        -> (tensor<2x4xf32>) {
      %y = graph.linear %x, %w : tensor<2x8xf32>, tensor<8x3x4xf32>
      %0 = graph.slice %y [0, 1, 0] to [2, 2, 4] by [1, 1, 1] : tensor<2x3x4xf32>
      %k = graph.reshape %0 : tensor<2x1x4xf32> to tensor<2x4xf32>
      return %k : tensor<2x4xf32>
    }
    ```
  }];
  let options = [
    Option<"open", "open", "bool", "false", "A parameter without a layout may be split later: prepare it">
  ];
  let dependentDialects = ["::deepshard::graph::GraphDialect", "::deepshard::sharding::ShardingDialect"];
}

def PadParameters : Pass<"pad-parameters", "::mlir::func::FuncOp"> {
  let summary = "Pad dimensions of parameters that their layout does not divide";
  let description = [{
    A dimension of size s that is split n ways gets padding up to the next multiple of n. Ops that work with the padding
    are rebuilt on the longer dimension (embedding, columns of linear, reshape); logits get -inf in padded columns; in
    front of any other op the padding is cut off.

    Requires: `sharding.layout` on parameters, no gradients yet. Leaves: every split dimension of a parameter divides;
    `graph.cut` on those that were padded. With `open` dimensions of parameters without a layout are padded for all axes
    that cut no input, with `multiple` all dimensions to multiples of that, where all users work with the padding and at most
    1 in 100 indices is padding.

    Input:
    ```mlir
    func.func @forward(%w: tensor<7x4xf32> {graph.parameter = "w", sharding.layout = #sharding.layout<@mesh, [{"tensor"}, {} ]>},
                       %i: tensor<3xi64>) -> tensor<3x4xf32> {
      %0 = graph.embedding %w, %i : tensor<7x4xf32>, tensor<3xi64>
      return %0 : tensor<3x4xf32>
    }
    ```

    Output, over two ranks:
    ```mlir
    func.func @forward(%w: tensor<8x4xf32> {graph.cut = #graph.cut<shape = [7, 4], dims = [7, 4]>, graph.parameter = "w", ...},
    ```
  }];
  let options = [
    Option<"open", "open", "bool", "false", "A parameter without a layout may be split later: prepare it">,
    Option<"multiple", "multiple", "int64_t", "1", "What sizes are to be multiples of, beyond what splits need">
  ];
  let dependentDialects = ["::deepshard::graph::GraphDialect", "::deepshard::sharding::ShardingDialect"];
}

def PropagateLayouts : Pass<"propagate-layouts", "::mlir::ModuleOp"> {
  let summary = "Choose the layout of every value from those of the arguments";
  let description = [{
    Arguments without a layout are whole on every rank. Ops are visited in order; the axes that split an op's operands
    become axes of the factors of its sharding rule, larger tensors first where two wishes exclude each other. Sums that
    split factors leave stay summands where the next op is linear in them.

    Gradients get the layout of their parameter, as summands over the axes that cut inputs; other results are whole.

    Axes that cut the sequence of attention's operands pass its keys and values round, or cut its heads instead and come back
    behind it, as `sharding.attention` of the module says. Where that cannot be it is an error at the attention.

    Requires: `sharding.layout` on the arguments that are pinned. Leaves: `sharding.layout` on every argument and result,
    `sharding.factors` and `sharding.layouts` on every op. Nothing is transformed.

    Input:
    ```mlir
    sharding.mesh @mesh ["data" = 2, "tensor" = 2]
    func.func @f(%x: tensor<4x8xf32> {sharding.layout = #sharding.layout<@mesh, [{"data"}, {} ]>},
                 %w: tensor<8x6xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {"tensor"} ]>}) -> tensor<4x6xf32> {
      %y = graph.linear %x, %w : tensor<4x8xf32>, tensor<8x6xf32>
      return %y : tensor<4x6xf32>
    }
    ```

    Output:
    ```mlir
      %y = graph.linear %x, %w {sharding.factors = #sharding.factors<[{"data"}, {"tensor"}, {} ]>,
                                sharding.layouts = [#sharding.layout<@mesh, [{"data"}, {"tensor"} ]>]} : ...
    ```
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect", "::deepshard::sharding::ShardingDialect"];
}

def VerifyAnnotated : Pass<"verify-annotated", "::mlir::ModuleOp"> {
  let summary = "Check what the choice of layouts promises to partition";
  let description = [{
    The border of the phase; runs in release too. A module without a mesh is left alone. Reports all faults at once:

    1. every argument and result of a function has a `sharding.layout` that divides its shape
    2. every op has a sharding rule, axes for as many factors as its rule has and a layout for each result; a constraint has
       a layout
    3. axes divide the factor that they split; a factor that has to be whole is not split
    4. a result is declared to lie where what the factors give can be moved: it divides, and holds no summands that those do not
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect", "::deepshard::sharding::ShardingDialect"];
}

def Partition : Pass<"partition", "::mlir::ModuleOp"> {
  let summary = "Turn the program on whole tensors into the program of a rank";
  let description = [{
    Every value gets its local type. Where an op needs an operand in another layout than it has, the moves of Reshard.h
    are inserted, once per value and layout. Ops build their local form themselves (ShardingRuleOpInterface).

    Requires: `propagate-layouts`. Leaves: local types; collectives of the sharding dialect; `sharding.layout` on arguments
    and results, which says what piece they are.

    Input:
    ```mlir
    %y = graph.linear %x, %w {sharding.factors = #sharding.factors<[{}, {}, {"tensor"} ]>,
                              sharding.layouts = [#sharding.layout<@mesh, [{}, {} ], partial = sum {"tensor"}>]}
        : tensor<4x8xf32>, tensor<8x6xf32>
    %z = graph.tanh %y {sharding.factors = #sharding.factors<[{}, {} ]>, sharding.layouts = [#sharding.layout<@mesh, [{}, {} ]>]}
        : tensor<4x6xf32>
    ```

    Output:
    ```mlir
    %y = graph.linear %x, %w : tensor<4x4xf32>, tensor<4x6xf32>
    %0 = sharding.all_reduce sum %y over @mesh {"tensor"} : tensor<4x6xf32>
    %z = graph.tanh %0 : tensor<4x6xf32>
    ```
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect", "::deepshard::sharding::ShardingDialect"];
}

def ShardBuckets : Pass<"shard-buckets", "::mlir::ModuleOp"> {
  let summary = "Cut buckets over the ranks that copy them (ZeRO), and insert their gathers and reductions";
  let description = [{
    Obeys `sharding.zero`. Buckets of gradients are packed, reduced (all_reduce at stage 0, reduce_scatter from stage 1 on)
    as soon as they are complete, or in @update if they are accumulated first; the norm is summed over ranks; the
    optimizer works on the own part; parameters are gathered behind it (stages 1 and 2) or where they are used (stage 3).

    Requires: @micro_batch and @update of `create-update` on local types. Leaves: the same functions on buckets of the
    layouts that the stage says; @gather if parameters are gathered once a step.

    Input:
    ```mlir
    func.func @update(%p: tensor<32xf32> {graph.bucket = parameter 0}, %g: tensor<32xf32> {graph.bucket = gradient 0}, %m, %v, ...) {
      %p2, %m2, %v2 = graph.adamw %p, %g, %m, %v, ...
    ```

    Output, stage 1 over two ranks:
    ```mlir
    func.func @update(%p: tensor<32xf32>, %g: tensor<16xf32>, %m: tensor<16xf32>, %v: tensor<16xf32>, ...) {
      %own = sharding.local_slice %p over @mesh {"data"} dim 0 : tensor<32xf32> to tensor<16xf32>
      %o2, %m2, %v2 = graph.adamw %own, %g, %m, %v, ...
      %p2 = sharding.all_gather %o2 over @mesh {"data"} dim 0 : tensor<16xf32> to tensor<32xf32>
    ```
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect", "::deepshard::sharding::ShardingDialect"];
}

def VerifyPartitioned : Pass<"verify-partitioned", "::mlir::ModuleOp"> {
  let summary = "Check what the sharding phase promises to the passes behind it";
  let description = [{
    The border of the phase; runs in release too. A module without a mesh is left alone. Reports all faults at once:

    1. no op has `sharding.factors`, `sharding.layouts` or `graph.recompute`, and no `sharding.constraint` or
       `sharding.reshard` is left
    2. a metric is whole on every rank
    3. argument and result of a `graph.state` have one type and one layout
    4. a bucket has one type and one layout in all functions
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect", "::deepshard::sharding::ShardingDialect"];
}

#endif // DEEPSHARD_PASSES_SHARDING_PASSES
