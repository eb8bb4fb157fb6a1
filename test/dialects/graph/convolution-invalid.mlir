// RUN: ds-opt %s -verify-diagnostics -split-input-file

// Convolution 1.
func.func @convolution_rank(%x: tensor<2x4xf32>, %w: tensor<6x4xf32>) {
  // expected-error @+1 {{'x' has rank 2; expected rank 3 to 5: batch, channels and 1 to 3 spatial dimensions}}
  %y = graph.convolution %x, %w strides [] low [] high [] dilations [] groups 1 : tensor<2x4xf32>, tensor<6x4xf32>
  return
}

// -----

// Convolution 1.
func.func @convolution_weight_rank(%x: tensor<2x4x8x8xf32>, %w: tensor<6x4x3xf32>) {
  // expected-error @+1 {{'weight' has rank 3; expected rank 4}}
  %y = graph.convolution %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : tensor<2x4x8x8xf32>, tensor<6x4x3xf32>
  return
}

// -----

// Convolution 1.
func.func @convolution_element_types(%x: tensor<2x4x8x8xf32>, %w: tensor<6x4x3x3xf64>) {
  // expected-error @+1 {{element type of 'x' is 'f32' but that of 'weight' is 'f64'}}
  %y = graph.convolution %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : tensor<2x4x8x8xf32>, tensor<6x4x3x3xf64>
  return
}

// -----

// Convolution 2.
func.func @convolution_entries(%x: tensor<2x4x8x8xf32>, %w: tensor<6x4x3x3xf32>) {
  // expected-error @+1 {{dilations has 1 entries for 2 spatial dimensions}}
  %y = graph.convolution %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1] groups 1 : tensor<2x4x8x8xf32>, tensor<6x4x3x3xf32>
  return
}

// -----

// Convolution 2.
func.func @convolution_stride(%x: tensor<2x4x8x8xf32>, %w: tensor<6x4x3x3xf32>) {
  // expected-error @+1 {{strides of spatial dimension 1 is 0; expected 1 or more}}
  %y = graph.convolution %x, %w strides [1, 0] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : tensor<2x4x8x8xf32>, tensor<6x4x3x3xf32>
  return
}

// -----

// Convolution 2.
func.func @convolution_padding(%x: tensor<2x4x8x8xf32>, %w: tensor<6x4x3x3xf32>) {
  // expected-error @+1 {{low of spatial dimension 0 is -1; expected 0 or more}}
  %y = graph.convolution %x, %w strides [1, 1] low [-1, 0] high [0, 0] dilations [1, 1] groups 1 : tensor<2x4x8x8xf32>, tensor<6x4x3x3xf32>
  return
}

// -----

// Convolution 3.
func.func @convolution_no_groups(%x: tensor<2x4x8x8xf32>, %w: tensor<6x4x3x3xf32>) {
  // expected-error @+1 {{groups is 0; expected 1 or more}}
  %y = graph.convolution %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 0 : tensor<2x4x8x8xf32>, tensor<6x4x3x3xf32>
  return
}

// -----

// Convolution 3.
func.func @convolution_groups(%x: tensor<2x8x8x8xf32>, %w: tensor<6x2x3x3xf32>) {
  // expected-error @+1 {{dimension 0 of 'weight' is 6, which 4 groups do not divide}}
  %y = graph.convolution %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 4 : tensor<2x8x8x8xf32>, tensor<6x2x3x3xf32>
  return
}

// -----

// Convolution 3.
func.func @convolution_channels(%x: tensor<2x4x8x8xf32>, %w: tensor<6x4x3x3xf32>) {
  // expected-error @+1 {{dimension 1 of 'x' is 4 but dimension 1 of 'weight' is 4 in 2 groups}}
  %y = graph.convolution %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 2 : tensor<2x4x8x8xf32>, tensor<6x4x3x3xf32>
  return
}

// -----

// Convolution 4.
func.func @convolution_kernel(%x: tensor<2x4x8x3xf32>, %w: tensor<6x4x3x3xf32>) {
  // expected-error @+1 {{in spatial dimension 1 a kernel of size 3 and dilation 2 reaches over 5 elements, but x of size 3 has 4 with its padding}}
  %y = graph.convolution %x, %w strides [1, 1] low [0, 0] high [0, 1] dilations [1, 2] groups 1 : tensor<2x4x8x3xf32>, tensor<6x4x3x3xf32>
  return
}

// -----

// Convolution 4.
func.func @convolution_no_kernel(%x: tensor<2x4x8x8xf32>, %w: tensor<6x4x0x3xf32>) {
  // expected-error @+1 {{in spatial dimension 0 a kernel of size 0 and dilation 1 reaches over 0 elements, but x of size 8 has 8 with its padding}}
  %y = graph.convolution %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : tensor<2x4x8x8xf32>, tensor<6x4x0x3xf32>
  return
}

// -----

// Convolution input grad 1.
func.func @input_grad_rank(%a: tensor<2x6x8x8xf32>, %b: tensor<6x4x3xf32>) {
  // expected-error @+1 {{'weight' has rank 3; expected rank 4}}
  %r = graph.convolution_input_grad %a, %b sizes [8, 8] strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : tensor<2x6x8x8xf32>, tensor<6x4x3xf32>
  return
}

// -----

// Convolution input grad 1.
func.func @input_grad_element_types(%a: tensor<2x6x6x6xf32>, %b: tensor<6x4x3x3xf64>) {
  // expected-error @+1 {{element type of 'dy' is 'f32' but that of 'weight' is 'f64'}}
  %r = graph.convolution_input_grad %a, %b sizes [8, 8] strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : tensor<2x6x6x6xf32>, tensor<6x4x3x3xf64>
  return
}

// -----

// Convolution input grad 2.
func.func @input_grad_sizes(%a: tensor<2x6x6x6xf32>, %b: tensor<6x4x3x3xf32>) {
  // expected-error @+1 {{sizes has 1 entries for 2 spatial dimensions}}
  %r = graph.convolution_input_grad %a, %b sizes [8] strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : tensor<2x6x6x6xf32>, tensor<6x4x3x3xf32>
  return
}

// -----

// Convolution input grad 2.
func.func @input_grad_window(%a: tensor<2x6x6x6xf32>, %b: tensor<6x4x3x3xf32>) {
  // expected-error @+1 {{in spatial dimension 0 a kernel of size 3 and dilation 1 reaches over 3 elements, but x of size 2 has 2 with its padding}}
  %r = graph.convolution_input_grad %a, %b sizes [2, 8] strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : tensor<2x6x6x6xf32>, tensor<6x4x3x3xf32>
  return
}

// -----

// Convolution input grad 2.
func.func @input_grad_groups(%a: tensor<2x6x6x6xf32>, %b: tensor<6x4x3x3xf32>) {
  // expected-error @+1 {{dimension 0 of 'weight' is 6, which 4 groups do not divide}}
  %r = graph.convolution_input_grad %a, %b sizes [8, 8] strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 4 : tensor<2x6x6x6xf32>, tensor<6x4x3x3xf32>
  return
}

// -----

// Convolution input grad 3.
func.func @input_grad_channels(%a: tensor<2x5x6x6xf32>, %b: tensor<6x4x3x3xf32>) {
  // expected-error @+1 {{dimension 1 of 'dy' is 5; expected 6 from the result of the convolution, which is 2x6x6x6}}
  %r = graph.convolution_input_grad %a, %b sizes [8, 8] strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : tensor<2x5x6x6xf32>, tensor<6x4x3x3xf32>
  return
}

// -----

// Convolution input grad 3.
func.func @input_grad_spatial(%a: tensor<2x6x6x6xf32>, %b: tensor<6x4x3x3xf32>) {
  // expected-error @+1 {{dimension 3 of 'dy' is 6; expected 7 from the result of the convolution, which is 2x6x6x7}}
  %r = graph.convolution_input_grad %a, %b sizes [8, 9] strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : tensor<2x6x6x6xf32>, tensor<6x4x3x3xf32>
  return
}

// -----

// Convolution weight grad 1.
func.func @weight_grad_rank(%a: tensor<2x6x6x6xf32>, %b: tensor<2x4x8xf32>) {
  // expected-error @+1 {{'x' has rank 3; expected rank 4}}
  %r = graph.convolution_weight_grad %a, %b sizes [3, 3] strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : tensor<2x6x6x6xf32>, tensor<2x4x8xf32>
  return
}

// -----

// Convolution weight grad 1.
func.func @weight_grad_element_types(%a: tensor<2x6x6x6xf32>, %b: tensor<2x4x8x8xf64>) {
  // expected-error @+1 {{element type of 'dy' is 'f32' but that of 'x' is 'f64'}}
  %r = graph.convolution_weight_grad %a, %b sizes [3, 3] strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : tensor<2x6x6x6xf32>, tensor<2x4x8x8xf64>
  return
}

// -----

// Convolution weight grad 2.
func.func @weight_grad_sizes(%a: tensor<2x6x6x6xf32>, %b: tensor<2x4x8x8xf32>) {
  // expected-error @+1 {{sizes has 3 entries for 2 spatial dimensions}}
  %r = graph.convolution_weight_grad %a, %b sizes [3, 3, 3] strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : tensor<2x6x6x6xf32>, tensor<2x4x8x8xf32>
  return
}

// -----

// Convolution weight grad 2.
func.func @weight_grad_window(%a: tensor<2x6x6x6xf32>, %b: tensor<2x4x8x8xf32>) {
  // expected-error @+1 {{high of spatial dimension 1 is -2; expected 0 or more}}
  %r = graph.convolution_weight_grad %a, %b sizes [3, 3] strides [1, 1] low [0, 0] high [0, -2] dilations [1, 1] groups 1 : tensor<2x6x6x6xf32>, tensor<2x4x8x8xf32>
  return
}

// -----

// Convolution weight grad 3.
func.func @weight_grad_groups_of_dy(%a: tensor<2x6x6x6xf32>, %b: tensor<2x4x8x8xf32>) {
  // expected-error @+1 {{dimension 1 of 'dy' is 6, which 4 groups do not divide}}
  %r = graph.convolution_weight_grad %a, %b sizes [3, 3] strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 4 : tensor<2x6x6x6xf32>, tensor<2x4x8x8xf32>
  return
}

// -----

// Convolution weight grad 3.
func.func @weight_grad_groups_of_x(%a: tensor<2x6x6x6xf32>, %b: tensor<2x4x8x8xf32>) {
  // expected-error @+1 {{dimension 1 of 'x' is 4, which 3 groups do not divide}}
  %r = graph.convolution_weight_grad %a, %b sizes [3, 3] strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 3 : tensor<2x6x6x6xf32>, tensor<2x4x8x8xf32>
  return
}

// -----

// Convolution weight grad 4.
func.func @weight_grad_batch(%a: tensor<3x6x6x6xf32>, %b: tensor<2x4x8x8xf32>) {
  // expected-error @+1 {{dimension 0 of 'dy' is 3; expected 2 from the result of the convolution, which is 2x6x6x6}}
  %r = graph.convolution_weight_grad %a, %b sizes [3, 3] strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] groups 1 : tensor<3x6x6x6xf32>, tensor<2x4x8x8xf32>
  return
}
