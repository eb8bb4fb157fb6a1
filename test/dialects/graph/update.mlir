// RUN: ds-opt %s | ds-opt - | FileCheck %s

// CHECK-LABEL: @update
// CHECK: graph.sum_squares %{{.*}} : tensor<64xf32>
// CHECK: graph.adamw
// CHECK-SAME: adam_w_mode = true
// CHECK: graph.adamw
// CHECK-SAME: tensor<f64>, tensor<i1>
// CHECK: graph.update_loss_scale %{{.*}}, %{{.*}} {consecutive_hysteresis = false, hysteresis = 2 : i64, minimum = 1.000000e+00 : f64, window = 1000 : i64} : tensor<4xf64>, tensor<i1>
// CHECK: graph.adamw {{.*}}copy_type = bf16
// CHECK: return {{.*}} : tensor<f64>, tensor<64xf32>, tensor<64xbf16>
func.func @update(%p: tensor<64xf32>, %g: tensor<64xf32>, %m: tensor<64xf32>, %v: tensor<64xf32>, %lr: tensor<f64>,
                  %step: tensor<i64>, %clip: tensor<f64>, %finite: tensor<i1>, %scale: tensor<4xf64>)
    -> (tensor<f64>, tensor<64xf32>, tensor<64xbf16>) {
  %n = graph.sum_squares %g : tensor<64xf32>
  %np, %nm, %nv = graph.adamw %p, %g, %m, %v, %lr, %step, %clip
      {beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8, weight_decay = 0.1, bias_correction = true, adam_w_mode = true}
      : tensor<64xf32>, tensor<64xf32>, tensor<64xf32>, tensor<64xf32>, tensor<f64>, tensor<i64>, tensor<f64>
  %sp, %sm, %sv = graph.adamw %p, %g, %m, %v, %lr, %step, %clip, %finite
      {beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8, weight_decay = 0.1, bias_correction = true, adam_w_mode = true}
      : tensor<64xf32>, tensor<64xf32>, tensor<64xf32>, tensor<64xf32>, tensor<f64>, tensor<i64>, tensor<f64>, tensor<i1>
  %next = graph.update_loss_scale %scale, %finite
      {window = 1000 : i64, hysteresis = 2 : i64, consecutive_hysteresis = false, minimum = 1.0 : f64} : tensor<4xf64>, tensor<i1>
  %cp, %cm, %cv, %copy = graph.adamw %p, %g, %m, %v, %lr, %step, %clip
      {beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8, weight_decay = 0.1, bias_correction = true, adam_w_mode = true, copy_type = bf16}
      : tensor<64xf32>, tensor<64xf32>, tensor<64xf32>, tensor<64xf32>, tensor<f64>, tensor<i64>, tensor<f64>
  return %n, %np, %copy : tensor<f64>, tensor<64xf32>, tensor<64xbf16>
}
