// RUN: ds-opt %s | ds-opt - | FileCheck %s --check-prefix=SAME
// RUN: ds-opt %s -canonicalize | FileCheck %s --check-prefix=FOLD

// SAME-LABEL: @shapes
// SAME: graph.reduce_sum %{{.*}} dims [0, 2] : tensor<2x3x4xf32>
// SAME: graph.reduce_max %{{.*}} dims [1] keep_dims : tensor<2x3x4xf32>
// SAME: graph.reduce_min %{{.*}} dims [0, 1, 2] : tensor<2x3x4xf32>
// SAME: graph.reduce_log_sum_exp %{{.*}} dims [2] : tensor<2x3x4xf32>
// SAME: return {{.*}} : tensor<3xf32>, tensor<2x1x4xf32>, tensor<f32>, tensor<2x3xf32>
func.func @shapes(%x: tensor<2x3x4xf32>) -> (tensor<3xf32>, tensor<2x1x4xf32>, tensor<f32>, tensor<2x3xf32>) {
  %a = graph.reduce_sum %x dims [0, 2] : tensor<2x3x4xf32>
  %b = graph.reduce_max %x dims [1] keep_dims : tensor<2x3x4xf32>
  %c = graph.reduce_min %x dims [0, 1, 2] : tensor<2x3x4xf32>
  %d = graph.reduce_log_sum_exp %x dims [2] : tensor<2x3x4xf32>
  return %a, %b, %c, %d : tensor<3xf32>, tensor<2x1x4xf32>, tensor<f32>, tensor<2x3xf32>
}

// FOLD-LABEL: @over_nothing
// FOLD-SAME: %[[X:.*]]: tensor<2x3xf32>
// FOLD-NEXT: return %[[X]], %[[X]], %[[X]]
func.func @over_nothing(%x: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>) {
  %a = graph.reduce_sum %x dims [] : tensor<2x3xf32>
  %b = graph.reduce_max %x dims [] keep_dims : tensor<2x3xf32>
  %c = graph.reduce_min %x dims [] : tensor<2x3xf32>
  return %a, %b, %c : tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>
}
