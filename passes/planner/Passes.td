//===- Passes.td - what is decided ----------------------------------------------*- tablegen -*-===//
//
// These passes write attributes and transform nothing.
//
//===--------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_PLANNER_PASSES
#define DEEPSHARD_PASSES_PLANNER_PASSES

include "mlir/Pass/PassBase.td"

def ChooseLayouts : Pass<"choose-layouts", "::mlir::ModuleOp"> {
  let summary = "Find the cheapest layouts of parameters and values";
  let description = [{
    Chooses for every parameter that is not pinned, and for every op, how it is split over the axes of the mesh that do not
    cut inputs, so that a step takes the least time by the machine model: arithmetic, memory traffic and collectives of
    one rank, one after another. With the objective `traffic` the bytes that a rank receives in a step decide, over all axes
    alike, and that time breaks ties: then an axis over which nothing has to be moved if nothing is split may stay idle
    (a warning says so). The minimum is exact (LayoutNetwork.h, CostNetwork.h). Pins restrict it. Where the
    sequence of attention is split and `sharding.attention` leaves it open, whether it splits the heads or goes round is chosen
    too. A mesh whose axes all cut inputs leaves nothing else to choose.

    Requires: a function with its gradients (`differentiate`); `sharding.layout` on the inputs. Leaves: `sharding.layout` on
    all arguments, `sharding.factors` and `sharding.layouts` on all ops.

    Input:
    ```mlir
    sharding.mesh @mesh ["tensor" = 2]
    func.func @forward(%x: tensor<64x512xf32>, %w: tensor<512x512xf32> {graph.parameter = "w"}) -> tensor<64x512xf32> {
      %y = graph.linear %x, %w : tensor<64x512xf32>, tensor<512x512xf32>
      ...
    ```

    Output:
    ```mlir
    func.func @forward(%x: ..., %w: tensor<512x512xf32> {graph.parameter = "w", sharding.layout = #sharding.layout<@mesh, [{}, {"tensor"} ]>}) -> tensor<64x512xf32> {
      %y = graph.linear %x, %w {sharding.factors = #sharding.factors<{}, {}, {"tensor"}>, sharding.layouts = [...]} : ...
    ```
  }];
  let options = [
    Option<"objective", "objective", "std::string", "\"time\"", "What is to be least: time, or traffic">,
    Option<"tflops", "tflops", "double", "0.05", "Arithmetic of a rank, 10^12 operations a second">,
    Option<"memoryGbPerS", "memory-gb-per-s", "double", "8", "Memory traffic of a rank, 10^9 bytes a second">,
    ListOption<"tierSizes", "tier-sizes", "int64_t", "Ranks that share each tier of links, innermost first">,
    ListOption<"tierLatencies", "tier-latency-us", "double", "Latency of a collective over each tier">,
    ListOption<"tierBandwidths", "tier-gb-per-s", "double", "What a rank receives over each tier, 10^9 bytes a second">,
    ListOption<"whyNot", "why-not", "std::string", "PATTERN=DIMENSIONS or AXIS.MODULE=row: say what other layouts of parameters would cost">
  ];
  let dependentDialects = ["::deepshard::graph::GraphDialect", "::deepshard::sharding::ShardingDialect"];
}

def ChooseRecompute : Pass<"choose-recompute", "::mlir::func::FuncOp"> {
  let summary = "Mark what the backward computes again instead of keeping it";
  let description = [{
    Less memory for more time. `mode` says how much:

    * "full": of each repeated block of the network only the input is kept (Fold.h finds the blocks; of others each segment
      between two single-tensor separators is one). `inputs` > 0 groups neighbouring blocks so that about so many are kept.
      The head behind the last repeated block (without one, the last segment) is left alone: its backward follows at once.
    * "selective": what is cheap to compute again: the ops for which kept bytes + moved bytes / 16 are smallest
      (CheapRecompute.h, a minimum cut). Activations and normalisations; never a contraction, and nothing is sent again.

    Requires: a function with its gradients (`differentiate`); layouts, if it has any, count. Leaves: `graph.recompute` on
    forward ops, which `recompute` obeys. Nothing is transformed.

    Input, with mode=selective:
    ```mlir
    %h = graph.linear %x, %w {graph.phase = "forward"} : tensor<2x4xf32>, tensor<4x8xf32>
    %y = graph.gelu %h {graph.phase = "forward"} : tensor<2x8xf32>
    %z = graph.linear %y, %v {graph.phase = "forward"} : tensor<2x8xf32>, tensor<8x3xf32>
    ... // the backward reads %h and %y
    ```

    Output:
    ```mlir
    %h = graph.linear %x, %w {graph.phase = "forward"} : tensor<2x4xf32>, tensor<4x8xf32>
    %y = graph.gelu %h {graph.phase = "forward", graph.recompute = "selective"} : tensor<2x8xf32>
    %z = graph.linear %y, %v {graph.phase = "forward"} : tensor<2x8xf32>, tensor<8x3xf32>
    ```
  }];
  let options = [
    Option<"mode", "mode", "std::string", /*default=*/"\"selective\"", "full or selective">,
    Option<"inputs", "inputs", "int64_t", "0", "full: how many inputs of blocks are kept, about; 0: all">
  ];
  let dependentDialects = ["::deepshard::graph::GraphDialect"];
}

#endif // DEEPSHARD_PASSES_PLANNER_PASSES
