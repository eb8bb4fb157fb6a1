// RUN: ds-opt %s --pass-pipeline='builtin.module(func.func(simplify-layout))' | FileCheck %s

// CHECK-LABEL: @conv1d
// CHECK-SAME: %[[X:.*]]: tensor<2x8x16xf32>, %[[W:.*]]: tensor<16x64xf32> {{.*}}, %[[B:.*]]: tensor<64xf32>
// CHECK-NEXT: %[[Y:.*]] = graph.linear %[[X]], %[[W]], %[[B]] : tensor<2x8x16xf32>
// CHECK-NEXT: return %[[Y]]
func.func @conv1d(%x: tensor<2x8x16xf32>, %w: tensor<16x64xf32> {graph.parameter = "w"}, %b: tensor<64xf32>)
    -> tensor<2x8x64xf32> {
  %rows = graph.reshape %x : tensor<2x8x16xf32> to tensor<16x16xf32>
  %xw = graph.matmul %rows, %w batch [] x [] contract [1] x [0] : tensor<16x16xf32>, tensor<16x64xf32>
  %sum = graph.add %b, %xw : tensor<64xf32>, tensor<16x64xf32>
  %y = graph.reshape %sum : tensor<16x64xf32> to tensor<2x8x64xf32>
  return %y : tensor<2x8x64xf32>
}

// A bias for each row, not each column, is no bias of a linear.
// CHECK-LABEL: @row_bias
// CHECK: graph.matmul
// CHECK: graph.add
func.func @row_bias(%x: tensor<4x3xf32>, %w: tensor<3x4xf32>, %b: tensor<4x1xf32>) -> tensor<4x4xf32> {
  %xw = graph.matmul %x, %w batch [] x [] contract [1] x [0] : tensor<4x3xf32>, tensor<3x4xf32>
  %y = graph.add %xw, %b : tensor<4x4xf32>, tensor<4x1xf32>
  return %y : tensor<4x4xf32>
}

// A product that is read elsewhere keeps its own value.
// CHECK-LABEL: @shared_product
// CHECK: %[[P:.*]] = graph.linear %{{.*}}, %{{.*}} : tensor<4x3xf32>, tensor<3x4xf32>
// CHECK: %[[Y:.*]] = graph.add %[[P]]
// CHECK: return %[[P]], %[[Y]]
func.func @shared_product(%x: tensor<4x3xf32>, %w: tensor<3x4xf32> {graph.parameter = "w"}, %b: tensor<4xf32>)
    -> (tensor<4x4xf32>, tensor<4x4xf32>) {
  %xw = graph.matmul %x, %w batch [] x [] contract [1] x [0] : tensor<4x3xf32>, tensor<3x4xf32>
  %y = graph.add %xw, %b : tensor<4x4xf32>, tensor<4xf32>
  return %xw, %y : tensor<4x4xf32>, tensor<4x4xf32>
}

// torch.nn.Linear: x times the transpose of the weight.
// CHECK-LABEL: @transposed_weight
// CHECK-NEXT: graph.linear %{{.*}}, %{{.*}} transpose_weight : tensor<2x16xf32>, tensor<64x16xf32>
// CHECK-NEXT: return
func.func @transposed_weight(%x: tensor<2x16xf32>, %w: tensor<64x16xf32> {graph.parameter = "w"}) -> tensor<2x64xf32> {
  %wt = graph.transpose %w [1, 0] : tensor<64x16xf32>
  %y = graph.matmul %x, %wt batch [] x [] contract [1] x [0] : tensor<2x16xf32>, tensor<16x64xf32>
  return %y : tensor<2x64xf32>
}

// CHECK-LABEL: @transpose_into_linear
// CHECK-NEXT: graph.linear %{{.*}}, %arg1 : tensor<2x16xf32>, tensor<16x64xf32>
func.func @transpose_into_linear(%x: tensor<2x16xf32>, %w: tensor<16x64xf32>) -> tensor<2x64xf32> {
  %wt = graph.transpose %w [1, 0] : tensor<16x64xf32>
  %y = graph.linear %x, %wt transpose_weight : tensor<2x16xf32>, tensor<64x16xf32>
  return %y : tensor<2x64xf32>
}

// The operands b s h d of q k^T need no transpose; result dimensions stay b h s t.
// CHECK-LABEL: @transposes_into_matmul
// CHECK-SAME: %[[Q:.*]]: tensor<2x8x4x16xf32>, %[[K:.*]]: tensor<2x8x4x16xf32>
// CHECK-NEXT: graph.matmul %[[Q]], %[[K]] batch [0, 2] x [0, 2] contract [3] x [3]
// CHECK-NEXT: return
func.func @transposes_into_matmul(%q: tensor<2x8x4x16xf32>, %k: tensor<2x8x4x16xf32>) -> tensor<2x4x8x8xf32> {
  %qt = graph.transpose %q [0, 2, 1, 3] : tensor<2x8x4x16xf32>
  %kt = graph.transpose %k [0, 2, 3, 1] : tensor<2x8x4x16xf32>
  %s = graph.matmul %qt, %kt batch [0, 1] x [0, 1] contract [3] x [2] : tensor<2x4x8x16xf32>, tensor<2x4x16x8xf32>
  return %s : tensor<2x4x8x8xf32>
}

// Two free dimensions in another order would change the result's.
// CHECK-LABEL: @free_dimensions_keep_order
// CHECK-NEXT: graph.transpose
// CHECK-NEXT: graph.matmul
func.func @free_dimensions_keep_order(%x: tensor<2x3x4xf32>, %y: tensor<4x5xf32>) -> tensor<3x2x5xf32> {
  %t = graph.transpose %x [1, 0, 2] : tensor<2x3x4xf32>
  %z = graph.matmul %t, %y batch [] x [] contract [2] x [0] : tensor<3x2x4xf32>, tensor<4x5xf32>
  return %z : tensor<3x2x5xf32>
}

// CHECK-LABEL: @views
// CHECK-SAME: %[[X:.*]]: tensor<2x3x4xf32>
// CHECK-NEXT: return %[[X]]
func.func @views(%x: tensor<2x3x4xf32>) -> tensor<2x3x4xf32> {
  %a = graph.reshape %x : tensor<2x3x4xf32> to tensor<6x4xf32>
  %b = graph.reshape %a : tensor<6x4xf32> to tensor<2x3x4xf32>
  %c = graph.transpose %b [1, 2, 0] : tensor<2x3x4xf32>
  %d = graph.transpose %c [2, 0, 1] : tensor<3x4x2xf32>
  %e = graph.slice %d [0, 0, 0] to [2, 3, 4] by [1, 1, 1] : tensor<2x3x4xf32>
  %f = graph.broadcast %e [1, 2, 3] : tensor<2x3x4xf32> to tensor<1x2x3x4xf32>
  %g = graph.reshape %f : tensor<1x2x3x4xf32> to tensor<2x3x4xf32>
  return %g : tensor<2x3x4xf32>
}

// CHECK-LABEL: @transpose_of_ones
// CHECK-NEXT: graph.reshape %{{.*}} : tensor<2x1x4xf32> to tensor<1x2x4xf32>
func.func @transpose_of_ones(%x: tensor<2x1x4xf32>) -> tensor<1x2x4xf32> {
  %y = graph.transpose %x [1, 0, 2] : tensor<2x1x4xf32>
  return %y : tensor<1x2x4xf32>
}

// CHECK-LABEL: @slices
// CHECK-SAME: %[[X:.*]]: tensor<100xf32>
// CHECK-NEXT: %[[Y:.*]] = graph.slice %[[X]] [15] to [64] by [6] : tensor<100xf32>
// CHECK-NEXT: return %[[Y]] : tensor<9xf32>
func.func @slices(%x: tensor<100xf32>) -> tensor<9xf32> {
  %a = graph.slice %x [9] to [90] by [2] : tensor<100xf32>
  %b = graph.slice %a [3] to [30] by [3] : tensor<41xf32>
  return %b : tensor<9xf32>
}

// CHECK-LABEL: @slice_of_concat
// CHECK-SAME: %[[X:.*]]: tensor<2x4xf32>, %[[Y:.*]]: tensor<2x6xf32>
// CHECK-DAG: %[[A:.*]] = graph.slice %[[Y]] [0, 1] to [2, 5] by [1, 2]
// CHECK-DAG: %[[C:.*]] = graph.concat
// CHECK-DAG: %[[B:.*]] = graph.slice %[[C]] [0, 3] to [2, 6] by [1, 1]
// CHECK: return %[[X]], %[[A]], %[[B]]
func.func @slice_of_concat(%x: tensor<2x4xf32>, %y: tensor<2x6xf32>)
    -> (tensor<2x4xf32>, tensor<2x2xf32>, tensor<2x3xf32>) {
  %c = graph.concat %x, %y dim 1 : tensor<2x4xf32>, tensor<2x6xf32>
  %first = graph.slice %c [0, 0] to [2, 4] by [1, 1] : tensor<2x10xf32>
  %second = graph.slice %c [0, 5] to [2, 9] by [1, 2] : tensor<2x10xf32>
  %across = graph.slice %c [0, 3] to [2, 6] by [1, 1] : tensor<2x10xf32>
  return %first, %second, %across : tensor<2x4xf32>, tensor<2x2xf32>, tensor<2x3xf32>
}

// CHECK-LABEL: @converts
// CHECK-SAME: %[[I:.*]]: tensor<4xi32>, %[[X:.*]]: tensor<4xf32>
// CHECK-DAG: %[[A:.*]] = graph.convert %[[I]] : tensor<4xi32> to tensor<4xf32>
// CHECK-DAG: %[[N:.*]] = graph.convert %[[X]] : tensor<4xf32> to tensor<4xf16>
// CHECK-DAG: %[[B:.*]] = graph.convert %[[N]] : tensor<4xf16> to tensor<4xf32>
// CHECK: return %[[A]], %[[B]], %[[X]]
func.func @converts(%i: tensor<4xi32>, %x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %i64 = graph.convert %i : tensor<4xi32> to tensor<4xi64>
  %a = graph.convert %i64 : tensor<4xi64> to tensor<4xf32>
  %narrow = graph.convert %x : tensor<4xf32> to tensor<4xf16>
  %b = graph.convert %narrow : tensor<4xf16> to tensor<4xf32>
  %wide = graph.convert %x : tensor<4xf32> to tensor<4xf64>
  %c = graph.convert %wide : tensor<4xf64> to tensor<4xf32>
  return %a, %b, %c : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// CHECK-LABEL: @broadcasts_into_elementwise
// CHECK-SAME: %[[X:.*]]: tensor<2x3xf32>, %[[V:.*]]: tensor<3xf32>, %[[C:.*]]: tensor<2xf32>
// CHECK-DAG: %[[A:.*]] = graph.add %[[X]], %[[V]]
// CHECK-DAG: %[[COLUMN:.*]] = graph.reshape %[[C]] : tensor<2xf32> to tensor<2x1xf32>
// CHECK: graph.mul %[[A]], %[[COLUMN]]
func.func @broadcasts_into_elementwise(%x: tensor<2x3xf32>, %v: tensor<3xf32>, %c: tensor<2xf32>) -> tensor<2x3xf32> {
  %rows = graph.broadcast %v [1] : tensor<3xf32> to tensor<2x3xf32>
  %a = graph.add %x, %rows : tensor<2x3xf32>, tensor<2x3xf32>
  %columns = graph.broadcast %c [0] : tensor<2xf32> to tensor<2x3xf32>
  %y = graph.mul %a, %columns : tensor<2x3xf32>, tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}

// One broadcast must stay: nothing else gives the result its shape.
// CHECK-LABEL: @one_broadcast_stays
// CHECK-NEXT: graph.broadcast
// CHECK-NEXT: graph.add
// CHECK-NEXT: return
func.func @one_broadcast_stays(%v: tensor<3xf32>) -> tensor<2x3xf32> {
  %rows = graph.broadcast %v [1] : tensor<3xf32> to tensor<2x3xf32>
  %y = graph.add %rows, %v : tensor<2x3xf32>, tensor<3xf32>
  return %y : tensor<2x3xf32>
}

// CHECK-LABEL: @broadcast_of_unsqueeze
// CHECK-NEXT: graph.broadcast %{{.*}} [0, 1, 3] : tensor<2x4x8xf32> to tensor<2x4x3x8xf32>
func.func @broadcast_of_unsqueeze(%x: tensor<2x4x8xf32>) -> tensor<2x4x3x8xf32> {
  %u = graph.reshape %x : tensor<2x4x8xf32> to tensor<2x4x1x8xf32>
  %y = graph.broadcast %u [0, 1, 2, 3] : tensor<2x4x1x8xf32> to tensor<2x4x3x8xf32>
  return %y : tensor<2x4x3x8xf32>
}

// A flattening passes what does not see it: the MLP of a block keeps its three dimensions.
// CHECK-LABEL: @flattening
// CHECK-SAME: %[[X:.*]]: tensor<2x8x16xf32>, %[[W1:.*]]: tensor<16x64xf32>, %[[W2:.*]]: tensor<64x16xf32>, %[[B:.*]]: tensor<16xf32>, %[[C:.*]]: tensor<3xi64>
// CHECK-NEXT: %[[H:.*]] = graph.linear %[[X]], %[[W1]]
// CHECK-NEXT: %[[G:.*]] = graph.gelu tanh %[[H]]
// CHECK-NEXT: %[[Y:.*]] = graph.linear %[[G]], %[[W2]], %[[B]]
// CHECK-NEXT: %[[D:.*]] = graph.dropout %[[Y]], %[[C]]
// CHECK-NEXT: %[[R:.*]] = graph.add %[[D]], %[[X]]
// CHECK-NEXT: return %[[R]]
func.func @flattening(%x: tensor<2x8x16xf32>, %w1: tensor<16x64xf32>, %w2: tensor<64x16xf32>, %b: tensor<16xf32>,
                      %counter: tensor<3xi64>) -> tensor<2x8x16xf32> {
  %rows = graph.reshape %x : tensor<2x8x16xf32> to tensor<16x16xf32>
  %h = graph.linear %rows, %w1 : tensor<16x16xf32>, tensor<16x64xf32>
  %g = graph.gelu tanh %h : tensor<16x64xf32>
  %y = graph.linear %g, %w2 : tensor<16x64xf32>, tensor<64x16xf32>
  %yb = graph.add %y, %b : tensor<16x16xf32>, tensor<16xf32>
  %d = graph.dropout %yb, %counter p 0.1 id 3 : tensor<16x16xf32>, tensor<3xi64>
  %r = graph.add %d, %rows : tensor<16x16xf32>, tensor<16x16xf32>
  %z = graph.reshape %r : tensor<16x16xf32> to tensor<2x8x16xf32>
  return %z : tensor<2x8x16xf32>
}

// The loss sees rows of any number of dimensions: batch and sequence stay apart.
// CHECK-LABEL: @flattening_behind_the_loss
// CHECK-SAME: %[[X:.*]]: tensor<2x8x16xf32>, %[[T:.*]]: tensor<2x8xi64>
// CHECK-NEXT: %[[S:.*]], %{{.*}}, %{{.*}} = graph.cross_entropy %[[X]], %[[T]] ignore_index -100
// CHECK-NEXT: return %[[S]]
func.func @flattening_behind_the_loss(%x: tensor<2x8x16xf32>, %t: tensor<2x8xi64>) -> tensor<f32> {
  %rows = graph.reshape %x : tensor<2x8x16xf32> to tensor<16x16xf32>
  %target = graph.reshape %t : tensor<2x8xi64> to tensor<16xi64>
  %sum, %count, %lse = graph.cross_entropy %rows, %target ignore_index -100 : tensor<16x16xf32>, tensor<16xi64>
  return %sum : tensor<f32>
}

// Learned positions are read in order: rows 2, 3, 4 of the table.
// CHECK-LABEL: @consecutive_rows
// CHECK-SAME: %[[T:.*]]: tensor<8x4xf32>
// CHECK-DAG: %[[A:.*]] = graph.slice %[[T]] [2, 0] to [5, 4] by [1, 1]
// CHECK-DAG: %[[B:.*]] = graph.reshape %[[A]] : tensor<3x4xf32> to tensor<1x3x4xf32>
// CHECK-DAG: %[[ALL:.*]] = graph.reshape %[[T]] : tensor<8x4xf32> to tensor<1x8x4xf32>
// CHECK-DAG: %[[OUTSIDE:.*]] = graph.embedding
// CHECK: return %[[B]], %[[ALL]], %[[OUTSIDE]]
func.func @consecutive_rows(%table: tensor<8x4xf32>) -> (tensor<1x3x4xf32>, tensor<1x8x4xf32>, tensor<2x4xf32>) {
  %ids = graph.constant dense<[[2, 3, 4]]> : tensor<1x3xi64>
  %some = graph.embedding %table, %ids : tensor<8x4xf32>, tensor<1x3xi64>
  %count = graph.iota 1 : tensor<1x8xi64>
  %all = graph.embedding %table, %count : tensor<8x4xf32>, tensor<1x8xi64>
  %far = graph.constant dense<[7, 8]> : tensor<2xi64>
  %outside = graph.embedding %table, %far : tensor<8x4xf32>, tensor<2xi64>
  return %some, %all, %outside : tensor<1x3x4xf32>, tensor<1x8x4xf32>, tensor<2x4xf32>
}
