// RUN: not ds-opt %s --choose-layouts='why-not=w=[null,null]' 2>&1 | FileCheck %s

// A question where nothing is searched is not passed over.

// CHECK: error: why not w=[null,null]: nothing is searched, no mesh axis is free to split tensors

sharding.mesh @mesh ["data" = 2]

func.func @f(%x: tensor<4x2xf32> {graph.batch_dimension = 0 : i64, graph.input = "x", sharding.layout = #sharding.layout<@mesh, [{"data"}, {}]>},
             %w: tensor<2x2xf32> {graph.parameter = "w"}) -> tensor<4x2xf32> {
  %0 = graph.linear %x, %w : tensor<4x2xf32>, tensor<2x2xf32>
  return %0 : tensor<4x2xf32>
}
