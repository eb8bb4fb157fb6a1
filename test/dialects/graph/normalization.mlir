// RUN: ds-opt %s | ds-opt - | FileCheck %s

// CHECK-LABEL: @softmax
// CHECK: graph.softmax %{{.*}} dim 1 : tensor<3x7xf32>
// CHECK: graph.softmax_grad %{{.*}}, %{{.*}} dim 1 : tensor<3x7xf32>
func.func @softmax(%x: tensor<3x7xf32>, %dy: tensor<3x7xf32>) -> tensor<3x7xf32> {
  %y = graph.softmax %x dim 1 : tensor<3x7xf32>
  %dx = graph.softmax_grad %dy, %y dim 1 : tensor<3x7xf32>
  return %dx : tensor<3x7xf32>
}

// CHECK-LABEL: @layer_norm
// CHECK: graph.layer_norm %{{.*}}, %{{.*}}, %{{.*}} eps 1.000000e-05 : tensor<2x3x5xf32>, tensor<5xf32>, tensor<5xf32>
// CHECK: graph.layer_norm_grad {{.*}} : tensor<2x3x5xf32>, tensor<2x3x5xf32>, tensor<5xf32>, tensor<2x3xf32>, tensor<2x3xf32>
// CHECK: return {{.*}} : tensor<2x3x5xf32>, tensor<5xf32>, tensor<5xf32>
func.func @layer_norm(%x: tensor<2x3x5xf32>, %w: tensor<5xf32>, %b: tensor<5xf32>)
    -> (tensor<2x3x5xf32>, tensor<5xf32>, tensor<5xf32>) {
  %y, %mean, %rstd = graph.layer_norm %x, %w, %b eps 1.0e-5 : tensor<2x3x5xf32>, tensor<5xf32>, tensor<5xf32>
  %dx, %dw, %db = graph.layer_norm_grad %y, %x, %w, %mean, %rstd
      : tensor<2x3x5xf32>, tensor<2x3x5xf32>, tensor<5xf32>, tensor<2x3xf32>, tensor<2x3xf32>
  return %dx, %dw, %db : tensor<2x3x5xf32>, tensor<5xf32>, tensor<5xf32>
}

// CHECK-LABEL: @cross_entropy
// CHECK: graph.cross_entropy %{{.*}}, %{{.*}} ignore_index -100 : tensor<4x9xf32>, tensor<4xi64>
// CHECK: graph.cross_entropy_grad {{.*}} ignore_index -100 : tensor<4x9xf32>, tensor<4xi64>, tensor<4xf32>, tensor<f32>
func.func @cross_entropy(%logits: tensor<4x9xf32>, %target: tensor<4xi64>) -> tensor<4x9xf32> {
  %sum, %count, %lse = graph.cross_entropy %logits, %target ignore_index -100 : tensor<4x9xf32>, tensor<4xi64>
  %d = graph.cross_entropy_grad %logits, %target, %lse, %sum ignore_index -100
      : tensor<4x9xf32>, tensor<4xi64>, tensor<4xf32>, tensor<f32>
  return %d : tensor<4x9xf32>
}

// CHECK-LABEL: @cross_entropy_of_rows_in_two_dimensions
// CHECK: graph.cross_entropy %{{.*}}, %{{.*}} ignore_index -100 : tensor<2x4x9xf32>, tensor<2x4xi64>
// CHECK: graph.cross_entropy_grad {{.*}} ignore_index -100 : tensor<2x4x9xf32>, tensor<2x4xi64>, tensor<2x4xf32>, tensor<f32>
func.func @cross_entropy_of_rows_in_two_dimensions(%logits: tensor<2x4x9xf32>, %target: tensor<2x4xi64>) -> tensor<2x4x9xf32> {
  %sum, %count, %lse = graph.cross_entropy %logits, %target ignore_index -100 : tensor<2x4x9xf32>, tensor<2x4xi64>
  %d = graph.cross_entropy_grad %logits, %target, %lse, %sum ignore_index -100
      : tensor<2x4x9xf32>, tensor<2x4xi64>, tensor<2x4xf32>, tensor<f32>
  return %d : tensor<2x4x9xf32>
}

// CHECK-LABEL: @cross_entropy_with_grad
// CHECK: graph.cross_entropy_with_grad %{{.*}}, %{{.*}}, %{{.*}} ignore_index -100 : tensor<2x4x9xbf16>, tensor<2x4xi64>, tensor<f32>
func.func @cross_entropy_with_grad(%logits: tensor<2x4x9xbf16>, %target: tensor<2x4xi64>, %d: tensor<f32>) -> (tensor<2x4x9xbf16>, tensor<f32>) {
  %g, %sum = graph.cross_entropy_with_grad %logits, %target, %d ignore_index -100 : tensor<2x4x9xbf16>, tensor<2x4xi64>, tensor<f32>
  return %g, %sum : tensor<2x4x9xbf16>, tensor<f32>
}
