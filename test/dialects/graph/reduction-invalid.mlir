// RUN: ds-opt %s -verify-diagnostics -split-input-file

// Constraint 1.
func.func @range(%x: tensor<2x3xf32>) {
  // expected-error @+1 {{dims: dimension 2 is not a dimension of 'x', which has rank 2}}
  %r = graph.reduce_sum %x dims [0, 2] : tensor<2x3xf32>
  return
}

// -----

// Constraint 1.
func.func @order(%x: tensor<2x3xf32>) {
  // expected-error @+1 {{dims must be distinct and ascending, but 0 follows 1}}
  %r = graph.reduce_max %x dims [1, 0] : tensor<2x3xf32>
  return
}

// -----

// Constraint 2.
func.func @result(%x: tensor<2x3xf32>) {
  // expected-error @+2 {{failed to infer returned types}}
  // expected-error @+1 {{inferred type(s) 'tensor<2xf32>' are incompatible with return type(s) of operation 'tensor<2x1xf32>'}}
  %r = "graph.reduce_sum"(%x) {dims = array<i64: 1>} : (tensor<2x3xf32>) -> tensor<2x1xf32>
  return
}
