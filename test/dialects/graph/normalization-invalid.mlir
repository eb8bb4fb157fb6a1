// RUN: ds-opt %s -verify-diagnostics -split-input-file

// Softmax 1.
func.func @softmax_dim(%x: tensor<3x7xf32>) {
  // expected-error @+1 {{dim 2 is not a dimension of 'x', which has rank 2}}
  %y = graph.softmax %x dim 2 : tensor<3x7xf32>
  return
}

// -----

// Softmax gradient 1.
func.func @softmax_grad_dim(%y: tensor<3x7xf32>) {
  // expected-error @+1 {{dim -1 is not a dimension of 'y', which has rank 2}}
  %dx = graph.softmax_grad %y, %y dim -1 : tensor<3x7xf32>
  return
}

// -----

// Layer norm 1.
func.func @layer_norm_suffix(%x: tensor<3x7xf32>, %w: tensor<3xf32>) {
  // expected-error @+1 {{dimension 0 of 'weight' is 3; expected 7 from the trailing dimensions of x, which is 7}}
  %y:3 = graph.layer_norm %x, %w, %w eps 1.0e-5 : tensor<3x7xf32>, tensor<3xf32>, tensor<3xf32>
  return
}

// -----

// Layer norm 1.
func.func @layer_norm_scalar(%x: tensor<3x7xf32>, %w: tensor<f32>) {
  // expected-error @+1 {{'weight' has rank 0; expected 1 to 2, the trailing dimensions of 'x'}}
  %y:3 = graph.layer_norm %x, %w, %w eps 1.0e-5 : tensor<3x7xf32>, tensor<f32>, tensor<f32>
  return
}

// -----

// Layer norm 2.
func.func @layer_norm_bias(%x: tensor<3x7xf32>, %w: tensor<7xf32>, %b: tensor<6xf32>) {
  // expected-error @+1 {{dimension 0 of 'bias' is 6; expected 7 from the shape of weight, which is 7}}
  %y:3 = graph.layer_norm %x, %w, %b eps 1.0e-5 : tensor<3x7xf32>, tensor<7xf32>, tensor<6xf32>
  return
}

// -----

// Layer norm 3.
func.func @layer_norm_element_types(%x: tensor<3x7xf32>, %w: tensor<7xf32>, %b: tensor<7xf64>) {
  // expected-error @+1 {{element type of 'x' is 'f32' but that of 'bias' is 'f64'}}
  %y:3 = graph.layer_norm %x, %w, %b eps 1.0e-5 : tensor<3x7xf32>, tensor<7xf32>, tensor<7xf64>
  return
}

// -----

// Layer norm gradient 1.
func.func @layer_norm_grad_dy(%dy: tensor<3x6xf32>, %x: tensor<3x7xf32>, %w: tensor<7xf32>, %m: tensor<3xf32>) {
  // expected-error @+1 {{dimension 1 of 'dy' is 6; expected 7 from the shape of x, which is 3x7}}
  %y:3 = graph.layer_norm_grad %dy, %x, %w, %m, %m : tensor<3x6xf32>, tensor<3x7xf32>, tensor<7xf32>, tensor<3xf32>, tensor<3xf32>
  return
}

// -----

// Layer norm gradient 2.
func.func @layer_norm_grad_rows(%x: tensor<3x7xf32>, %w: tensor<7xf32>, %m: tensor<3xf32>, %r: tensor<4xf32>) {
  // expected-error @+1 {{dimension 0 of 'rstd' is 4; expected 3 from the leading dimensions of x, which is 3}}
  %y:3 = graph.layer_norm_grad %x, %x, %w, %m, %r : tensor<3x7xf32>, tensor<3x7xf32>, tensor<7xf32>, tensor<3xf32>, tensor<4xf32>
  return
}

// -----

// Cross entropy 1.
func.func @cross_entropy_rank(%x: tensor<7xf32>, %t: tensor<i64>) {
  // expected-error @+1 {{'logits' has rank 1; expected rows and columns}}
  %y:3 = graph.cross_entropy %x, %t ignore_index -100 : tensor<7xf32>, tensor<i64>
  return
}

// -----

// Cross entropy 2.
func.func @cross_entropy_target(%x: tensor<3x7xf32>, %t: tensor<2xi64>) {
  // expected-error @+1 {{dimension 0 of 'target' is 2; expected 3 from one element per row of logits, which is 3}}
  %y:3 = graph.cross_entropy %x, %t ignore_index -100 : tensor<3x7xf32>, tensor<2xi64>
  return
}

// -----

// Cross entropy 2.
func.func @cross_entropy_target_rank(%x: tensor<2x3x7xf32>, %t: tensor<2xi64>) {
  // expected-error @+1 {{'target' has rank 1 and shape 2; expected one element per row of logits, which is 2x3}}
  %y:3 = graph.cross_entropy %x, %t ignore_index -100 : tensor<2x3x7xf32>, tensor<2xi64>
  return
}

// -----

// Cross entropy gradient 1.
func.func @cross_entropy_grad_lse(%x: tensor<3x7xf32>, %t: tensor<3xi64>, %l: tensor<7xf32>, %d: tensor<f32>) {
  // expected-error @+1 {{dimension 0 of 'lse' is 7; expected 3 from one element per row of logits, which is 3}}
  %y = graph.cross_entropy_grad %x, %t, %l, %d ignore_index -100 : tensor<3x7xf32>, tensor<3xi64>, tensor<7xf32>, tensor<f32>
  return
}

// -----

// Cross entropy gradient 2.
func.func @cross_entropy_grad_scalar(%x: tensor<3x7xf32>, %t: tensor<3xi64>, %l: tensor<3xf32>) {
  // expected-error @+1 {{'dloss_sum' has rank 1; expected rank 0}}
  %y = graph.cross_entropy_grad %x, %t, %l, %l ignore_index -100 : tensor<3x7xf32>, tensor<3xi64>, tensor<3xf32>, tensor<3xf32>
  return
}

// -----

// Cross entropy with gradient 1.
func.func @cross_entropy_with_grad_target(%x: tensor<3x7xf32>, %t: tensor<2xi64>, %d: tensor<f32>) {
  // expected-error @+1 {{dimension 0 of 'target' is 2; expected 3 from one element per row of logits, which is 3}}
  %y:2 = graph.cross_entropy_with_grad %x, %t, %d ignore_index -100 : tensor<3x7xf32>, tensor<2xi64>, tensor<f32>
  return
}

// -----

// Cross entropy with gradient 2.
func.func @cross_entropy_with_grad_scalar(%x: tensor<3x7xf32>, %t: tensor<3xi64>, %d: tensor<3xf32>) {
  // expected-error @+1 {{'dloss_sum' has rank 1; expected rank 0}}
  %y:2 = graph.cross_entropy_with_grad %x, %t, %d ignore_index -100 : tensor<3x7xf32>, tensor<3xi64>, tensor<3xf32>
  return
}

// -----

// Cross entropy with gradient 2.
func.func @cross_entropy_with_grad_type(%x: tensor<3x7xbf16>, %t: tensor<3xi64>, %d: tensor<bf16>) {
  // expected-error @+1 {{the sums of logits}}
  %y:2 = graph.cross_entropy_with_grad %x, %t, %d ignore_index -100 : tensor<3x7xbf16>, tensor<3xi64>, tensor<bf16>
  return
}
