// RUN: ds-opt %s -split-input-file -verify-diagnostics --choose-kernels=gpu | FileCheck %s

// Convolutions are cuDNN's, in one to three dimensions; the gradient of a weight may be f32 of bf16.

// CHECK-LABEL: func.func @convolution
// CHECK: graph.convolution %{{.*}}, %{{.*}} strides [2, 2] {{.*}} {graph.provider = "cudnn"}
// CHECK: graph.convolution_input_grad {{.*}} {graph.provider = "cudnn"}
// CHECK: graph.convolution_weight_grad {{.*}} in f32 {graph.provider = "cudnn"}
// CHECK: graph.convolution {{.*}} groups 2 {graph.provider = "cudnn"}
func.func @convolution(%x: tensor<8x3x32x32xbf16>, %w: tensor<16x3x3x3xbf16>, %line: tensor<2x4x9xf32>, %kernel: tensor<6x2x3xf32>)
    -> (tensor<8x3x32x32xbf16>, tensor<16x3x3x3xf32>, tensor<2x6x7xf32>) {
  %y = graph.convolution %x, %w strides [2, 2] low [1, 1] high [1, 1] dilations [1, 1] groups 1
      : tensor<8x3x32x32xbf16>, tensor<16x3x3x3xbf16>
  %dx = graph.convolution_input_grad %y, %w sizes [32, 32] strides [2, 2] low [1, 1] high [1, 1] dilations [1, 1] groups 1
      : tensor<8x16x16x16xbf16>, tensor<16x3x3x3xbf16>
  %dw = graph.convolution_weight_grad %y, %x sizes [3, 3] strides [2, 2] low [1, 1] high [1, 1] dilations [1, 1] groups 1 in f32
      : tensor<8x16x16x16xbf16>, tensor<8x3x32x32xbf16>
  %0 = graph.convolution %line, %kernel strides [1] low [0] high [0] dilations [1] groups 2
      : tensor<2x4x9xf32>, tensor<6x2x3xf32>
  return %dx, %dw, %0 : tensor<8x3x32x32xbf16>, tensor<16x3x3x3xf32>, tensor<2x6x7xf32>
}

// -----

func.func @double(%x: tensor<2x4x9xf64>, %w: tensor<6x4x3xf64>) -> tensor<2x6x7xf64> {
  // expected-error @below {{has no kernel for these types in any provider}}
  %y = graph.convolution %x, %w strides [1] low [0] high [0] dilations [1] groups 1 : tensor<2x4x9xf64>, tensor<6x4x3xf64>
  return %y : tensor<2x6x7xf64>
}
