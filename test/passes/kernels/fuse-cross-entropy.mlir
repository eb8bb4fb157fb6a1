// RUN: ds-opt %s -split-input-file --fuse-cross-entropy | FileCheck %s

// The gradient comes with the loss, in the forward; what the number of rows is needed for is computed from the targets, of
// which the backward has a copy of its own.
// CHECK-LABEL: @micro_batch
// CHECK-SAME: %[[X:[a-z0-9]*]]: tensor<2x4x16xf32>
// CHECK: %[[T:.*]] = graph.slice {{.*}} {graph.phase = "forward"}
// CHECK: %[[NE:.*]] = graph.compare "ne" %[[T]], {{.*}} {graph.phase = "forward"}
// CHECK: %[[ONES:.*]] = graph.convert %[[NE]] {graph.phase = "forward"}
// CHECK: %[[COUNT:.*]] = graph.reduce_sum %[[ONES]] dims [0, 1] {graph.phase = "forward"}
// CHECK: %[[SHARE:.*]] = graph.div %{{.*}}, %[[COUNT]] {graph.phase = "forward"}
// CHECK: %[[D:.*]], %[[SUM:.*]] = graph.cross_entropy_with_grad %{{.*}}, %[[T]], %[[SHARE]] ignore_index -100 {graph.phase = "forward"} : tensor<2x4x96xf32>, tensor<2x4xi64>, tensor<f32>
// CHECK: graph.div %[[SUM]], %[[COUNT]]
// CHECK-NOT: cross_entropy
// CHECK: graph.matmul %[[D]], {{.*}} {graph.phase = "backward"}
module {
  func.func @micro_batch(%x: tensor<2x4x16xf32> {graph.input = "x"}, %w: tensor<96x16xf32> {graph.input = "w"},
                         %t: tensor<2x5xi64> {graph.input = "t"})
      -> (tensor<f32> {graph.metric = "loss"}, tensor<f32> {graph.metric = "x"}) {
    %one = graph.constant {graph.phase = "backward"} dense<1.0> : tensor<f32>
    %logits = graph.linear %x, %w transpose_weight {graph.phase = "forward"} : tensor<2x4x16xf32>, tensor<96x16xf32>
    %target = graph.slice %t [0, 1] to [2, 5] by [1, 1] {graph.phase = "forward"} : tensor<2x5xi64>
    %sum, %count, %lse = graph.cross_entropy %logits, %target ignore_index -100 {graph.phase = "forward"} : tensor<2x4x96xf32>, tensor<2x4xi64>
    %loss = graph.div %sum, %count {graph.phase = "forward"} : tensor<f32>, tensor<f32>
    %share = graph.div %one, %count {graph.phase = "backward"} : tensor<f32>, tensor<f32>
    %again = graph.slice %t [0, 1] to [2, 5] by [1, 1] {graph.phase = "backward"} : tensor<2x5xi64>
    %d = graph.cross_entropy_grad %logits, %again, %lse, %share ignore_index -100 {graph.phase = "backward"} : tensor<2x4x96xf32>, tensor<2x4xi64>, tensor<2x4xf32>, tensor<f32>
    %dx = graph.matmul %d, %w batch [] x [] contract [2] x [0] {graph.phase = "backward"} : tensor<2x4x96xf32>, tensor<96x16xf32>
    %mx = graph.reduce_max %dx dims [0, 1, 2] {graph.phase = "backward"} : tensor<2x4x16xf32>
    return %loss, %mx : tensor<f32>, tensor<f32>
  }
}

// -----

// Of a chunk of rows it is the chunk's.
// CHECK-LABEL: @chunk
// CHECK: graph.cross_entropy_with_grad {{.*}} {graph.chunk = 3 : i64, graph.phase = "backward"}
func.func @chunk(%x: tensor<4x96xf32>, %t: tensor<4xi64>, %d: tensor<f32>) -> (tensor<f32>, tensor<4x96xf32>) {
  %sum, %count, %lse = graph.cross_entropy %x, %t ignore_index -100 {graph.chunk = 3 : i64, graph.phase = "backward"} : tensor<4x96xf32>, tensor<4xi64>
  %g = graph.cross_entropy_grad %x, %t, %lse, %d ignore_index -100 {graph.chunk = 3 : i64, graph.phase = "backward"} : tensor<4x96xf32>, tensor<4xi64>, tensor<4xf32>, tensor<f32>
  return %sum, %g : tensor<f32>, tensor<4x96xf32>
}

// -----

// The mask of a padded vocabulary, of which the forward has made the condition, follows the gradient.
// CHECK-LABEL: @mask
// CHECK: graph.constant {graph.phase = "forward"} dense<0.0
// CHECK: %[[G:.*]], %{{.*}} = graph.cross_entropy_with_grad {{.*}} {graph.phase = "forward"}
// CHECK-NEXT: graph.select %{{.*}}, %[[G]], %{{.*}} {graph.phase = "forward"}
// CHECK-NEXT: graph.exp {{.*}} {graph.phase = "backward"}
// CHECK-NEXT: graph.reduce_sum {{.*}} {graph.phase = "backward"}
func.func @mask(%x: tensor<4x96xf32>, %t: tensor<4xi64>, %d: tensor<f32>, %is: tensor<1x96xi1>) -> (tensor<f32>, tensor<f32>, tensor<4xf32>) {
  %sum, %count, %lse = graph.cross_entropy %x, %t ignore_index -100 {graph.phase = "forward"} : tensor<4x96xf32>, tensor<4xi64>
  %e = graph.exp %d {graph.phase = "backward"} : tensor<f32>
  %g = graph.cross_entropy_grad %x, %t, %lse, %d ignore_index -100 {graph.phase = "backward"} : tensor<4x96xf32>, tensor<4xi64>, tensor<4xf32>, tensor<f32>
  %zero = graph.constant {graph.phase = "backward"} dense<0.0> : tensor<f32>
  %m = graph.select %is, %g, %zero {graph.phase = "backward"} : tensor<1x96xi1>, tensor<4x96xf32>, tensor<f32>
  %r = graph.reduce_sum %m dims [1] {graph.phase = "backward"} : tensor<4x96xf32>
  return %sum, %e, %r : tensor<f32>, tensor<f32>, tensor<4xf32>
}

// -----

// A gradient that is scaled by something of the loss waits for it.
// CHECK-LABEL: @scaled_by_the_loss
// CHECK-NOT: with_grad
func.func @scaled_by_the_loss(%x: tensor<4x96xf32>, %t: tensor<4xi64>) -> (tensor<f32>, tensor<4x96xf32>) {
  %sum, %count, %lse = graph.cross_entropy %x, %t ignore_index -100 : tensor<4x96xf32>, tensor<4xi64>
  %loss = graph.div %sum, %count : tensor<f32>, tensor<f32>
  %slope = graph.exp %loss : tensor<f32>
  %g = graph.cross_entropy_grad %x, %t, %lse, %slope ignore_index -100 : tensor<4x96xf32>, tensor<4xi64>, tensor<4xf32>, tensor<f32>
  return %sum, %g : tensor<f32>, tensor<4x96xf32>
}

// -----

// So it is with a second reader of lse, other logits, another target, another index that is ignored.
// CHECK-LABEL: @lse_is_read
// CHECK-NOT: with_grad
func.func @lse_is_read(%x: tensor<4x96xf32>, %t: tensor<4xi64>, %d: tensor<f32>) -> (tensor<f32>, tensor<4x96xf32>, tensor<4xf32>) {
  %sum, %count, %lse = graph.cross_entropy %x, %t ignore_index -100 : tensor<4x96xf32>, tensor<4xi64>
  %g = graph.cross_entropy_grad %x, %t, %lse, %d ignore_index -100 : tensor<4x96xf32>, tensor<4xi64>, tensor<4xf32>, tensor<f32>
  return %sum, %g, %lse : tensor<f32>, tensor<4x96xf32>, tensor<4xf32>
}

// -----

// CHECK-LABEL: @other_logits
// CHECK-NOT: with_grad
func.func @other_logits(%x: tensor<4x96xf32>, %y: tensor<4x96xf32>, %t: tensor<4xi64>, %d: tensor<f32>) -> (tensor<f32>, tensor<4x96xf32>) {
  %sum, %count, %lse = graph.cross_entropy %x, %t ignore_index -100 : tensor<4x96xf32>, tensor<4xi64>
  %g = graph.cross_entropy_grad %y, %t, %lse, %d ignore_index -100 : tensor<4x96xf32>, tensor<4xi64>, tensor<4xf32>, tensor<f32>
  return %sum, %g : tensor<f32>, tensor<4x96xf32>
}

// -----

// CHECK-LABEL: @other_target
// CHECK-NOT: with_grad
func.func @other_target(%x: tensor<4x96xf32>, %t: tensor<2x4xi64>, %d: tensor<f32>) -> (tensor<f32>, tensor<4x96xf32>) {
  %first = graph.slice %t [0, 0] to [1, 4] by [1, 1] : tensor<2x4xi64>
  %a = graph.reshape %first : tensor<1x4xi64> to tensor<4xi64>
  %second = graph.slice %t [1, 0] to [2, 4] by [1, 1] : tensor<2x4xi64>
  %b = graph.reshape %second : tensor<1x4xi64> to tensor<4xi64>
  %sum, %count, %lse = graph.cross_entropy %x, %a ignore_index -100 : tensor<4x96xf32>, tensor<4xi64>
  %g = graph.cross_entropy_grad %x, %b, %lse, %d ignore_index -100 : tensor<4x96xf32>, tensor<4xi64>, tensor<4xf32>, tensor<f32>
  return %sum, %g : tensor<f32>, tensor<4x96xf32>
}

// -----

// CHECK-LABEL: @other_index
// CHECK-NOT: with_grad
func.func @other_index(%x: tensor<4x96xf32>, %t: tensor<4xi64>, %d: tensor<f32>) -> (tensor<f32>, tensor<4x96xf32>) {
  %sum, %count, %lse = graph.cross_entropy %x, %t ignore_index -100 : tensor<4x96xf32>, tensor<4xi64>
  %g = graph.cross_entropy_grad %x, %t, %lse, %d ignore_index -1 : tensor<4x96xf32>, tensor<4xi64>, tensor<4xf32>, tensor<f32>
  return %sum, %g : tensor<f32>, tensor<4x96xf32>
}
