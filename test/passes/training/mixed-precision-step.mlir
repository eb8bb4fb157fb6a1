// RUN: ds-opt %s --training | FileCheck %s

// The step of parameters in bf16: a bucket of masters, gradients and moments in f32, the bucket of parameters is the
// rounded copy that the update gives. Members start at multiples of 64 bytes of the narrowest type, in all of them.
#adamw = #graph.adamw<learning_rate = 1.0e-03 : f64, beta1 = 9.0e-01 : f64, beta2 = 9.5e-01 : f64, eps = 1.0e-08 : f64,
                      weight_decay = 1.0e-01 : f64, bias_correction = true, adam_w_mode = true>
module attributes {graph.optimizer = #adamw, graph.accumulation_steps = 2 : i64,
                   graph.mixed_precision = #graph.mixed_precision<compute = bf16, parameters = bf16>} {
  // CHECK: func.func @micro_batch(
  // CHECK-SAME: tensor<3x2xbf16> {graph.master = f32, graph.member = #graph.member<kind = "parameter", index = 0, offset = 0>, graph.parameter = "w"}
  // CHECK-SAME: tensor<2xbf16> {graph.master = f32, graph.member = #graph.member<kind = "parameter", index = 0, offset = 32>, graph.parameter = "b"}
  // CHECK-SAME: tensor<3x2xf32> {graph.member = #graph.member<kind = "gradient", index = 0, offset = 0>, graph.state = "gradient.w"}
  // CHECK: func.func @update(
  // CHECK-SAME: %[[P:.*]]: tensor<64xf32> {graph.bucket = #graph.bucket<kind = "master", index = 0>, graph.state = "master.0"}
  // CHECK-SAME: %[[G:.*]]: tensor<64xf32> {graph.bucket = #graph.bucket<kind = "gradient", index = 0>}
  // CHECK-SAME: -> (tensor<64xf32> {graph.bucket = #graph.bucket<kind = "master", index = 0>, graph.state = "master.0"}
  // CHECK-SAME: tensor<64xbf16> {graph.bucket = #graph.bucket<kind = "parameter", index = 0>}
  // CHECK: %new_parameter, %new_exp_avg, %new_exp_avg_sq, %copy = graph.adamw %[[P]], %[[G]], {{.*}}copy_type = bf16
  // CHECK: return %new_parameter, %new_exp_avg, %new_exp_avg_sq, %copy
  func.func @forward(%w: tensor<3x2xf32> {graph.parameter = "w"}, %b: tensor<2xf32> {graph.parameter = "b"},
                     %x: tensor<4x3xf32> {graph.input = "x"}, %t: tensor<4xi64> {graph.input = "t"})
      -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.linear %x, %w, %b : tensor<4x3xf32>, tensor<3x2xf32>, tensor<2xf32>
    %sum, %count, %lse = graph.cross_entropy %y, %t ignore_index -100 : tensor<4x2xf32>, tensor<4xi64>
    %loss = graph.div %sum, %count : tensor<f32>, tensor<f32>
    return %loss : tensor<f32>
  }
}
