// RUN: ds-opt %s --split-input-file --differentiate --cse 2>/dev/null | FileCheck %s

// Gradients of contractions: no transposition where an order of the factors needs none.
// Each loss is the sum of y * dy, so that the cotangent of y is 1 * %dy.

// CHECK-LABEL: module @matmul_batch {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1, 2] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x3x5xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg2 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.matmul %[[V5]], %arg1 batch [0] x [0] contract [2] x [2] {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.matmul %arg0, %[[V5]] batch [0] x [0] contract [1] x [1] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V6]], %[[V7]]

module @matmul_batch {
  func.func @forward(%a: tensor<2x3x4xf32> {graph.parameter = "a"}, %b: tensor<2x4x5xf32> {graph.parameter = "b"},
                     %dy: tensor<2x3x5xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.matmul %a, %b batch [0] x [0] contract [2] x [1] : tensor<2x3x4xf32>, tensor<2x4x5xf32>
    %p = graph.mul %y, %dy : tensor<2x3x5xf32>, tensor<2x3x5xf32>
    %loss = graph.reduce_sum %p dims [0, 1, 2] : tensor<2x3x5xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @matmul_scores {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1, 2] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x3x5xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg2 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.matmul %[[V5]], %arg1 batch [0] x [0] contract [2] x [1] {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.matmul %[[V5]], %arg0 batch [0] x [0] contract [1] x [1] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V6]], %[[V7]]

module @matmul_scores {
  func.func @forward(%a: tensor<2x3x4xf32> {graph.parameter = "a"}, %b: tensor<2x5x4xf32> {graph.parameter = "b"},
                     %dy: tensor<2x3x5xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.matmul %a, %b batch [0] x [0] contract [2] x [2] : tensor<2x3x4xf32>, tensor<2x5x4xf32>
    %p = graph.mul %y, %dy : tensor<2x3x5xf32>, tensor<2x3x5xf32>
    %loss = graph.reduce_sum %p dims [0, 1, 2] : tensor<2x3x5xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @matmul_order {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1, 2] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x3x5xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg2 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.matmul %[[V5]], %arg1 batch [0] x [1] contract [2] x [2] {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.transpose %[[V6]] [1, 3, 0, 2] {graph.phase = "backward"}
// CHECK-NEXT: %[[V8:.*]] = graph.matmul %[[V5]], %arg0 batch [0] x [2] contract [1] x [0] {graph.phase = "backward"}
// CHECK-NEXT: %[[V9:.*]] = graph.transpose %[[V8]] [3, 0, 1, 2] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V7]], %[[V9]]

module @matmul_order {
  func.func @forward(%a: tensor<3x6x2x4xf32> {graph.parameter = "a"}, %b: tensor<4x2x5x6xf32> {graph.parameter = "b"},
                     %dy: tensor<2x3x5xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.matmul %a, %b batch [2] x [1] contract [3, 1] x [0, 3] : tensor<3x6x2x4xf32>, tensor<4x2x5x6xf32>
    %p = graph.mul %y, %dy : tensor<2x3x5xf32>, tensor<2x3x5xf32>
    %loss = graph.reduce_sum %p dims [0, 1, 2] : tensor<2x3x5xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @linear {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1, 2] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x3x5xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg3 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.matmul %[[V5]], %arg1 batch [] x [] contract [2] x [1] {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.matmul %arg0, %[[V5]] batch [] x [] contract [0, 1] x [0, 1] {graph.phase = "backward"}
// CHECK-NEXT: %[[V8:.*]] = graph.reduce_sum %[[V5]] dims [0, 1] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V6]], %[[V7]], %[[V8]]

module @linear {
  func.func @forward(%x: tensor<2x3x4xf32> {graph.parameter = "x"}, %w: tensor<4x5xf32> {graph.parameter = "w"}, %b: tensor<5xf32> {graph.parameter = "b"},
                     %dy: tensor<2x3x5xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.linear %x, %w, %b : tensor<2x3x4xf32>, tensor<4x5xf32>, tensor<5xf32>
    %p = graph.mul %y, %dy : tensor<2x3x5xf32>, tensor<2x3x5xf32>
    %loss = graph.reduce_sum %p dims [0, 1, 2] : tensor<2x3x5xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @linear_transposed {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1, 2] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x3x5xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg2 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.matmul %[[V5]], %arg1 batch [] x [] contract [2] x [0] {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.matmul %[[V5]], %arg0 batch [] x [] contract [0, 1] x [0, 1] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V6]], %[[V7]]

module @linear_transposed {
  func.func @forward(%x: tensor<2x3x4xf32> {graph.parameter = "x"}, %w: tensor<5x4xf32> {graph.parameter = "w"},
                     %dy: tensor<2x3x5xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.linear %x, %w transpose_weight : tensor<2x3x4xf32>, tensor<5x4xf32>
    %p = graph.mul %y, %dy : tensor<2x3x5xf32>, tensor<2x3x5xf32>
    %loss = graph.reduce_sum %p dims [0, 1, 2] : tensor<2x3x5xf32>
    return %loss : tensor<f32>
  }
}
