// RUN: ds-opt %s --split-input-file --verify-diagnostics --accumulate-gradients | FileCheck %s

// CHECK-LABEL: module @two
module @two attributes {graph.accumulation_steps = 2 : i64} {
  // CHECK: func.func @forward(%{{.*}}: tensor<f32> {graph.parameter = "w"},
  // CHECK-SAME: %[[G:.*]]: tensor<f32> {graph.state = "gradient.w"},
  // CHECK-SAME: %[[L:.*]]: tensor<f32> {graph.state = "loss"})
  // CHECK-SAME: -> (tensor<f32> {graph.output = "loss"}, tensor<f32> {graph.gradient = "w", graph.state = "gradient.w"},
  // CHECK-SAME:     tensor<f32> {graph.metric = "loss", graph.state = "loss"})
  func.func @forward(%w: tensor<f32> {graph.parameter = "w"})
      -> (tensor<f32> {graph.metric = "loss", graph.output = "loss"}, tensor<f32> {graph.gradient = "w"}) {
    // CHECK-NEXT: %[[LOSS:.*]] = graph.sin
    // CHECK-NEXT: %[[DW:.*]] = graph.cos
    // CHECK-NEXT: %[[SUM:.*]] = graph.add %[[G]], %[[DW]] {graph.phase = "backward"}
    // CHECK-NEXT: %[[N:.*]] = graph.constant {graph.phase = "backward"} dense<2.000000e+00> : tensor<f32>
    // CHECK-NEXT: %[[SHARE:.*]] = graph.div %[[LOSS]], %[[N]] {graph.phase = "backward"}
    // CHECK-NEXT: %[[TOTAL:.*]] = graph.add %[[L]], %[[SHARE]] {graph.phase = "backward"}
    // CHECK-NEXT: return %[[LOSS]], %[[SUM]], %[[TOTAL]]
    %0 = graph.sin %w {graph.phase = "forward"} : tensor<f32>
    %1 = graph.cos %w {graph.phase = "backward"} : tensor<f32>
    return %0, %1 : tensor<f32>, tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @one
module @one attributes {graph.accumulation_steps = 1 : i64} {
  // CHECK: func.func @forward(%{{.*}}: tensor<f32> {graph.parameter = "w"})
  // CHECK-SAME: -> (tensor<f32> {graph.metric = "loss", graph.output = "loss"}, tensor<f32> {graph.gradient = "w"}) {
  func.func @forward(%w: tensor<f32> {graph.parameter = "w"})
      -> (tensor<f32> {graph.metric = "loss", graph.output = "loss"}, tensor<f32> {graph.gradient = "w"}) {
    // CHECK-NEXT: graph.sin
    // CHECK-NEXT: graph.cos
    // CHECK-NEXT: return
    %0 = graph.sin %w {graph.phase = "forward"} : tensor<f32>
    %1 = graph.cos %w {graph.phase = "backward"} : tensor<f32>
    return %0, %1 : tensor<f32>, tensor<f32>
  }
}

// -----

// expected-error @+1 {{@forward has no gradients to accumulate; run 'differentiate' first}}
func.func @forward(%w: tensor<f32> {graph.parameter = "w"}) -> (tensor<f32> {graph.output = "loss"}) {
  return %w : tensor<f32>
}

// -----

// expected-error @+1 {{@forward accumulates its gradients already}}
func.func @forward(%w: tensor<f32> {graph.parameter = "w"}, %g: tensor<f32> {graph.state = "gradient.w"})
    -> (tensor<f32> {graph.gradient = "w", graph.state = "gradient.w"}) {
  return %g : tensor<f32>
}
