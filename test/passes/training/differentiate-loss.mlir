// RUN: ds-opt %s --differentiate=loss=b | FileCheck %s
// RUN: not ds-opt %s --differentiate=loss=x 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not ds-opt %s --differentiate=loss=c 2>&1 | FileCheck %s --check-prefix=SHAPE

// UNKNOWN: error: the model has no output 'x'; outputs: 'a' of tensor<f32>, 'b' of tensor<f32>, 'c' of tensor<2xf32>
// SHAPE: error: the loss 'c' is of 'tensor<2xf32>'; expected a float scalar; outputs: 'a'

// CHECK: tensor<f32> {graph.output = "a"}, tensor<f32> {graph.metric = "loss", graph.output = "b"}
func.func @forward(%w: tensor<f32> {graph.parameter = "w"}, %v: tensor<2xf32> {graph.input = "v"})
    -> (tensor<f32> {graph.output = "a"}, tensor<f32> {graph.output = "b"}, tensor<2xf32> {graph.output = "c"}) {
  %0 = graph.sin %w : tensor<f32>
  %1 = graph.neg %w : tensor<f32>
  // CHECK: %[[SEED:.*]] = graph.constant
  // CHECK: graph.neg %[[SEED]] {graph.phase = "backward"}
  return %0, %1, %v : tensor<f32>, tensor<f32>, tensor<2xf32>
}
