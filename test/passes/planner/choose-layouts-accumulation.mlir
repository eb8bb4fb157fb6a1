// RUN: ds-opt %s -split-input-file --remarks-filter=search --remark-format=emitRemark --choose-layouts='tflops=1000 memory-gb-per-s=1 tier-sizes=4 tier-latency-us=0 tier-gb-per-s=1' 2>&1 >/dev/null | FileCheck %s

// The update of a parameter belongs to a step, of which a micro-batch is a fourth. By hand: of 16,384 bytes seven times as
// many are read and written, 114.69 us; the gradient is all-reduced over two data ranks, 16.38 us. Together a fourth: 32.77.
// With stage 1 of ZeRO the all-reduce is a reduce-scatter, 8.19 us, and behind the update the parameter is gathered, 8.19 us.
// If gradients are reduced in each micro-batch: 28.67 + 8.19 + 8.19 / 4. With stage 3 the parameter is gathered in each one
// too, here for the forward alone: 28.67 + 8.19 + 8.19.

// CHECK: updates 32.77 us
module attributes {graph.accumulation_steps = 4 : i64} {
  sharding.mesh @mesh ["data" = 2, "tensor" = 2]
  func.func @step(%x: tensor<64x32xf32> {graph.batch_dimension = 0 : i64, graph.input = "x", sharding.layout = #sharding.layout<@mesh, [{"data"}, {}]>},
                  %w: tensor<32x128xf32> {graph.parameter = "w", sharding.layout = #sharding.layout<@mesh, [{}, {}]>}) -> tensor<64x128xf32> {
    %0 = graph.linear %x, %w : tensor<64x32xf32>, tensor<32x128xf32>
    return %0 : tensor<64x128xf32>
  }
}

// -----

// CHECK: updates 38.91 us
module attributes {graph.accumulation_steps = 4 : i64, sharding.zero = #sharding.zero<axes = <{"data"}>, stage = 1, reduction = "micro_batch", gather = "regather", kept_whole = 0>} {
  sharding.mesh @mesh ["data" = 2, "tensor" = 2]
  func.func @each(%x: tensor<64x32xf32> {graph.batch_dimension = 0 : i64, graph.input = "x", sharding.layout = #sharding.layout<@mesh, [{"data"}, {}]>},
                  %w: tensor<32x128xf32> {graph.parameter = "w", sharding.layout = #sharding.layout<@mesh, [{}, {}]>}) -> tensor<64x128xf32> {
    %0 = graph.linear %x, %w : tensor<64x32xf32>, tensor<32x128xf32>
    return %0 : tensor<64x128xf32>
  }
}

// -----

// CHECK: updates 45.06 us
module attributes {graph.accumulation_steps = 4 : i64, sharding.zero = #sharding.zero<axes = <{"data"}>, stage = 3, reduction = "micro_batch", gather = "regather", kept_whole = 0>} {
  sharding.mesh @mesh ["data" = 2, "tensor" = 2]
  func.func @gathered(%x: tensor<64x32xf32> {graph.batch_dimension = 0 : i64, graph.input = "x", sharding.layout = #sharding.layout<@mesh, [{"data"}, {}]>},
                  %w: tensor<32x128xf32> {graph.parameter = "w", sharding.layout = #sharding.layout<@mesh, [{}, {}]>}) -> tensor<64x128xf32> {
    %0 = graph.linear %x, %w : tensor<64x32xf32>, tensor<32x128xf32>
    return %0 : tensor<64x128xf32>
  }
}
