// RUN: ds-opt %s -verify-diagnostics -split-input-file

// Dropout 1.
func.func @p(%x: tensor<2x3xf32>, %counter: tensor<3xi64>) {
  // expected-error @+1 {{expected 0 <= p < 1}}
  %y = graph.dropout %x, %counter p 1.0 id 7 : tensor<2x3xf32>, tensor<3xi64>
  return
}

// -----

func.func @counter(%x: tensor<2x3xf32>, %counter: tensor<2xi64>) {
  // expected-error @+1 {{operand #1 must be random counter tensor<3xi64>, but got 'tensor<2xi64>'}}
  %y = graph.dropout %x, %counter p 0.1 id 7 : tensor<2x3xf32>, tensor<2xi64>
  return
}

// -----

// Dropout 2.
func.func @no_offsets(%x: tensor<2x3xf32>, %counter: tensor<3xi64>) {
  // expected-error @+1 {{'offsets' and 'global_shape' must be given together}}
  %y = graph.dropout %x, %counter p 0.1 id 7 {global_shape = array<i64: 2, 9>} : tensor<2x3xf32>, tensor<3xi64>
  return
}

// -----

// Dropout 2.
func.func @offsets_rank(%x: tensor<2x3xf32>, %counter: tensor<3xi64>, %offsets: tensor<3xi64>) {
  // expected-error @+1 {{dimension 0 of 'offsets' is 3; expected 2 from one entry per dimension, which is 2}}
  %y = graph.dropout %x, %counter at %offsets in [2, 9] p 0.1 id 7 : tensor<2x3xf32>, tensor<3xi64>, tensor<3xi64>
  return
}

// -----

// Dropout 2.
func.func @shape_rank(%x: tensor<2x3xf32>, %counter: tensor<3xi64>, %offsets: tensor<2xi64>) {
  // expected-error @+1 {{global_shape has 3 entries for a tensor of rank 2}}
  %y = graph.dropout %x, %counter at %offsets in [2, 9, 1] p 0.1 id 7 : tensor<2x3xf32>, tensor<3xi64>, tensor<2xi64>
  return
}

// -----

// Dropout 2.
func.func @shape_small(%x: tensor<2x3xf32>, %counter: tensor<3xi64>, %offsets: tensor<2xi64>) {
  // expected-error @+1 {{dimension 1 of 'x' is 3, larger than 2 of global_shape}}
  %y = graph.dropout %x, %counter at %offsets in [2, 2] p 0.1 id 7 : tensor<2x3xf32>, tensor<3xi64>, tensor<2xi64>
  return
}
