// RUN: ds-opt %s --training | FileCheck %s
// RUN: ds-opt %s --training="loss=loss precision=f64 bucket-size=1" | FileCheck %s --check-prefix=F64

// The whole phase, border check included: gradients of a linear layer with a loss, summed over two micro-batches, and
// the update of one bucket.

#adamw = #graph.adamw<learning_rate = 1.0e-03 : f64, beta1 = 9.0e-01 : f64, beta2 = 9.5e-01 : f64, eps = 1.0e-08 : f64,
                      weight_decay = 1.0e-01 : f64, bias_correction = true, adam_w_mode = true>
module attributes {graph.optimizer = #adamw, graph.gradient_clipping = 1.0 : f64, graph.accumulation_steps = 2 : i64} {
  // CHECK: func.func @micro_batch(
  // CHECK: %[[SEED:.*]] = graph.constant {graph.phase = "backward"} dense<5.000000e-01> : tensor<f32>
  // CHECK: %[[DSUM:.*]] = graph.div %[[SEED]], %count
  // CHECK: %[[DY:.*]] = graph.cross_entropy_grad %{{.*}}, %{{.*}}, %lse, %[[DSUM]]
  // CHECK: graph.matmul %{{.*}}, %[[DY]] batch [] x [] contract [0] x [0]
  // CHECK: graph.reduce_sum %[[DY]] dims [0]
  // CHECK: func.func @update(%{{.*}}: tensor<32xf32>
  // CHECK: graph.adamw
  // CHECK-NOT: graph.adamw

  // F64-NOT: f32
  // F64: func.func @update(
  // F64: graph.adamw
  // F64: graph.adamw
  func.func @forward(%w: tensor<3x2xf32> {graph.parameter = "w"}, %b: tensor<2xf32> {graph.parameter = "b"},
                     %x: tensor<4x3xf32> {graph.input = "x"}, %t: tensor<4xi64> {graph.input = "t"})
      -> (tensor<f32> {graph.output = "loss"}, tensor<4x2xf32> {graph.output = "logits"}) {
    %y = graph.linear %x, %w, %b : tensor<4x3xf32>, tensor<3x2xf32>, tensor<2xf32>
    %sum, %count, %lse = graph.cross_entropy %y, %t ignore_index -100 : tensor<4x2xf32>, tensor<4xi64>
    %loss = graph.div %sum, %count : tensor<f32>, tensor<f32>
    return %loss, %y : tensor<f32>, tensor<4x2xf32>
  }
}
