// RUN: ds-opt %s | ds-opt - | FileCheck %s --check-prefix=SAME
// RUN: ds-opt %s -canonicalize | FileCheck %s --check-prefix=FOLD

// SAME-LABEL: @round_trip
// SAME: graph.constant dense<[1, 2]> : tensor<2xi64>
// SAME: graph.iota 1 : tensor<2x3xi64>
// SAME: graph.slice %{{.*}} [0, 2] to [4, 8] by [1, 3] : tensor<4x8xf32>
// SAME: graph.pad %{{.*}}, %{{.*}} low [0, 0] high [0, 1] interior [1, 0] : tensor<4x2xf32>, tensor<f32>
// SAME: graph.concat %{{.*}}, %{{.*}} dim 0 : tensor<7x3xf32>, tensor<7x3xf32>
// SAME: return {{.*}} : tensor<2xi64>, tensor<2x3xi64>, tensor<14x3xf32>
func.func @round_trip(%x: tensor<4x8xf32>, %zero: tensor<f32>) -> (tensor<2xi64>, tensor<2x3xi64>, tensor<14x3xf32>) {
  %c = graph.constant dense<[1, 2]> : tensor<2xi64>
  %i = graph.iota 1 : tensor<2x3xi64>
  %s = graph.slice %x [0, 2] to [4, 8] by [1, 3] : tensor<4x8xf32>
  %p = graph.pad %s, %zero low [0, 0] high [0, 1] interior [1, 0] : tensor<4x2xf32>, tensor<f32>
  %t = graph.concat %p, %p dim 0 : tensor<7x3xf32>, tensor<7x3xf32>
  return %c, %i, %t : tensor<2xi64>, tensor<2x3xi64>, tensor<14x3xf32>
}

// FOLD-LABEL: @nothing_moves
// FOLD-SAME: %[[X:.*]]: tensor<2x3xf32>
// FOLD-NEXT: return %[[X]]
func.func @nothing_moves(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %zero = graph.constant dense<0.0> : tensor<f32>
  %a = graph.reshape %x : tensor<2x3xf32> to tensor<2x3xf32>
  %b = graph.transpose %a [0, 1] : tensor<2x3xf32>
  %c = graph.broadcast %b [0, 1] : tensor<2x3xf32> to tensor<2x3xf32>
  %d = graph.slice %c [0, 0] to [2, 3] by [1, 1] : tensor<2x3xf32>
  %e = graph.pad %d, %zero low [0, 0] high [0, 0] interior [0, 0] : tensor<2x3xf32>, tensor<f32>
  return %e : tensor<2x3xf32>
}

// FOLD-LABEL: @compose
// FOLD-SAME: %[[X:.*]]: tensor<2x3x4xf32>
// FOLD-DAG: graph.reshape %[[X]] : tensor<2x3x4xf32> to tensor<4x6xf32>
// FOLD-DAG: graph.transpose %[[X]] [2, 1, 0] : tensor<2x3x4xf32>
func.func @compose(%x: tensor<2x3x4xf32>) -> (tensor<4x6xf32>, tensor<4x3x2xf32>) {
  %a = graph.reshape %x : tensor<2x3x4xf32> to tensor<24xf32>
  %b = graph.reshape %a : tensor<24xf32> to tensor<4x6xf32>
  %c = graph.transpose %x [1, 2, 0] : tensor<2x3x4xf32>
  %d = graph.transpose %c [1, 0, 2] : tensor<3x4x2xf32>
  return %b, %d : tensor<4x6xf32>, tensor<4x3x2xf32>
}

// FOLD-LABEL: @broadcast_twice
// FOLD-SAME: %[[X:.*]]: tensor<4xf32>
// FOLD-NEXT: %[[R:.*]] = graph.broadcast %[[X]] [2] : tensor<4xf32> to tensor<5x3x4xf32>
// FOLD-NEXT: return %[[R]]
func.func @broadcast_twice(%x: tensor<4xf32>) -> tensor<5x3x4xf32> {
  %a = graph.broadcast %x [1] : tensor<4xf32> to tensor<3x4xf32>
  %b = graph.broadcast %a [1, 2] : tensor<3x4xf32> to tensor<5x3x4xf32>
  return %b : tensor<5x3x4xf32>
}

// FOLD-LABEL: @transposed_back
// FOLD-SAME: %[[X:.*]]: tensor<2x3x4xf32>
// FOLD-NEXT: return %[[X]]
func.func @transposed_back(%x: tensor<2x3x4xf32>) -> tensor<2x3x4xf32> {
  %a = graph.transpose %x [1, 2, 0] : tensor<2x3x4xf32>
  %b = graph.transpose %a [2, 0, 1] : tensor<3x4x2xf32>
  return %b : tensor<2x3x4xf32>
}
