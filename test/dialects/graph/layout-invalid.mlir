// RUN: ds-opt %s -verify-diagnostics -split-input-file

// Constant 1.
func.func @constant_kind() {
  // expected-error @+1 {{value must be dense<...> or dense_resource<...>}}
  %r = graph.constant sparse<[[0]], [1.0]> : tensor<4xf32>
  return
}

// -----

// Constant 2.
func.func @constant_without_data() {
  // expected-error @+1 {{resource 'missing' has no data; define it under dialect_resources: builtin: at the end of the file}}
  %r = graph.constant dense_resource<missing> : tensor<4xf32>
  return
}

// -----

// Constant 2.
func.func @constant_with_too_little_data() {
  // expected-error @+1 {{resource 'short' has 4 bytes of data; expected 16 for 'tensor<4xf32>'}}
  %r = graph.constant dense_resource<short> : tensor<4xf32>
  return
}

{-#
  dialect_resources: { builtin: { short: "0x040000000000803F" } }
#-}

// -----

func.func @iota_dim() {
  // expected-error @+1 {{dim 1 is not a dimension of 'result', which has rank 1}}
  %r = graph.iota 1 : tensor<4xi64>
  return
}

// -----

// Reshape 1.
func.func @reshape_element_type(%x: tensor<2x3xf32>) {
  // expected-error @+1 {{element type of 'x' is 'f32' but that of 'result' is 'f64'}}
  %r = graph.reshape %x : tensor<2x3xf32> to tensor<6xf64>
  return
}

// -----

// Reshape 2.
func.func @reshape_elements(%x: tensor<2x3xf32>) {
  // expected-error @+1 {{cannot turn 2x3, 6 elements, into 7, 7 elements}}
  %r = graph.reshape %x : tensor<2x3xf32> to tensor<7xf32>
  return
}

// -----

// Transpose 1.
func.func @transpose_length(%x: tensor<2x3xf32>) {
  // expected-error @+1 {{permutation has 1 entries for a tensor of rank 2}}
  %r = graph.transpose %x [0] : tensor<2x3xf32>
  return
}

// -----

// Transpose 1.
func.func @transpose_twice(%x: tensor<2x3xf32>) {
  // expected-error @+1 {{permutation names dimension 1 twice}}
  %r = graph.transpose %x [1, 1] : tensor<2x3xf32>
  return
}

// -----

// Transpose 1.
func.func @transpose_range(%x: tensor<2x3xf32>) {
  // expected-error @+1 {{permutation: dimension 2 is not a dimension of 'x', which has rank 2}}
  %r = graph.transpose %x [0, 2] : tensor<2x3xf32>
  return
}

// -----

// Broadcast 1.
func.func @broadcast_length(%x: tensor<2x3xf32>) {
  // expected-error @+1 {{dims has 1 entries for a tensor of rank 2}}
  %r = graph.broadcast %x [0] : tensor<2x3xf32> to tensor<2x3xf32>
  return
}

// -----

// Broadcast 1.
func.func @broadcast_order(%x: tensor<2x3xf32>) {
  // expected-error @+1 {{dims must ascend, but 0 follows 1}}
  %r = graph.broadcast %x [1, 0] : tensor<2x3xf32> to tensor<3x2xf32>
  return
}

// -----

// Broadcast 2.
func.func @broadcast_size(%x: tensor<2x3xf32>) {
  // expected-error @+1 {{dimension 1 of 'x' is 3; expected 1 or 5, dimension 2 of the result}}
  %r = graph.broadcast %x [0, 2] : tensor<2x3xf32> to tensor<2x4x5xf32>
  return
}

// -----

// Broadcast 3.
func.func @broadcast_element_type(%x: tensor<3xf32>) {
  // expected-error @+1 {{element type of 'x' is 'f32' but that of 'result' is 'i64'}}
  %r = graph.broadcast %x [1] : tensor<3xf32> to tensor<2x3xi64>
  return
}

// -----

// Slice 1.
func.func @slice_length(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{limits has 1 entries for a tensor of rank 2}}
  %r = graph.slice %x [0, 0] to [4] by [1, 1] : tensor<4x8xf32>
  return
}

// -----

// Slice 2.
func.func @slice_range(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{dimension 1 of 'x', of size 8, has no range 2 to 9; expected 0 <= start <= limit <= size}}
  %r = graph.slice %x [0, 2] to [4, 9] by [1, 1] : tensor<4x8xf32>
  return
}

// -----

// Slice 2.
func.func @slice_stride(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{stride of dimension 0 is 0; expected 1 or more}}
  %r = graph.slice %x [0, 2] to [4, 8] by [0, 1] : tensor<4x8xf32>
  return
}

// -----

// Pad 1.
func.func @pad_length(%x: tensor<4x8xf32>, %v: tensor<f32>) {
  // expected-error @+1 {{high has 1 entries for a tensor of rank 2}}
  %r = graph.pad %x, %v low [0, 0] high [1] interior [0, 0] : tensor<4x8xf32>, tensor<f32>
  return
}

// -----

// Pad 1.
func.func @pad_negative(%x: tensor<4x8xf32>, %v: tensor<f32>) {
  // expected-error @+1 {{low of dimension 1 is -1; expected 0 or more}}
  %r = graph.pad %x, %v low [0, -1] high [0, 0] interior [0, 0] : tensor<4x8xf32>, tensor<f32>
  return
}

// -----

// Pad 2.
func.func @pad_value(%x: tensor<4x8xf32>, %v: tensor<1xf32>) {
  // expected-error @+1 {{'value' has rank 1; expected rank 0}}
  %r = graph.pad %x, %v low [0, 0] high [0, 0] interior [0, 0] : tensor<4x8xf32>, tensor<1xf32>
  return
}

// -----

// Concat 1.
func.func @concat_nothing() {
  // expected-error @+2 {{concat needs at least one operand}}
  // expected-error @+1 {{failed to infer returned types}}
  %r = "graph.concat"() {dim = 0 : i64} : () -> tensor<4xf32>
  return
}

// -----

// Concat 1.
func.func @concat_dim(%x: tensor<4xf32>) {
  // expected-error @+1 {{dim 1 is not a dimension of 'operand 0', which has rank 1}}
  %r = graph.concat %x dim 1 : tensor<4xf32>
  return
}

// -----

// Concat 2.
func.func @concat_size(%x: tensor<4x3xf32>, %y: tensor<5x4xf32>) {
  // expected-error @+1 {{dimension 1 of 'operand 0' is 3 but dimension 1 of 'operand 1' is 4}}
  %r = graph.concat %x, %y dim 0 : tensor<4x3xf32>, tensor<5x4xf32>
  return
}
