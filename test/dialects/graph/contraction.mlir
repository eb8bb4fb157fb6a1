// RUN: ds-opt %s | ds-opt - | FileCheck %s

// CHECK-LABEL: @scores
// CHECK: graph.matmul %{{.*}}, %{{.*}} batch [0, 1] x [0, 1] contract [3] x [3] : tensor<2x4x8x16xf32>, tensor<2x4x5x16xf32>
// CHECK: return {{.*}} : tensor<2x4x8x5xf32>
func.func @scores(%q: tensor<2x4x8x16xf32>, %k: tensor<2x4x5x16xf32>) -> tensor<2x4x8x5xf32> {
  %s = graph.matmul %q, %k batch [0, 1] x [0, 1] contract [3] x [3] : tensor<2x4x8x16xf32>, tensor<2x4x5x16xf32>
  return %s : tensor<2x4x8x5xf32>
}

// CHECK-LABEL: @linear
// CHECK: graph.linear %{{.*}}, %{{.*}}, %{{.*}} : tensor<2x8x16xf32>, tensor<16x64xf32>, tensor<64xf32>
// CHECK: graph.linear %{{.*}}, %{{.*}} transpose_weight : tensor<2x8x64xf32>, tensor<5x64xf32>
// CHECK: return {{.*}} : tensor<2x8x5xf32>
func.func @linear(%x: tensor<2x8x16xf32>, %w: tensor<16x64xf32>, %b: tensor<64xf32>, %v: tensor<5x64xf32>)
    -> tensor<2x8x5xf32> {
  %y = graph.linear %x, %w, %b : tensor<2x8x16xf32>, tensor<16x64xf32>, tensor<64xf32>
  %z = graph.linear %y, %v transpose_weight : tensor<2x8x64xf32>, tensor<5x64xf32>
  return %z : tensor<2x8x5xf32>
}

// The columns of a fused projection stay apart.
// CHECK-LABEL: @linear_parts
// CHECK: graph.linear %{{.*}}, %{{.*}}, %{{.*}} : tensor<2x8x16xf32>, tensor<16x3x4xf32>, tensor<3x4xf32>
// CHECK: return %{{.*}} : tensor<2x8x3x4xf32>
func.func @linear_parts(%x: tensor<2x8x16xf32>, %w: tensor<16x3x4xf32>, %b: tensor<3x4xf32>) -> tensor<2x8x3x4xf32> {
  %y = graph.linear %x, %w, %b : tensor<2x8x16xf32>, tensor<16x3x4xf32>, tensor<3x4xf32>
  return %y : tensor<2x8x3x4xf32>
}
