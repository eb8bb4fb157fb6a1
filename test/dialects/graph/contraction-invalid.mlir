// RUN: ds-opt %s -verify-diagnostics -split-input-file

// Matmul 1.
func.func @matmul_element_types(%a: tensor<2x3xf32>, %b: tensor<3x4xf64>) {
  // expected-error @+1 {{element type of 'lhs' is 'f32' but that of 'rhs' is 'f64'}}
  %r = graph.matmul %a, %b batch [] x [] contract [1] x [0] : tensor<2x3xf32>, tensor<3x4xf64>
  return
}

// -----

// Matmul 2.
func.func @matmul_batch_length(%a: tensor<2x3xf32>, %b: tensor<2x3xf32>) {
  // expected-error @+1 {{batch names 1 dimensions of 'lhs' but 0 of 'rhs'}}
  %r = graph.matmul %a, %b batch [0] x [] contract [1] x [1] : tensor<2x3xf32>, tensor<2x3xf32>
  return
}

// -----

// Matmul 2.
func.func @matmul_batch_size(%a: tensor<2x3xf32>, %b: tensor<4x3xf32>) {
  // expected-error @+1 {{dimension 0 of 'lhs' is 2 but dimension 0 of 'rhs' is 4}}
  %r = graph.matmul %a, %b batch [0] x [0] contract [1] x [1] : tensor<2x3xf32>, tensor<4x3xf32>
  return
}

// -----

// Matmul 3.
func.func @matmul_contract_length(%a: tensor<2x3xf32>, %b: tensor<2x3xf32>) {
  // expected-error @+1 {{contract names 1 dimensions of 'lhs' but 2 of 'rhs'}}
  %r = graph.matmul %a, %b batch [] x [] contract [1] x [0, 1] : tensor<2x3xf32>, tensor<2x3xf32>
  return
}

// -----

// Matmul 3.
func.func @matmul_contract_size(%a: tensor<2x3xf32>, %b: tensor<4x5xf32>) {
  // expected-error @+1 {{dimension 1 of 'lhs' is 3 but dimension 0 of 'rhs' is 4}}
  %r = graph.matmul %a, %b batch [] x [] contract [1] x [0] : tensor<2x3xf32>, tensor<4x5xf32>
  return
}

// -----

// Matmul 4.
func.func @matmul_named_twice(%a: tensor<2x3xf32>, %b: tensor<2x3xf32>) {
  // expected-error @+1 {{dimension 1 of 'lhs' is named twice}}
  %r = graph.matmul %a, %b batch [1] x [1] contract [1] x [0] : tensor<2x3xf32>, tensor<2x3xf32>
  return
}

// -----

// Linear 1.
func.func @linear_weight(%x: tensor<2x3xf32>, %w: tensor<4x5xf32>) {
  // expected-error @+1 {{dimension 1 of 'x' is 3 but dimension 0 of 'weight' is 4}}
  %r = graph.linear %x, %w : tensor<2x3xf32>, tensor<4x5xf32>
  return
}

// -----

// Linear 1.
func.func @linear_transposed_weight(%x: tensor<2x3xf32>, %w: tensor<3x4xf32>) {
  // expected-error @+1 {{dimension 1 of 'x' is 3 but dimension 1 of 'weight' is 4}}
  %r = graph.linear %x, %w transpose_weight : tensor<2x3xf32>, tensor<3x4xf32>
  return
}

// -----

// Linear 2.
func.func @linear_bias(%x: tensor<2x3xf32>, %w: tensor<3x4xf32>, %b: tensor<3xf32>) {
  // expected-error @+1 {{dimension 0 of 'bias' is 3; expected 4 from one element per column of weight, which is 4}}
  %r = graph.linear %x, %w, %b : tensor<2x3xf32>, tensor<3x4xf32>, tensor<3xf32>
  return
}

// -----

// Linear 3.
func.func @linear_element_types(%x: tensor<2x3xf32>, %w: tensor<3x4xf32>, %b: tensor<4xf64>) {
  // expected-error @+1 {{element type of 'x' is 'f32' but that of 'bias' is 'f64'}}
  %r = graph.linear %x, %w, %b : tensor<2x3xf32>, tensor<3x4xf32>, tensor<4xf64>
  return
}

// -----

// linear 1
func.func @linear_weight_rank(%x: tensor<2x3xf32>, %w: tensor<3xf32>) {
  // expected-error @+1 {{'weight' has rank 1; expected rank 2 or more}}
  %r = graph.linear %x, %w : tensor<2x3xf32>, tensor<3xf32>
  return
}
