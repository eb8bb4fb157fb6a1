// RUN: ds-opt %s -split-input-file --bound-indices | FileCheck %s

// What an input indexes bounds it, seen through ops that move or widen its numbers: the smallest table, here 9 of 11
// rows, for ids; the classes, and what a decomposed cross entropy replaces and leaves out, for labels.

// CHECK-LABEL: func.func @micro_batch
// CHECK-SAME: %[[IDS:.*]]: tensor<2x3xi32> {graph.batch_dimension = 0 : i64, graph.index_bound = 9 : i64, graph.input = "ids"}
// CHECK-SAME: %[[LABELS:.*]]: tensor<2x3xi64> {graph.batch_dimension = 0 : i64, graph.ignored_index = -100 : i64, graph.index_bound = 7 : i64, graph.input = "labels"}
module {
  func.func @micro_batch(%ids: tensor<2x3xi32> {graph.input = "ids", graph.batch_dimension = 0 : i64},
                         %labels: tensor<2x3xi64> {graph.input = "labels", graph.batch_dimension = 0 : i64},
                         %a: tensor<11x7xf32> {graph.parameter = "a"}, %b: tensor<9x7xf32> {graph.parameter = "b"})
      -> (tensor<f32> {graph.metric = "loss"}) {
    %wide = graph.convert %ids : tensor<2x3xi32> to tensor<2x3xi64>
    %0 = graph.embedding %a, %wide : tensor<11x7xf32>, tensor<2x3xi64>
    %1 = graph.embedding %b, %wide : tensor<9x7xf32>, tensor<2x3xi64>
    %2 = graph.add %0, %1 : tensor<2x3x7xf32>, tensor<2x3x7xf32>
    %logits = graph.reshape %2 : tensor<2x3x7xf32> to tensor<6x7xf32>
    %ignored = graph.constant dense<-100> : tensor<i64>
    %padded = graph.pad %labels, %ignored low [0, 0] high [0, 1] interior [0, 0] : tensor<2x3xi64>, tensor<i64>
    %shifted = graph.slice %padded [0, 1] to [2, 4] by [1, 1] : tensor<2x4xi64>
    %target = graph.reshape %shifted : tensor<2x3xi64> to tensor<6x1xi64>
    %zero = graph.constant dense<0> : tensor<i64>
    %counts = graph.compare "ne" %target, %ignored : tensor<6x1xi64>, tensor<i64>
    %column = graph.select %counts, %target, %zero : tensor<6x1xi1>, tensor<6x1xi64>, tensor<i64>
    %chosen = graph.gather %logits, %column dim 1 : tensor<6x7xf32>, tensor<6x1xi64>
    %loss = graph.reduce_sum %chosen dims [0, 1] : tensor<6x1xf32>
    return %loss : tensor<f32>
  }
}

// -----

// What one use ignores and another does not, is refused.

// CHECK-LABEL: func.func @micro_batch
// CHECK-SAME: tensor<6x1xi64> {graph.ignored_index = -1 : i64, graph.index_bound = 7 : i64, graph.input = "labels"}
// CHECK-SAME: tensor<6x1xi64> {graph.index_bound = 6 : i64, graph.input = "both"}
module {
  func.func @micro_batch(%labels: tensor<6x1xi64> {graph.input = "labels"}, %both: tensor<6x1xi64> {graph.input = "both"},
                         %scores: tensor<6x7xf32> {graph.parameter = "scores"})
      -> (tensor<f32> {graph.metric = "loss"}, tensor<f32> {graph.metric = "other"}) {
    %ignored = graph.constant dense<-1> : tensor<i64>
    %zero = graph.constant dense<0> : tensor<i64>
    %counts = graph.compare "ne" %labels, %ignored : tensor<6x1xi64>, tensor<i64>
    %safe = graph.select %counts, %labels, %zero : tensor<6x1xi1>, tensor<6x1xi64>, tensor<i64>
    %0 = graph.gather %scores, %safe dim 1 : tensor<6x7xf32>, tensor<6x1xi64>
    %counts2 = graph.compare "ne" %both, %ignored : tensor<6x1xi64>, tensor<i64>
    %safe2 = graph.select %counts2, %both, %zero : tensor<6x1xi1>, tensor<6x1xi64>, tensor<i64>
    %1 = graph.gather %scores, %safe2 dim 1 : tensor<6x7xf32>, tensor<6x1xi64>
    %2 = graph.gather %scores, %both dim 0 : tensor<6x7xf32>, tensor<6x1xi64>
    %sum = graph.add %0, %1 : tensor<6x1xf32>, tensor<6x1xf32>
    %loss = graph.reduce_sum %sum dims [0, 1] : tensor<6x1xf32>
    %other = graph.reduce_sum %2 dims [0, 1] : tensor<6x1xf32>
    return %loss, %other : tensor<f32>, tensor<f32>
  }
}

// -----

// Numbers that index nothing are not bounded, nor are tables.

// CHECK-LABEL: func.func @other
// CHECK-NOT: index_bound
func.func @other(%t: tensor<9xi64> {graph.buffer = "t"}, %w: tensor<9x7xf32> {graph.parameter = "w"}, %x: tensor<4xf32> {graph.input = "x"})
    -> (tensor<9x7xf32>, tensor<4xf32>) {
  %0 = graph.embedding %w, %t : tensor<9x7xf32>, tensor<9xi64>
  %1 = graph.neg %x : tensor<4xf32>
  return %0, %1 : tensor<9x7xf32>, tensor<4xf32>
}
