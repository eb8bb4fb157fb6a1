// RUN: ds-opt %s --split-input-file --differentiate --cse 2>/dev/null | FileCheck %s

// The gradient of attention: one fused op.
// Each loss is the sum of y * dy, so that the cotangent of y is 1 * %dy.

// CHECK-LABEL: module @causal {
// CHECK: %[[O:.*]], %[[LSE:.*]] = graph.attention %arg0, %arg1, %arg2 scale 5.000000e-01 causal {{.*}}"forward"
// CHECK: %[[V1:.*]] = graph.reduce_sum %{{.*}} dims [0, 1, 2, 3] {{.*}}"forward"
// CHECK-NEXT: %[[V2:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V3:.*]] = graph.broadcast %[[V2]] [] {graph.phase = "backward"} : tensor<f32> to tensor<1x4x3x2xf32>
// CHECK-NEXT: %[[V4:.*]] = graph.mul %[[V3]], %arg3 {graph.phase = "backward"}
// CHECK-NEXT: %[[DQ:.*]], %[[DK:.*]], %[[DV:.*]] = graph.attention_grad %[[V4]], %arg0, %arg1, %arg2, %[[O]], %[[LSE]] scale 5.000000e-01 causal {graph.phase = "backward"}
// CHECK-NEXT: return %[[V1]], %[[DQ]], %[[DK]], %[[DV]]

module @causal {
  func.func @forward(%q: tensor<1x4x3x2xf32> {graph.parameter = "q"}, %k: tensor<1x2x3x2xf32> {graph.parameter = "k"}, %v: tensor<1x2x3x2xf32> {graph.parameter = "v"},
                     %dy: tensor<1x4x3x2xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y, %lse = graph.attention %q, %k, %v scale 5.0e-01 causal : tensor<1x4x3x2xf32>, tensor<1x2x3x2xf32>, tensor<1x2x3x2xf32>
    %p = graph.mul %y, %dy : tensor<1x4x3x2xf32>, tensor<1x4x3x2xf32>
    %loss = graph.reduce_sum %p dims [0, 1, 2, 3] : tensor<1x4x3x2xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @masked_dropout {
// CHECK: %[[O:.*]], %[[LSE:.*]] = graph.attention %arg0, %arg1, %arg2 mask %arg3 counter %arg4 scale 5.000000e-01 {dropout = 1.000000e-01 : f64, graph.phase = "forward", id = 2 : i64}
// CHECK: %[[V1:.*]] = graph.reduce_sum %{{.*}} dims [0, 1, 2, 3] {{.*}}"forward"
// CHECK-NEXT: %[[V2:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V3:.*]] = graph.broadcast %[[V2]] [] {graph.phase = "backward"} : tensor<f32> to tensor<1x4x3x2xf32>
// CHECK-NEXT: %[[V4:.*]] = graph.mul %[[V3]], %arg5 {graph.phase = "backward"}
// CHECK-NEXT: %[[DQ:.*]], %[[DK:.*]], %[[DV:.*]] = graph.attention_grad %[[V4]], %arg0, %arg1, %arg2, %[[O]], %[[LSE]] mask %arg3 counter %arg4 scale 5.000000e-01 {dropout = 1.000000e-01 : f64, graph.phase = "backward", id = 2 : i64}
// CHECK-NEXT: return %[[V1]], %[[DQ]], %[[DK]], %[[DV]]

module @masked_dropout {
  func.func @forward(%q: tensor<1x4x3x2xf32> {graph.parameter = "q"}, %k: tensor<1x2x3x2xf32> {graph.parameter = "k"}, %v: tensor<1x2x3x2xf32> {graph.parameter = "v"}, %m: tensor<1x1x3x3xf32> {graph.input = "m"}, %counter: tensor<3xi64> {graph.run_state = "random_counter"},
                     %dy: tensor<1x4x3x2xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y, %lse = graph.attention %q, %k, %v mask %m counter %counter scale 5.0e-01 {dropout = 1.0e-01 : f64, id = 2 : i64} : tensor<1x4x3x2xf32>, tensor<1x2x3x2xf32>, tensor<1x2x3x2xf32>, tensor<1x1x3x3xf32>, tensor<3xi64>
    %p = graph.mul %y, %dy : tensor<1x4x3x2xf32>, tensor<1x4x3x2xf32>
    %loss = graph.reduce_sum %p dims [0, 1, 2, 3] : tensor<1x4x3x2xf32>
    return %loss : tensor<f32>
  }
}
