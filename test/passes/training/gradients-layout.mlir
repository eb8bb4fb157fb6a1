// RUN: ds-opt %s --split-input-file --differentiate --cse 2>/dev/null | FileCheck %s

// Gradients of layout ops and sums: their adjoints.
// Each loss is the sum of y * dy, so that the cotangent of y is 1 * %dy.

// CHECK-LABEL: module @reshape {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<3x4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.reshape %[[V5]] {graph.phase = "backward"} : tensor<3x4xf32> to tensor<2x6xf32>
// CHECK-NEXT: return %[[V2]], %[[V6]]

module @reshape {
  func.func @forward(%x: tensor<2x6xf32> {graph.parameter = "x"},
                     %dy: tensor<3x4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.reshape %x : tensor<2x6xf32> to tensor<3x4xf32>
    %p = graph.mul %y, %dy : tensor<3x4xf32>, tensor<3x4xf32>
    %loss = graph.reduce_sum %p dims [0, 1] : tensor<3x4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @transpose {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1, 2] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<4x2x3xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.transpose %[[V5]] [1, 2, 0] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V6]]

module @transpose {
  func.func @forward(%x: tensor<2x3x4xf32> {graph.parameter = "x"},
                     %dy: tensor<4x2x3xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.transpose %x [2, 0, 1] : tensor<2x3x4xf32>
    %p = graph.mul %y, %dy : tensor<4x2x3xf32>, tensor<4x2x3xf32>
    %loss = graph.reduce_sum %p dims [0, 1, 2] : tensor<4x2x3xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @broadcast {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1, 2] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x3x4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.reduce_sum %[[V5]] dims [0, 2] {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.reshape %[[V6]] {graph.phase = "backward"} : tensor<3xf32> to tensor<3x1xf32>
// CHECK-NEXT: return %[[V2]], %[[V7]]

module @broadcast {
  func.func @forward(%x: tensor<3x1xf32> {graph.parameter = "x"},
                     %dy: tensor<2x3x4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.broadcast %x [1, 2] : tensor<3x1xf32> to tensor<2x3x4xf32>
    %p = graph.mul %y, %dy : tensor<2x3x4xf32>, tensor<2x3x4xf32>
    %loss = graph.reduce_sum %p dims [0, 1, 2] : tensor<2x3x4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @slice {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x2xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.constant {graph.phase = "backward"} dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V7:.*]] = graph.pad %[[V5]], %[[V6]] low [1, 2] high [1, 3] interior [0, 2] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V7]]

module @slice {
  func.func @forward(%x: tensor<4x9xf32> {graph.parameter = "x"},
                     %dy: tensor<2x2xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.slice %x [1, 2] to [3, 8] by [1, 3] : tensor<4x9xf32>
    %p = graph.mul %y, %dy : tensor<2x2xf32>, tensor<2x2xf32>
    %loss = graph.reduce_sum %p dims [0, 1] : tensor<2x2xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @pad {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<3x6xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg2 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.slice %[[V5]] [0, 1] to [2, 6] by [1, 2] {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.constant {graph.phase = "backward"} dense<false> : tensor<2x3xi1>
// CHECK-NEXT: %[[V8:.*]] = graph.constant {graph.phase = "backward"} dense<true> : tensor<i1>
// CHECK-NEXT: %[[V9:.*]] = graph.pad %[[V7]], %[[V8]] low [0, 1] high [1, 0] interior [0, 1] {graph.phase = "backward"}
// CHECK-NEXT: %[[V10:.*]] = graph.constant {graph.phase = "backward"} dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V11:.*]] = graph.select %[[V9]], %[[V5]], %[[V10]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V12:.*]] = graph.reduce_sum %[[V11]] dims [0, 1] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V6]], %[[V12]]

module @pad {
  func.func @forward(%x: tensor<2x3xf32> {graph.parameter = "x"}, %v: tensor<f32> {graph.parameter = "v"},
                     %dy: tensor<3x6xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.pad %x, %v low [0, 1] high [1, 0] interior [0, 1] : tensor<2x3xf32>, tensor<f32>
    %p = graph.mul %y, %dy : tensor<3x6xf32>, tensor<3x6xf32>
    %loss = graph.reduce_sum %p dims [0, 1] : tensor<3x6xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @concat {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x7xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg2 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.slice %[[V5]] [0, 0] to [2, 3] by [1, 1] {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.slice %[[V5]] [0, 3] to [2, 7] by [1, 1] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V6]], %[[V7]]

module @concat {
  func.func @forward(%a: tensor<2x3xf32> {graph.parameter = "a"}, %b: tensor<2x4xf32> {graph.parameter = "b"},
                     %dy: tensor<2x7xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.concat %a, %b dim 1 : tensor<2x3xf32>, tensor<2x4xf32>
    %p = graph.mul %y, %dy : tensor<2x7xf32>, tensor<2x7xf32>
    %loss = graph.reduce_sum %p dims [0, 1] : tensor<2x7xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @reduce_sum {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<3xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.broadcast %[[V5]] [1] {graph.phase = "backward"} : tensor<3xf32> to tensor<2x3x4xf32>
// CHECK-NEXT: return %[[V2]], %[[V6]]

module @reduce_sum {
  func.func @forward(%x: tensor<2x3x4xf32> {graph.parameter = "x"},
                     %dy: tensor<3xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.reduce_sum %x dims [0, 2] : tensor<2x3x4xf32>
    %p = graph.mul %y, %dy : tensor<3xf32>, tensor<3xf32>
    %loss = graph.reduce_sum %p dims [0] : tensor<3xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @reduce_sum_keep {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x1xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.broadcast %[[V5]] [0, 1] {graph.phase = "backward"} : tensor<2x1xf32> to tensor<2x3xf32>
// CHECK-NEXT: return %[[V2]], %[[V6]]

module @reduce_sum_keep {
  func.func @forward(%x: tensor<2x3xf32> {graph.parameter = "x"},
                     %dy: tensor<2x1xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.reduce_sum %x dims [1] keep_dims : tensor<2x3xf32>
    %p = graph.mul %y, %dy : tensor<2x1xf32>, tensor<2x1xf32>
    %loss = graph.reduce_sum %p dims [0, 1] : tensor<2x1xf32>
    return %loss : tensor<f32>
  }
}

// -----

// What bf16 was repeated to is summed in f32.

// CHECK-LABEL: module @broadcast_bf16 {
// CHECK: %[[WIDE:.*]] = graph.convert %{{.*}} {graph.phase = "backward"} : tensor<4x3xbf16> to tensor<4x3xf32>
// CHECK-NEXT: graph.reduce_sum %[[WIDE]] dims [0] {graph.phase = "backward"} : tensor<4x3xf32>

module @broadcast_bf16 {
  func.func @forward(%x: tensor<3xbf16> {graph.parameter = "x"},
                     %dy: tensor<4x3xbf16> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.broadcast %x [1] : tensor<3xbf16> to tensor<4x3xbf16>
    %p = graph.mul %y, %dy : tensor<4x3xbf16>, tensor<4x3xbf16>
    %w = graph.convert %p : tensor<4x3xbf16> to tensor<4x3xf32>
    %loss = graph.reduce_sum %w dims [0, 1] : tensor<4x3xf32>
    return %loss : tensor<f32>
  }
}
