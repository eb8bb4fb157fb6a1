// RUN: ds-opt %s -verify-diagnostics -split-input-file

// Constraint 1.
func.func @rank(%q: tensor<4x5x8xf32>, %k: tensor<2x4x5x8xf32>) {
  // expected-error @+1 {{'q' has rank 3; expected rank 4}}
  %r:2 = graph.attention %q, %k, %k scale 1.0 : tensor<4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>
  return
}

// -----

// Constraint 1.
func.func @features(%q: tensor<2x4x5x7xf32>, %k: tensor<2x4x5x8xf32>) {
  // expected-error @+1 {{dimension 3 of 'q' is 7 but dimension 3 of 'k' is 8}}
  %r:2 = graph.attention %q, %k, %k scale 1.0 : tensor<2x4x5x7xf32>, tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>
  return
}

// -----

// Constraint 1.
func.func @keys(%k: tensor<2x4x5x8xf32>, %v: tensor<2x4x6x8xf32>) {
  // expected-error @+1 {{dimension 2 of 'k' is 5 but dimension 2 of 'v' is 6}}
  %r:2 = graph.attention %k, %k, %v scale 1.0 : tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<2x4x6x8xf32>
  return
}

// -----

// Constraint 1.
func.func @groups(%q: tensor<2x4x5x8xf32>, %k: tensor<2x3x5x8xf32>) {
  // expected-error @+1 {{dimension 1 of 'q' is 4 (heads), not a multiple of dimension 1 of 'k', 3 (key/value heads)}}
  %r:2 = graph.attention %q, %k, %k scale 1.0 : tensor<2x4x5x8xf32>, tensor<2x3x5x8xf32>, tensor<2x3x5x8xf32>
  return
}

// -----

// Constraint 1.
func.func @element_types(%q: tensor<2x4x5x8xf32>, %v: tensor<2x4x5x8xf64>) {
  // expected-error @+1 {{element type of 'q' is 'f32' but that of 'v' is 'f64'}}
  %r:2 = graph.attention %q, %q, %v scale 1.0 : tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<2x4x5x8xf64>
  return
}

// -----

// Constraint 2.
func.func @mask_size(%q: tensor<2x4x5x8xf32>, %m: tensor<2x1x5x6xf32>) {
  // expected-error @+1 {{dimension 3 of 'mask' is 6; expected 1 or 5 from the scores, which are 2x4x5x5}}
  %r:2 = graph.attention %q, %q, %q mask %m scale 1.0 : tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<2x1x5x6xf32>
  return
}

// -----

// Constraint 2.
func.func @mask_element_type(%q: tensor<2x4x5x8xf32>, %m: tensor<2x1x5x5xi64>) {
  // expected-error @+1 {{element type of 'mask' is 'i64' but that of 'q' is 'f32'}}
  %r:2 = graph.attention %q, %q, %q mask %m scale 1.0 : tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<2x1x5x5xi64>
  return
}

// -----

// Constraint 3.
func.func @dropout_range(%q: tensor<2x4x5x8xf32>, %c: tensor<3xi64>) {
  // expected-error @+1 {{expected 0 <= dropout < 1}}
  %r:2 = graph.attention %q, %q, %q counter %c scale 1.0 {dropout = 1.0} : tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<3xi64>
  return
}

// -----

// Constraint 3.
func.func @no_counter(%q: tensor<2x4x5x8xf32>) {
  // expected-error @+1 {{and 'counter' is missing; it is given exactly if dropout > 0}}
  %r:2 = graph.attention %q, %q, %q scale 1.0 {dropout = 0.5} : tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>
  return
}

// -----

// Constraint 4.
func.func @offsets_without_dropout(%q: tensor<2x4x5x8xf32>, %at: tensor<4xi64>) {
  // expected-error @+1 {{'offsets' is given without 'counter'}}
  %r:2 = graph.attention %q, %q, %q at %at in [2, 8, 5, 5] scale 1.0 : tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<4xi64>
  return
}

// -----

// Constraint 4.
func.func @shape_small(%q: tensor<2x4x5x8xf32>, %c: tensor<3xi64>, %at: tensor<4xi64>) {
  // expected-error @+1 {{dimension 1 of 'the scores' is 4, larger than 3 of global_shape}}
  %r:2 = graph.attention %q, %q, %q counter %c at %at in [2, 3, 5, 5] scale 1.0 {dropout = 0.5} : tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<3xi64>, tensor<4xi64>
  return
}

// -----

// Constraint 5.
func.func @diagonal_without_causal(%q: tensor<2x4x5x8xf32>, %d: tensor<i64>) {
  // expected-error @+1 {{'diagonal' is given without 'causal'}}
  %r:2 = graph.attention %q, %q, %q scale 1.0 diagonal %d : tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<i64>
  return
}

// -----

// Gradient 1.
func.func @gradient_types(%q: tensor<2x4x5x8xf32>, %o: tensor<2x4x5x7xf32>, %l: tensor<2x4x5xf32>) {
  // expected-error @+1 {{dimension 3 of 'd_o' is 7; expected 8 from the shape of the forward result o, which is 2x4x5x8}}
  %r:3 = graph.attention_grad %o, %q, %q, %q, %q, %l scale 1.0 : tensor<2x4x5x7xf32>, tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<2x4x5xf32>
  return
}
