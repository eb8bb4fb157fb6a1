// RUN: ds-opt %s -verify-diagnostics -split-input-file

// Binary 1.
func.func @add_element_types(%a: tensor<3xf32>, %b: tensor<3xf64>) {
  // expected-error @+1 {{element type of 'lhs' is 'f32' but that of 'rhs' is 'f64'; insert graph.convert}}
  %r = graph.add %a, %b : tensor<3xf32>, tensor<3xf64>
  return
}

// -----

// Binary 2.
func.func @mul_shapes(%a: tensor<2x1x3xf32>, %b: tensor<5x4xf32>) {
  // expected-error @+1 {{shapes 2x1x3 and 5x4 do not broadcast: dimension 2 is 3 in 'lhs' but 4 in 'rhs'}}
  %r = graph.mul %a, %b : tensor<2x1x3xf32>, tensor<5x4xf32>
  return
}

// -----

func.func @dynamic_shape(%a: tensor<?xf32>, %b: tensor<3xf32>) {
  // expected-error @+1 {{operand 'lhs' has type 'tensor<?xf32>'; expected a ranked tensor of static shape}}
  %r = graph.sub %a, %b : tensor<?xf32>, tensor<3xf32>
  return
}

// -----

func.func @float_op_on_integers(%a: tensor<3xi64>) {
  // expected-error @+1 {{operand #0 must be statically shaped tensor of 32-bit float or bfloat16 type or 16-bit float or 64-bit float values, but got 'tensor<3xi64>'}}
  %r = graph.exp %a : tensor<3xi64>
  return
}

// -----

// Compare 1.
func.func @compare_element_types(%a: tensor<3xi64>, %b: tensor<3xi32>) {
  // expected-error @+1 {{element type of 'lhs' is 'i64' but that of 'rhs' is 'i32'}}
  %r = graph.compare "lt" %a, %b : tensor<3xi64>, tensor<3xi32>
  return
}

// -----

// Compare 2.
func.func @compare_shapes(%a: tensor<3xi64>, %b: tensor<2xi64>) {
  // expected-error @+1 {{shapes 3 and 2 do not broadcast: dimension 0 is 3 in 'lhs' but 2 in 'rhs'}}
  %r = graph.compare "lt" %a, %b : tensor<3xi64>, tensor<2xi64>
  return
}

// -----

// Compare 3.
func.func @compare_direction(%a: tensor<3xi64>) {
  // expected-error @+1 {{direction "less" is unknown; expected eq, ne, lt, le, gt or ge}}
  %r = graph.compare "less" %a, %a : tensor<3xi64>, tensor<3xi64>
  return
}

// -----

// Select 1.
func.func @select_element_types(%p: tensor<3xi1>, %a: tensor<3xf32>, %b: tensor<3xi64>) {
  // expected-error @+1 {{element type of 'on_true' is 'f32' but that of 'on_false' is 'i64'}}
  %r = graph.select %p, %a, %b : tensor<3xi1>, tensor<3xf32>, tensor<3xi64>
  return
}

// -----

// Select 2.
func.func @select_shapes(%p: tensor<2x3xi1>, %a: tensor<3xf32>, %b: tensor<4x1xf32>) {
  // expected-error @+1 {{shapes 2x3 and 4x1 do not broadcast: dimension 0 is 2 in 'predicate' but 4 in 'on_false'}}
  %r = graph.select %p, %a, %b : tensor<2x3xi1>, tensor<3xf32>, tensor<4x1xf32>
  return
}
