// RUN: ds-opt %s --split-input-file --mixed-precision --verify-diagnostics

// expected-error @+1 {{'graph.mixed_precision' is #graph.mixed_precision<compute = f64, parameters = f64>; expected compute in bf16 or f16, and parameters in that or in f32}}
module attributes {graph.mixed_precision = #graph.mixed_precision<compute = f64, parameters = f64>} {
  func.func @forward() {
    return
  }
}

// -----

module attributes {graph.mixed_precision = #graph.mixed_precision<compute = bf16, parameters = bf16>} {
  // expected-error @+1 {{@forward has gradients already}}
  func.func @forward(%w: tensor<f32> {graph.parameter = "w"}) -> (tensor<f32> {graph.gradient = "w"}) {
    return %w : tensor<f32>
  }
}

// -----

// expected-error @+1 {{graph.master of argument 0: f32 on a value of type 'tensor<f32>'; expected f32 on a graph.parameter of bf16 or f16}}
func.func @forward(%w: tensor<f32> {graph.master = f32, graph.parameter = "w"}) {
  return
}
