// RUN: ds-opt %s --pass-pipeline='builtin.module(training,choose-kernels,cse,func.func(fuse-accumulation),fuse-kernels,lower-to-plan,plan.program(synchronize-streams,reuse-inputs,pack-buffers))' | FileCheck %s

// Norm, clipping and the optimizer work on the flat buffers of parameters, gradients and moments where they lie: the plan has
// these (64 x 32 weights and 32 biases, 2080 x 4 bytes, rounded up to 64) and nothing else of their size, no gradient is scaled or copied.

#adamw = #graph.adamw<learning_rate = 1.0e-03 : f64, beta1 = 9.0e-01 : f64, beta2 = 9.5e-01 : f64, eps = 1.0e-08 : f64,
                      weight_decay = 1.0e-01 : f64, bias_correction = true, adam_w_mode = true>
// CHECK-LABEL: plan.program @train
// CHECK-COUNT-4: plan.buffer "{{parameter|gradient|exp_avg|exp_avg_sq}}.0" {{.*}} bytes 8320
// CHECK-NOT: bytes {{[0-9][0-9][0-9][0-9]}}
// CHECK: plan.segment @update
// CHECK-NOT: "copy"
// CHECK: "sum_squares"
// CHECK-NOT: "copy"
// CHECK: "native" "adamw"
// CHECK-NOT: "copy"
// CHECK: plan.schedule
module attributes {graph.optimizer = #adamw, graph.gradient_clipping = 1.0 : f64, graph.accumulation_steps = 2 : i64} {
  func.func @forward(%w: tensor<64x32xf32> {graph.parameter = "w"}, %b: tensor<32xf32> {graph.parameter = "b"},
                     %x: tensor<2x64xf32> {graph.input = "x"}, %t: tensor<2xi64> {graph.input = "t"})
      -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.linear %x, %w, %b : tensor<2x64xf32>, tensor<64x32xf32>, tensor<32xf32>
    %sum, %count, %lse = graph.cross_entropy %y, %t ignore_index -100 : tensor<2x32xf32>, tensor<2xi64>
    %loss = graph.div %sum, %count : tensor<f32>, tensor<f32>
    return %loss : tensor<f32>
  }
}
