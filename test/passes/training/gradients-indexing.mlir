// RUN: ds-opt %s --split-input-file --differentiate --cse 2>/dev/null | FileCheck %s

// Gradients of indexing and dropout.
// Each loss is the sum of y * dy, so that the cotangent of y is 1 * %dy.

// CHECK-LABEL: module @embedding {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1, 2] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x4x3xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg2 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.embedding_grad %[[V5]], %arg1 rows 7 {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V6]]

module @embedding {
  func.func @forward(%table: tensor<7x3xf32> {graph.parameter = "table"}, %ids: tensor<2x4xi64> {graph.input = "ids"},
                     %dy: tensor<2x4x3xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.embedding %table, %ids : tensor<7x3xf32>, tensor<2x4xi64>
    %p = graph.mul %y, %dy : tensor<2x4x3xf32>, tensor<2x4x3xf32>
    %loss = graph.reduce_sum %p dims [0, 1, 2] : tensor<2x4x3xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @gather {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x3xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg2 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.scatter_add %[[V5]], %arg1 dim 1 {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V6]]

module @gather {
  func.func @forward(%x: tensor<2x5xf32> {graph.parameter = "x"}, %index: tensor<2x3xi64> {graph.input = "index"},
                     %dy: tensor<2x3xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.gather %x, %index dim 1 : tensor<2x5xf32>, tensor<2x3xi64>
    %p = graph.mul %y, %dy : tensor<2x3xf32>, tensor<2x3xf32>
    %loss = graph.reduce_sum %p dims [0, 1] : tensor<2x3xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @dropout {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x5xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg2 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.dropout %[[V5]], %arg1 p 1.000000e-01 id 3 {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V6]]

module @dropout {
  func.func @forward(%x: tensor<2x5xf32> {graph.parameter = "x"}, %counter: tensor<3xi64> {graph.run_state = "random_counter"},
                     %dy: tensor<2x5xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.dropout %x, %counter p 1.0e-01 id 3 : tensor<2x5xf32>, tensor<3xi64>
    %p = graph.mul %y, %dy : tensor<2x5xf32>, tensor<2x5xf32>
    %loss = graph.reduce_sum %p dims [0, 1] : tensor<2x5xf32>
    return %loss : tensor<f32>
  }
}
