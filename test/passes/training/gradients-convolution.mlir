// RUN: ds-opt %s --split-input-file --differentiate --cse 2>/dev/null | FileCheck %s

// Both gradients take the window of the convolution and the sizes that their operands do not tell.
// The loss is the sum of y * dy, so that the cotangent of y is 1 * %dy.

// CHECK-LABEL: module @convolution {
// CHECK: %[[DY:.*]] = graph.mul %{{.*}}, %arg2 {graph.phase = "backward"}
// CHECK-NEXT: %[[DX:.*]] = graph.convolution_input_grad %[[DY]], %arg1 sizes [7, 8] strides [2, 2] low [1, 0] high [1, 0] dilations [1, 2] groups 2 {graph.phase = "backward"}
// CHECK-NEXT: %[[DW:.*]] = graph.convolution_weight_grad %[[DY]], %arg0 sizes [3, 3] strides [2, 2] low [1, 0] high [1, 0] dilations [1, 2] groups 2 {graph.phase = "backward"}
// CHECK-NEXT: return %{{.*}}, %[[DX]], %[[DW]]

module @convolution {
  func.func @forward(%x: tensor<2x4x7x8xf32> {graph.parameter = "x"}, %w: tensor<6x2x3x3xf32> {graph.parameter = "w"},
                     %dy: tensor<2x6x4x2xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.convolution %x, %w strides [2, 2] low [1, 0] high [1, 0] dilations [1, 2] groups 2
        : tensor<2x4x7x8xf32>, tensor<6x2x3x3xf32>
    %p = graph.mul %y, %dy : tensor<2x6x4x2xf32>, tensor<2x6x4x2xf32>
    %loss = graph.reduce_sum %p dims [0, 1, 2, 3] : tensor<2x6x4x2xf32>
    return %loss : tensor<f32>
  }
}

// -----

// Nothing is asked of data.

// CHECK-LABEL: module @of_data {
// CHECK-NOT: graph.convolution_input_grad
// CHECK: graph.convolution_weight_grad %{{.*}}, %arg0 sizes [3]
// CHECK-NOT: graph.convolution_input_grad

module @of_data {
  func.func @forward(%x: tensor<2x4x7xf32> {graph.input = "x"}, %w: tensor<6x4x3xf32> {graph.parameter = "w"})
      -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.convolution %x, %w strides [1] low [0] high [0] dilations [1] groups 1
        : tensor<2x4x7xf32>, tensor<6x4x3xf32>
    %loss = graph.reduce_sum %y dims [0, 1, 2] : tensor<2x6x5xf32>
    return %loss : tensor<f32>
  }
}
