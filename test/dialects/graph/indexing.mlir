// RUN: ds-opt %s | ds-opt - | FileCheck %s

// CHECK-LABEL: @rows
// CHECK: graph.embedding %{{.*}}, %{{.*}} : tensor<7x5xf32>, tensor<2x3xi64>
// CHECK: graph.embedding_grad %{{.*}}, %{{.*}} rows 7 : tensor<2x3x5xf32>, tensor<2x3xi64>
// CHECK: return {{.*}} : tensor<7x5xf32>
func.func @rows(%table: tensor<7x5xf32>, %ids: tensor<2x3xi64>) -> tensor<7x5xf32> {
  %y = graph.embedding %table, %ids : tensor<7x5xf32>, tensor<2x3xi64>
  %g = graph.embedding_grad %y, %ids rows 7 : tensor<2x3x5xf32>, tensor<2x3xi64>
  return %g : tensor<7x5xf32>
}

// CHECK-LABEL: @rows_of_a_part
// CHECK: graph.embedding %{{.*}}, %{{.*}} at %{{.*}} of 9 : tensor<3x5xf32>, tensor<2xi64>, tensor<i64>
// CHECK: graph.embedding_grad %{{.*}}, %{{.*}} at %{{.*}} rows 3 : tensor<2x5xf32>, tensor<2xi64>, tensor<i64>
func.func @rows_of_a_part(%part: tensor<3x5xf32>, %ids: tensor<2xi64>, %offset: tensor<i64>) -> tensor<3x5xf32> {
  %y = graph.embedding %part, %ids at %offset of 9 : tensor<3x5xf32>, tensor<2xi64>, tensor<i64>
  %g = graph.embedding_grad %y, %ids at %offset rows 3 : tensor<2x5xf32>, tensor<2xi64>, tensor<i64>
  return %g : tensor<3x5xf32>
}

// CHECK-LABEL: @elements
// CHECK: graph.gather %{{.*}}, %{{.*}} dim 1 : tensor<5x4xf32>, tensor<5x2xi32>
// CHECK: graph.scatter_add %{{.*}}, %{{.*}} dim 1 : tensor<5x2xf32>, tensor<5x2xi32> to tensor<5x4xf32>
func.func @elements(%x: tensor<5x4xf32>, %index: tensor<5x2xi32>) -> tensor<5x4xf32> {
  %y = graph.gather %x, %index dim 1 : tensor<5x4xf32>, tensor<5x2xi32>
  %g = graph.scatter_add %y, %index dim 1 : tensor<5x2xf32>, tensor<5x2xi32> to tensor<5x4xf32>
  return %g : tensor<5x4xf32>
}
