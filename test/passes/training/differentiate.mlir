// RUN: ds-opt %s --split-input-file --differentiate 2>/dev/null | FileCheck %s

// CHECK-LABEL: func.func @forward(
// CHECK-SAME:    %[[W:.*]]: tensor<2xf32> {graph.parameter = "w"}, %[[X:.*]]: tensor<2xf32> {graph.input = "x"})
// CHECK-SAME:    -> (tensor<f32> {graph.metric = "loss", graph.output = "loss"}, tensor<2xf32> {graph.gradient = "w"})
func.func @forward(%w: tensor<2xf32> {graph.parameter = "w"}, %x: tensor<2xf32> {graph.input = "x"})
    -> (tensor<f32> {graph.output = "loss"}) {
  // CHECK-NEXT: %[[P:.*]] = graph.mul %[[W]], %[[X]] {graph.phase = "forward"}
  // CHECK-NEXT: %[[LOSS:.*]] = graph.reduce_sum %[[P]] dims [0] {graph.phase = "forward"}
  // CHECK-NEXT: %[[SEED:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
  // CHECK-NEXT: %[[DP:.*]] = graph.broadcast %[[SEED]] [] {graph.phase = "backward"}
  // CHECK-NEXT: %[[DW:.*]] = graph.mul %[[DP]], %[[X]] {graph.phase = "backward"}
  // CHECK-NEXT: return %[[LOSS]], %[[DW]]
  %0 = graph.mul %w, %x : tensor<2xf32>, tensor<2xf32>
  %1 = graph.reduce_sum %0 dims [0] : tensor<2xf32>
  return %1 : tensor<f32>
}

// -----

// With four micro-batches the walk starts from 1/4.
module attributes {graph.accumulation_steps = 4 : i64} {
  // CHECK-LABEL: func.func @forward(
  func.func @forward(%w: tensor<f64> {graph.parameter = "w"}) -> (tensor<f64> {graph.output = "loss"}) {
    // CHECK: %[[SEED:.*]] = graph.constant {graph.phase = "backward"} dense<2.500000e-01> : tensor<f64>
    // CHECK: %[[COS:.*]] = graph.cos
    // CHECK: graph.mul %[[COS]], %[[SEED]] {graph.phase = "backward"}
    %0 = graph.sin %w : tensor<f64>
    return %0 : tensor<f64>
  }
}

// -----

// A parameter that is read twice: the cotangent of the later op comes first.
// CHECK-LABEL: func.func @forward(
// CHECK-SAME:    %[[W:.*]]: tensor<f32>
func.func @forward(%w: tensor<f32> {graph.parameter = "w"}) -> (tensor<f32> {graph.output = "loss"}) {
  // CHECK: %[[EARLY:.*]] = graph.exp %[[W]]
  // CHECK: %[[LATE:.*]] = graph.cos %[[W]] {graph.phase = "backward"}
  // CHECK: %[[SUM:.*]] = graph.add %[[LATE]], %[[EARLY]] {graph.phase = "backward"}
  // CHECK: return %{{.*}}, %[[SUM]]
  %0 = graph.exp %w : tensor<f32>
  %1 = graph.sin %w : tensor<f32>
  %2 = graph.add %0, %1 : tensor<f32>, tensor<f32>
  return %2 : tensor<f32>
}

// -----

// What a parameter does not reach, or what does not reach the loss, has no gradient; through integers nothing flows.
// CHECK-LABEL: func.func @forward(
// CHECK-SAME:    %[[A:.*]]: tensor<4xf32> {graph.parameter = "a"}, %[[B:.*]]: tensor<3xf32> {graph.parameter = "b"}
// CHECK-SAME:    tensor<4xf32> {graph.gradient = "a"}, tensor<3xf32> {graph.gradient = "b"})
func.func @forward(%a: tensor<4xf32> {graph.parameter = "a"}, %b: tensor<3xf32> {graph.parameter = "b"},
                   %x: tensor<4xf32> {graph.input = "x"})
    -> (tensor<f32> {graph.output = "loss"}, tensor<3xf32> {graph.output = "extra"}) {
  // CHECK-NOT: {graph.phase = "backward"} {{.*}}tensor<4xi64>
  // CHECK: %[[ZERO:.*]] = graph.constant {graph.phase = "backward"} dense<0.000000e+00> : tensor<3xf32>
  // CHECK-NEXT: return %{{.*}}, %{{.*}}, %{{.*}}, %[[ZERO]]
  %0 = graph.exp %b : tensor<3xf32>
  %1 = graph.log %x : tensor<4xf32>
  %2 = graph.mul %a, %1 : tensor<4xf32>, tensor<4xf32>
  %3 = graph.convert %a : tensor<4xf32> to tensor<4xi64>
  %4 = graph.convert %3 : tensor<4xi64> to tensor<4xf32>
  %5 = graph.add %2, %4 : tensor<4xf32>, tensor<4xf32>
  %6 = graph.reduce_sum %5 dims [0] : tensor<4xf32>
  return %6, %0 : tensor<f32>, tensor<3xf32>
}

// -----

// With a loss scale the walk starts from scale / N: gradients carry the scale, the loss does not.
module attributes {graph.accumulation_steps = 4 : i64,
                   graph.loss_scale = #graph.loss_scale<initial = 1.024000e+03 : f64, window = 1000, hysteresis = 2,
                                                        consecutive_hysteresis = false, minimum = 1.0 : f64>} {
  // CHECK-LABEL: func.func @forward(
  // CHECK-SAME: %[[W:.*]]: tensor<2xf32> {graph.parameter = "w"}
  // CHECK-SAME: %[[S:.*]]: tensor<f64> {graph.member = #graph.member<kind = "loss_scale", index = 0, offset = 0>})
  // CHECK: %[[LOSS:.*]] = graph.reduce_sum %[[W]] dims [0] {graph.phase = "forward"}
  // CHECK: %[[SEED:.*]] = graph.constant {graph.phase = "backward"} dense<2.500000e-01> : tensor<f32>
  // CHECK: %[[S32:.*]] = graph.convert %[[S]] {graph.phase = "backward"} : tensor<f64> to tensor<f32>
  // CHECK: %[[D:.*]] = graph.mul %[[S32]], %[[SEED]] {graph.phase = "backward"} : tensor<f32>, tensor<f32>
  // CHECK: %[[DW:.*]] = graph.broadcast %[[D]]
  // CHECK: return %[[LOSS]], %[[DW]]
  func.func @forward(%w: tensor<2xf32> {graph.parameter = "w"}) -> (tensor<f32> {graph.output = "loss"}) {
    %0 = graph.reduce_sum %w dims [0] : tensor<2xf32>
    return %0 : tensor<f32>
  }
}
