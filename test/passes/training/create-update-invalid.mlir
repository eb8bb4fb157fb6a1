// RUN: ds-opt %s --split-input-file --verify-diagnostics --create-update

// expected-error @+1 {{expected 'graph.optimizer' = #graph.adamw<...>; a step needs an optimizer}}
module {
  // expected-error @+1 {{@forward has no gradients; run 'differentiate' on a model with parameters first}}
  func.func @forward(%x: tensor<f32> {graph.input = "x"}) -> (tensor<f32> {graph.output = "loss"}) {
    return %x : tensor<f32>
  }
}

// -----

#adamw = #graph.adamw<learning_rate = 1.0e-03 : f64, beta1 = 9.0e-01 : f64, beta2 = 9.5e-01 : f64, eps = 1.0e-08 : f64,
                      weight_decay = 0.0 : f64, bias_correction = true, adam_w_mode = true>

// expected-error @+1 {{has a function @update already}}
module attributes {graph.optimizer = #adamw} {
  // expected-error @+1 {{parameter 'b' of 'tensor<2xf32>' has no gradient of 'tensor<2xf32>'}}
  func.func @forward(%a: tensor<f32> {graph.parameter = "a"}, %b: tensor<2xf32> {graph.parameter = "b"})
      -> (tensor<f32> {graph.gradient = "a", graph.metric = "loss"}) {
    return %a : tensor<f32>
  }
  func.func @update() {
    return
  }
}
