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
    one rank, one after another. The minimum is exact (LayoutNetwork.h, CostNetwork.h). Pins restrict it. Where the
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
    Option<"tflops", "tflops", "double", "0.05", "Arithmetic of a rank, 10^12 operations a second">,
    Option<"memoryGbPerS", "memory-gb-per-s", "double", "8", "Memory traffic of a rank, 10^9 bytes a second">,
    ListOption<"tierSizes", "tier-sizes", "int64_t", "Ranks that share each tier of links, innermost first">,
    ListOption<"tierLatencies", "tier-latency-us", "double", "Latency of a collective over each tier">,
    ListOption<"tierBandwidths", "tier-gb-per-s", "double", "What a rank receives over each tier, 10^9 bytes a second">,
    ListOption<"whyNot", "why-not", "std::string", "PATTERN=DIMENSIONS: say what other layouts of parameters would cost">
  ];
  let dependentDialects = ["::deepshard::graph::GraphDialect", "::deepshard::sharding::ShardingDialect"];
}

#endif // DEEPSHARD_PASSES_PLANNER_PASSES
