// RUN: ds-opt %s --pass-pipeline='builtin.module(differentiate,cse,func.func(choose-recompute{mode=selective}))' | FileCheck %s

// A row of a table is as little to read as an element of an activation, but the table is a parameter, which stage 3 of ZeRO would
// gather again for it: what was looked up is kept, as long as it is smaller than that. The activation function is computed again.

// CHECK-LABEL: func @forward
// CHECK: graph.embedding {{.*}}{graph.phase = "forward"}
// CHECK: graph.gelu {{.*}}graph.recompute = "selective"
// CHECK-NOT: graph.recompute
func.func @forward(%ids: tensor<16xi64> {graph.input = "ids"}, %table: tensor<4096x64xf32> {graph.parameter = "table"},
                   %w: tensor<64x64xf32> {graph.parameter = "w"}, %v: tensor<64x64xf32> {graph.parameter = "v"})
    -> (tensor<f32> {graph.output = "loss"}) {
  %x = graph.embedding %table, %ids : tensor<4096x64xf32>, tensor<16xi64>
  %h = graph.linear %x, %w : tensor<16x64xf32>, tensor<64x64xf32>
  %g = graph.gelu %h : tensor<16x64xf32>
  %o = graph.linear %g, %v : tensor<16x64xf32>, tensor<64x64xf32>
  %loss = graph.reduce_sum %o dims [0, 1] : tensor<16x64xf32>
  return %loss : tensor<f32>
}
