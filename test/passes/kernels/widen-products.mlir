// RUN: ds-opt %s -split-input-file --widen-products | FileCheck %s
// RUN: ds-opt %s -split-input-file --widen-products=cpu-level=x86-64-v4 | FileCheck %s
// RUN: ds-opt %s -split-input-file --widen-products=cpu-level=x86-64-v4-bf16 | FileCheck %s --check-prefix=BF16

// bf16 is multiplied in f32 where there are no instructions for it.
// CHECK-LABEL: @linear(
// CHECK-SAME: %[[X:.*]]: tensor<4x8xbf16>, %[[W:.*]]: tensor<8x6xbf16>, %[[B:.*]]: tensor<6xbf16>
// CHECK-DAG: %[[X32:.*]] = graph.convert %[[X]] {graph.chunk = 1 : i64, graph.phase = "forward"} : tensor<4x8xbf16> to tensor<4x8xf32>
// CHECK-DAG: %[[W32:.*]] = graph.convert %[[W]] {graph.chunk = 1 : i64, graph.phase = "forward"} : tensor<8x6xbf16> to tensor<8x6xf32>
// CHECK-DAG: %[[B32:.*]] = graph.convert %[[B]] {graph.chunk = 1 : i64, graph.phase = "forward"} : tensor<6xbf16> to tensor<6xf32>
// CHECK: %[[Y32:.*]] = graph.linear %[[X32]], %[[W32]], %[[B32]] {graph.chunk = 1 : i64, graph.phase = "forward"} : tensor<4x8xf32>, tensor<8x6xf32>, tensor<6xf32>
// CHECK: %[[Y:.*]] = graph.convert %[[Y32]] {graph.chunk = 1 : i64, graph.phase = "forward"} : tensor<4x6xf32> to tensor<4x6xbf16>
// CHECK: return %[[Y]]
// BF16-LABEL: @linear(
// BF16-NOT: graph.convert
func.func @linear(%x: tensor<4x8xbf16>, %w: tensor<8x6xbf16>, %b: tensor<6xbf16>) -> tensor<4x6xbf16> {
  %0 = graph.linear %x, %w, %b {graph.chunk = 1 : i64, graph.phase = "forward"} : tensor<4x8xbf16>, tensor<8x6xbf16>, tensor<6xbf16>
  return %0 : tensor<4x6xbf16>
}

// -----

// A result that is f32 already is not rounded.
// CHECK-LABEL: @gradient(
// CHECK: %[[G:.*]] = graph.matmul %{{.*}}, %{{.*}} batch [] x [] contract [0] x [0] : tensor<4x8xf32>, tensor<4x6xf32>
// CHECK-NEXT: return %[[G]] : tensor<8x6xf32>
func.func @gradient(%x: tensor<4x8xbf16>, %dy: tensor<4x6xbf16>) -> tensor<8x6xf32> {
  %0 = graph.matmul %x, %dy batch [] x [] contract [0] x [0] in f32 : tensor<4x8xbf16>, tensor<4x6xbf16>
  return %0 : tensor<8x6xf32>
}

// -----

// No CPU multiplies f16.
// CHECK-LABEL: @f16(
// CHECK: graph.matmul {{.*}} : tensor<4x8xf32>, tensor<8x6xf32>
// BF16-LABEL: @f16(
// BF16: graph.matmul {{.*}} : tensor<4x8xf32>, tensor<8x6xf32>
func.func @f16(%x: tensor<4x8xf16>, %w: tensor<8x6xf16>) -> tensor<4x6xf16> {
  %0 = graph.matmul %x, %w batch [] x [] contract [1] x [0] : tensor<4x8xf16>, tensor<8x6xf16>
  return %0 : tensor<4x6xf16>
}

// -----

// Large tensors get no copy, and f32 is left alone.
// CHECK-LABEL: @large(
// CHECK-NOT: graph.convert
func.func @large(%x: tensor<8192x384xbf16>, %w: tensor<384x32000xbf16>, %a: tensor<2x3xf32>, %b: tensor<3x2xf32>)
    -> (tensor<8192x32000xbf16>, tensor<2x2xf32>) {
  %0 = graph.matmul %x, %w batch [] x [] contract [1] x [0] : tensor<8192x384xbf16>, tensor<384x32000xbf16>
  %1 = graph.matmul %a, %b batch [] x [] contract [1] x [0] : tensor<2x3xf32>, tensor<3x2xf32>
  return %0, %1 : tensor<8192x32000xbf16>, tensor<2x2xf32>
}

// -----

// Logits of a loss stay f32 from their product to those of their gradient.
// CHECK-LABEL: @loss(
// CHECK: %[[L:.*]] = graph.linear {{.*}} : tensor<4x8xf32>, tensor<6x8xf32>
// CHECK-NEXT: %[[D:.*]], %[[SUM:.*]] = graph.cross_entropy_with_grad %[[L]], {{.*}} : tensor<4x6xf32>, tensor<4xi64>, tensor<f32>
// CHECK-NOT: tensor<4x6xbf16>
// CHECK: graph.matmul %[[D]], %{{.*}} : tensor<4x6xf32>, tensor<6x8xf32>
// CHECK: graph.matmul %[[D]], %{{.*}} : tensor<4x6xf32>, tensor<4x8xf32>
// BF16-LABEL: @loss(
// BF16: graph.cross_entropy_with_grad {{.*}} : tensor<4x6xbf16>
func.func @loss(%x: tensor<4x8xbf16>, %w: tensor<6x8xbf16>, %t: tensor<4xi64>, %d: tensor<f32>)
    -> (tensor<f32>, tensor<4x8xbf16>, tensor<6x8xf32>) {
  %0 = graph.linear %x, %w transpose_weight : tensor<4x8xbf16>, tensor<6x8xbf16>
  %g, %sum = graph.cross_entropy_with_grad %0, %t, %d ignore_index -100 : tensor<4x6xbf16>, tensor<4xi64>, tensor<f32>
  %dx = graph.matmul %g, %w batch [] x [] contract [1] x [0] : tensor<4x6xbf16>, tensor<6x8xbf16>
  %dw = graph.matmul %g, %x batch [] x [] contract [0] x [0] in f32 : tensor<4x6xbf16>, tensor<4x8xbf16>
  return %sum, %dx, %dw : tensor<f32>, tensor<4x8xbf16>, tensor<6x8xf32>
}

// -----

// Logits that something else reads as bf16 are rounded.
// CHECK-LABEL: @read_elsewhere(
// CHECK: graph.cross_entropy_with_grad {{.*}} : tensor<4x6xbf16>
func.func @read_elsewhere(%x: tensor<4x8xbf16>, %w: tensor<6x8xbf16>, %t: tensor<4xi64>, %d: tensor<f32>)
    -> (tensor<f32>, tensor<4x8xbf16>, tensor<4x6xbf16>) {
  %0 = graph.linear %x, %w transpose_weight : tensor<4x8xbf16>, tensor<6x8xbf16>
  %g, %sum = graph.cross_entropy_with_grad %0, %t, %d ignore_index -100 : tensor<4x6xbf16>, tensor<4xi64>, tensor<f32>
  %dx = graph.matmul %g, %w batch [] x [] contract [1] x [0] : tensor<4x6xbf16>, tensor<6x8xbf16>
  return %sum, %dx, %0 : tensor<f32>, tensor<4x8xbf16>, tensor<4x6xbf16>
}

// -----

// Nor does a gradient that is bf16 for its readers come from f32.
// CHECK-LABEL: @gradient_is_read(
// CHECK: graph.cross_entropy_with_grad {{.*}} : tensor<4x6xbf16>
func.func @gradient_is_read(%x: tensor<4x8xbf16>, %w: tensor<6x8xbf16>, %t: tensor<4xi64>, %d: tensor<f32>)
    -> (tensor<f32>, tensor<4x8xbf16>, tensor<4x6xbf16>) {
  %0 = graph.linear %x, %w transpose_weight : tensor<4x8xbf16>, tensor<6x8xbf16>
  %g, %sum = graph.cross_entropy_with_grad %0, %t, %d ignore_index -100 : tensor<4x6xbf16>, tensor<4xi64>, tensor<f32>
  %dx = graph.matmul %g, %w batch [] x [] contract [1] x [0] : tensor<4x6xbf16>, tensor<6x8xbf16>
  return %sum, %dx, %g : tensor<f32>, tensor<4x8xbf16>, tensor<4x6xbf16>
}
