// RUN: ds-opt %s | ds-opt - | FileCheck %s

// CHECK-LABEL: @convolution
// CHECK: graph.convolution %{{.*}}, %{{.*}} strides [2, 2] low [1, 1] high [1, 1] dilations [1, 1] groups 1 : tensor<8x3x32x32xf32>, tensor<16x3x3x3xf32>
// CHECK: return {{.*}} : tensor<8x16x16x16xf32>
func.func @convolution(%x: tensor<8x3x32x32xf32>, %w: tensor<16x3x3x3xf32>) -> tensor<8x16x16x16xf32> {
  %y = graph.convolution %x, %w strides [2, 2] low [1, 1] high [1, 1] dilations [1, 1] groups 1
      : tensor<8x3x32x32xf32>, tensor<16x3x3x3xf32>
  return %y : tensor<8x16x16x16xf32>
}

// Unequal padding, a dilated kernel of one dimension, groups.
// CHECK-LABEL: @sequence
// CHECK: graph.convolution %{{.*}}, %{{.*}} strides [1] low [4] high [0] dilations [2] groups 2 : tensor<2x6x10xf64>, tensor<4x3x3xf64>
// CHECK: return {{.*}} : tensor<2x4x10xf64>
func.func @sequence(%x: tensor<2x6x10xf64>, %w: tensor<4x3x3xf64>) -> tensor<2x4x10xf64> {
  %y = graph.convolution %x, %w strides [1] low [4] high [0] dilations [2] groups 2
      : tensor<2x6x10xf64>, tensor<4x3x3xf64>
  return %y : tensor<2x4x10xf64>
}

// The kernel may end anywhere: the last element of x is not seen.
// CHECK-LABEL: @volume
// CHECK: return {{.*}} : tensor<1x5x3x2x2xf32>
func.func @volume(%x: tensor<1x2x6x6x5xf32>, %w: tensor<5x2x2x3x2xf32>) -> tensor<1x5x3x2x2xf32> {
  %y = graph.convolution %x, %w strides [2, 3, 3] low [0, 0, 0] high [0, 0, 0] dilations [1, 1, 1] groups 1
      : tensor<1x2x6x6x5xf32>, tensor<5x2x2x3x2xf32>
  return %y : tensor<1x5x3x2x2xf32>
}

// CHECK-LABEL: @gradients
// CHECK: graph.convolution_input_grad %{{.*}}, %{{.*}} sizes [7, 8] strides [2, 2] low [1, 0] high [1, 0] dilations [1, 2] groups 2 : tensor<2x6x4x2xf32>, tensor<6x2x3x3xf32>
// CHECK: graph.convolution_weight_grad %{{.*}}, %{{.*}} sizes [3, 3] strides [2, 2] low [1, 0] high [1, 0] dilations [1, 2] groups 2 : tensor<2x6x4x2xf32>, tensor<2x4x7x8xf32>
// CHECK: return {{.*}} : tensor<2x4x7x8xf32>, tensor<6x2x3x3xf32>
func.func @gradients(%dy: tensor<2x6x4x2xf32>, %x: tensor<2x4x7x8xf32>, %w: tensor<6x2x3x3xf32>)
    -> (tensor<2x4x7x8xf32>, tensor<6x2x3x3xf32>) {
  %dx = graph.convolution_input_grad %dy, %w sizes [7, 8] strides [2, 2] low [1, 0] high [1, 0] dilations [1, 2] groups 2
      : tensor<2x6x4x2xf32>, tensor<6x2x3x3xf32>
  %dw = graph.convolution_weight_grad %dy, %x sizes [3, 3] strides [2, 2] low [1, 0] high [1, 0] dilations [1, 2] groups 2
      : tensor<2x6x4x2xf32>, tensor<2x4x7x8xf32>
  return %dx, %dw : tensor<2x4x7x8xf32>, tensor<6x2x3x3xf32>
}
