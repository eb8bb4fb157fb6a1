// RUN: ds-opt %s | ds-opt - | FileCheck %s

// CHECK-LABEL: @update
// CHECK: graph.sum_squares %{{.*}} : tensor<64xf32>
// CHECK: graph.adamw
// CHECK-SAME: adam_w_mode = true
// CHECK: return {{.*}} : tensor<f64>, tensor<64xf32>
func.func @update(%p: tensor<64xf32>, %g: tensor<64xf32>, %m: tensor<64xf32>, %v: tensor<64xf32>, %lr: tensor<f64>,
                  %step: tensor<i64>, %clip: tensor<f64>) -> (tensor<f64>, tensor<64xf32>) {
  %n = graph.sum_squares %g : tensor<64xf32>
  %np, %nm, %nv = graph.adamw %p, %g, %m, %v, %lr, %step, %clip
      {beta1 = 0.9, beta2 = 0.999, eps = 1.0e-8, weight_decay = 0.1, bias_correction = true, adam_w_mode = true}
      : tensor<64xf32>, tensor<64xf32>, tensor<64xf32>, tensor<64xf32>, tensor<f64>, tensor<i64>, tensor<f64>
  return %n, %np : tensor<f64>, tensor<64xf32>
}
