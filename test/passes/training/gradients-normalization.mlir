// RUN: ds-opt %s --split-input-file --differentiate --cse 2>/dev/null | FileCheck %s

// Gradients of softmax, layer norm and the loss: fused ops.
// Each loss is the sum of y * dy, so that the cotangent of y is 1 * %dy.

// CHECK-LABEL: module @softmax {
// CHECK: %[[V0:.*]] = graph.softmax %arg0 dim 1 {{.*}}"forward"
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x5xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.softmax_grad %[[V5]], %[[V0]] dim 1 {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V6]]

module @softmax {
  func.func @forward(%x: tensor<2x5xf32> {graph.parameter = "x"},
                     %dy: tensor<2x5xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.softmax %x dim 1 : tensor<2x5xf32>
    %p = graph.mul %y, %dy : tensor<2x5xf32>, tensor<2x5xf32>
    %loss = graph.reduce_sum %p dims [0, 1] : tensor<2x5xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @layer_norm {
// CHECK: %[[Y:.*]], %[[MEAN:.*]], %[[RSTD:.*]] = graph.layer_norm %arg0, %arg1, %arg2 eps 1.000000e-05 {{.*}}"forward"
// CHECK: %[[V1:.*]] = graph.reduce_sum %{{.*}} dims [0, 1] {{.*}}"forward"
// CHECK-NEXT: %[[V2:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V3:.*]] = graph.broadcast %[[V2]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x5xf32>
// CHECK-NEXT: %[[V4:.*]] = graph.mul %[[V3]], %arg3 {graph.phase = "backward"}
// CHECK-NEXT: %[[DX:.*]], %[[DWEIGHT:.*]], %[[DBIAS:.*]] = graph.layer_norm_grad %[[V4]], %arg0, %arg1, %[[MEAN]], %[[RSTD]] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V1]], %[[DX]], %[[DWEIGHT]], %[[DBIAS]]

module @layer_norm {
  func.func @forward(%x: tensor<2x5xf32> {graph.parameter = "x"}, %w: tensor<5xf32> {graph.parameter = "w"}, %b: tensor<5xf32> {graph.parameter = "b"},
                     %dy: tensor<2x5xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y, %mean, %rstd = graph.layer_norm %x, %w, %b eps 1.0e-05 : tensor<2x5xf32>, tensor<5xf32>, tensor<5xf32>
    %p = graph.mul %y, %dy : tensor<2x5xf32>, tensor<2x5xf32>
    %loss = graph.reduce_sum %p dims [0, 1] : tensor<2x5xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @cross_entropy {
// CHECK: %[[LOSS_SUM:.*]], %[[COUNT:.*]], %[[LSE:.*]] = graph.cross_entropy %arg0, %arg1 ignore_index -100 {{.*}}"forward"
// CHECK: %[[V0:.*]] = graph.mul %[[LOSS_SUM]], %arg2 {{.*}}"forward"
// CHECK-NEXT: %[[V1:.*]] = graph.cross_entropy_grad %arg0, %arg1, %[[LSE]], %arg2 ignore_index -100 {graph.phase = "backward"}
// CHECK-NEXT: return %[[V0]], %[[V1]]

module @cross_entropy {
  func.func @forward(%x: tensor<2x5xf32> {graph.parameter = "x"}, %target: tensor<2xi64> {graph.input = "target"},
                     %dy: tensor<f32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y, %count, %lse = graph.cross_entropy %x, %target ignore_index -100 : tensor<2x5xf32>, tensor<2xi64>
    %p = graph.mul %y, %dy : tensor<f32>, tensor<f32>
    return %p : tensor<f32>
  }
}
