// RUN: ds-opt %s -verify-diagnostics -split-input-file

// Sum_squares 1.
func.func @sum_squares_rank(%x: tensor<2x3xf32>) {
  // expected-error @+1 {{'x' has rank 2; expected rank 1}}
  %n = graph.sum_squares %x : tensor<2x3xf32>
  return
}

// -----

// AdamW 1.
func.func @adamw_gradient(%p: tensor<4xf32>, %g: tensor<5xf32>, %s: tensor<f64>, %t: tensor<i64>) {
  // expected-error @+1 {{dimension 0 of 'gradient' is 5; expected 4 from the shape of parameter, which is 4}}
  %r:3 = graph.adamw %p, %g, %p, %p, %s, %t, %s
      {beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8, weight_decay = 0.1, bias_correction = true, adam_w_mode = true}
      : tensor<4xf32>, tensor<5xf32>, tensor<4xf32>, tensor<4xf32>, tensor<f64>, tensor<i64>, tensor<f64>
  return
}

// -----

// AdamW 2.
func.func @adamw_moments(%p: tensor<4xf32>, %m: tensor<4xf64>, %s: tensor<f64>, %t: tensor<i64>) {
  // expected-error @+1 {{failed to verify that all of {parameter, exp_avg, exp_avg_sq} have same type}}
  %r:3 = graph.adamw %p, %p, %m, %p, %s, %t, %s
      {beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8, weight_decay = 0.1, bias_correction = true, adam_w_mode = true}
      : tensor<4xf32>, tensor<4xf32>, tensor<4xf64>, tensor<4xf32>, tensor<f64>, tensor<i64>, tensor<f64>
  return
}

// -----

// Update_loss_scale 1.
func.func @loss_scale_state(%s: tensor<3xf64>, %finite: tensor<i1>) {
  // expected-error @+1 {{dimension 0 of 'state' is 3; expected 4 from its four numbers, which is 4}}
  %r = graph.update_loss_scale %s, %finite
      {window = 1 : i64, hysteresis = 1 : i64, consecutive_hysteresis = false, minimum = 1.0 : f64} : tensor<3xf64>, tensor<i1>
  return
}
