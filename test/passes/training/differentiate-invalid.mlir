// RUN: ds-opt %s --split-input-file --verify-diagnostics --differentiate

// expected-error @+1 {{expected a function @forward with one block; import a model first}}
module {
}

// -----

// expected-error @+1 {{2 outputs are float scalars; say which one is the loss; outputs: 'a' of tensor<f32>, 'b' of tensor<f32>, 'c' of tensor<2xf32>}}
func.func @forward(%w: tensor<f32> {graph.parameter = "w"}, %v: tensor<2xf32> {graph.parameter = "v"})
    -> (tensor<f32> {graph.output = "a"}, tensor<f32> {graph.output = "b"}, tensor<2xf32> {graph.output = "c"}) {
  return %w, %w, %v : tensor<f32>, tensor<f32>, tensor<2xf32>
}

// -----

// expected-error @+1 {{no output is a float scalar, so there is no loss to minimise; outputs: 'logits' of tensor<2xf32>}}
func.func @forward(%w: tensor<2xf32> {graph.parameter = "w"}) -> (tensor<2xf32> {graph.output = "logits"}) {
  return %w : tensor<2xf32>
}

// -----

// expected-error @+1 {{2 ops between the parameters and the loss cannot be differentiated}}
func.func @forward(%w: tensor<2x4xf32> {graph.parameter = "w"}, %x: tensor<2x4xf32> {graph.input = "x"})
    -> (tensor<f32> {graph.output = "loss"}) {
  // The first reads no parameter, the last does not reach the loss.
  %0 = graph.reduce_max %x dims [1] : tensor<2x4xf32>
  // expected-note @+1 {{'graph.reduce_max' has no gradient rule}}
  %1 = graph.reduce_max %w dims [1] : tensor<2x4xf32>
  %2 = graph.add %0, %1 : tensor<2xf32>, tensor<2xf32>
  // expected-note @+1 {{'graph.reduce_min' has no gradient rule}}
  %3 = graph.reduce_min %2 dims [0] : tensor<2xf32>
  %4 = graph.reduce_min %w dims [0] : tensor<2x4xf32>
  return %3 : tensor<f32>
}

// -----

// expected-error @+1 {{@forward has gradients already; gradients of gradients are not supported}}
func.func @forward(%w: tensor<f32> {graph.parameter = "w"})
    -> (tensor<f32> {graph.output = "loss"}, tensor<f32> {graph.gradient = "w"}) {
  return %w, %w : tensor<f32>, tensor<f32>
}

// -----

// expected-warning @+1 {{the loss does not depend on parameter "unused"; its gradient is zero}}
func.func @forward(%w: tensor<f32> {graph.parameter = "w"}, %u: tensor<3xf32> {graph.parameter = "unused"})
    -> (tensor<f32> {graph.output = "loss"}) {
  return %w : tensor<f32>
}

// -----

func.func @forward(%x: tensor<2x5xf32> {graph.parameter = "x"}, %w: tensor<5xf32> {graph.input = "w"})
    -> (tensor<f32> {graph.output = "loss"}) {
  // expected-error @+1 {{has no gradient through 'mean' and 'rstd', and the loss depends on one of them}}
  %y, %mean, %rstd = graph.layer_norm %x, %w, %w eps 1.0e-05 : tensor<2x5xf32>, tensor<5xf32>, tensor<5xf32>
  %loss = graph.reduce_sum %rstd dims [0] : tensor<2xf32>
  return %loss : tensor<f32>
}

// -----

func.func @forward(%x: tensor<2x5xf32> {graph.parameter = "x"}, %t: tensor<2xi64> {graph.input = "t"})
    -> (tensor<f32> {graph.output = "loss"}) {
  // expected-error @+1 {{has no gradient through 'lse', and the loss depends on it}}
  %sum, %count, %lse = graph.cross_entropy %x, %t ignore_index -100 : tensor<2x5xf32>, tensor<2xi64>
  %loss = graph.reduce_sum %lse dims [0] : tensor<2xf32>
  return %loss : tensor<f32>
}

// -----

func.func @forward(%q: tensor<1x1x2x2xf32> {graph.parameter = "q"}, %m: tensor<1x1x2x2xf32> {graph.parameter = "mask"})
    -> (tensor<f32> {graph.output = "loss"}) {
  // expected-error @+1 {{has no gradient for 'mask', and a parameter flows into it; write the attention as matmul and softmax instead}}
  %o, %lse = graph.attention %q, %q, %q mask %m scale 1.0
    : tensor<1x1x2x2xf32>, tensor<1x1x2x2xf32>, tensor<1x1x2x2xf32>, tensor<1x1x2x2xf32>
  %loss = graph.reduce_sum %o dims [0, 1, 2, 3] : tensor<1x1x2x2xf32>
  return %loss : tensor<f32>
}

// -----

func.func @forward(%q: tensor<1x1x2x2xf32> {graph.parameter = "q"}) -> (tensor<f32> {graph.output = "loss"}) {
  // expected-error @+1 {{has no gradient through 'lse', and the loss depends on it}}
  %o, %lse = graph.attention %q, %q, %q scale 1.0 : tensor<1x1x2x2xf32>, tensor<1x1x2x2xf32>, tensor<1x1x2x2xf32>
  %loss = graph.reduce_sum %lse dims [0, 1, 2] : tensor<1x1x2xf32>
  return %loss : tensor<f32>
}
