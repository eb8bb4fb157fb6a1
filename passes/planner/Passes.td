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
    cut the batch, so that a step takes the least time by the machine model: arithmetic, memory traffic and collectives of
    one rank, one after another. The minimum is exact (LayoutNetwork.h, CostNetwork.h). Pins restrict it.

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
  let dependentDialects = ["::deepshard::graph::GraphDialect", "::deepshard::sharding::ShardingDialect"];
}

#endif // DEEPSHARD_PASSES_PLANNER_PASSES
