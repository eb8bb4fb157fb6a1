// RUN: ds-opt %s -split-input-file --choose-kernels --fuse-accumulation | FileCheck %s

// The gradient of a weight is added to those of the micro-batches before by the kernel of the product, where the
// product stood.

// CHECK-LABEL: func.func @gradient
// CHECK: %[[DW:.*]] = graph.matmul %arg1, %arg2 {{.*}} {graph.phase = "backward"}
// CHECK-NEXT: %[[SUM:.*]] = graph.add %arg0, %[[DW]] {graph.phase = "backward", graph.provider = "onednn"}
// CHECK-NEXT: graph.exp
// CHECK: return %[[SUM]]
func.func @gradient(%sum: tensor<8x4xf32>, %x: tensor<6x8xf32>, %dy: tensor<6x4xf32>) -> (tensor<8x4xf32>, tensor<6x4xf32>) {
  %dw = graph.matmul %x, %dy batch [] x [] contract [0] x [0] {graph.phase = "backward"} : tensor<6x8xf32>, tensor<6x4xf32>
  %other = graph.exp %dy {graph.phase = "backward"} : tensor<6x4xf32>
  %new = graph.add %sum, %dw {graph.phase = "backward"} : tensor<8x4xf32>, tensor<8x4xf32>
  return %new, %other : tensor<8x4xf32>, tensor<6x4xf32>
}

// -----

// A table that is embedding and head: rows of the embedding's gradient go into the head's. Which operand of the sum is
// the product does not matter.

// CHECK-LABEL: func.func @tied
// CHECK: %[[HEAD:.*]] = graph.matmul {{.*}}graph.provider = "onednn"
// CHECK: %[[ROWS:.*]] = graph.embedding_grad {{.*}} {graph.phase = "backward"}
// CHECK-NEXT: graph.add %[[ROWS]], %[[HEAD]] {graph.phase = "backward", graph.provider = "reference"}
func.func @tied(%ids: tensor<6xi64>, %x: tensor<6x4xf32>, %dy: tensor<6x8xf32>) -> tensor<8x4xf32> {
  %head = graph.matmul %dy, %x batch [] x [] contract [0] x [0] {graph.phase = "backward"} : tensor<6x8xf32>, tensor<6x4xf32>
  %rows = graph.embedding_grad %x, %ids rows 8 {graph.phase = "backward"} : tensor<6x4xf32>, tensor<6xi64>
  %sum = graph.add %rows, %head {graph.phase = "backward"} : tensor<8x4xf32>, tensor<8x4xf32>
  return %sum : tensor<8x4xf32>
}

// -----

// Products of bf16 are added to f32 sums, not to bf16 ones.

// CHECK-LABEL: func.func @bf16
// CHECK: graph.matmul {{.*}} {graph.phase = "backward"}
// CHECK-NEXT: graph.add {{.*}}graph.provider = "onednn"
func.func @bf16(%sum: tensor<8x4xf32>, %x: tensor<6x8xbf16>, %dy: tensor<6x4xbf16>) -> tensor<8x4xf32> {
  %dw = graph.matmul %x, %dy batch [] x [] contract [0] x [0] in f32 {graph.phase = "backward"} : tensor<6x8xbf16>, tensor<6x4xbf16>
  %new = graph.add %sum, %dw {graph.phase = "backward"} : tensor<8x4xf32>, tensor<8x4xf32>
  return %new : tensor<8x4xf32>
}

// -----

// Not in the forward; not to a sum that is read again; not to one that comes later; not where the product is read
// elsewhere; not by a kernel that does not accumulate (reference, f64).

// CHECK-LABEL: func.func @not
// CHECK-COUNT-4: graph.matmul {{.*}}graph.provider = "onednn"
// CHECK: graph.matmul {{.*}}graph.provider = "reference"
// CHECK-COUNT-4: graph.add {{.*}}graph.provider = "generated"
// CHECK: graph.add {{.*}}graph.provider = "reference"
func.func @not(%sum: tensor<8x4xf32>, %x: tensor<6x8xf32>, %dy: tensor<6x4xf32>, %read: tensor<8x4xf32>,
               %a: tensor<8x4xf32>, %sum64: tensor<8x4xf64>, %x64: tensor<6x8xf64>, %dy64: tensor<6x4xf64>)
    -> (tensor<8x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<8x4xf64>, tensor<8x4xf32>) {
  %0 = graph.matmul %x, %dy batch [] x [] contract [0] x [0] {graph.phase = "forward"} : tensor<6x8xf32>, tensor<6x4xf32>
  %1 = graph.matmul %x, %dy batch [] x [] contract [0] x [0] {graph.phase = "backward"} : tensor<6x8xf32>, tensor<6x4xf32>
  %2 = graph.matmul %x, %dy batch [] x [] contract [0] x [0] {graph.phase = "backward"} : tensor<6x8xf32>, tensor<6x4xf32>
  %late = graph.exp %a {graph.phase = "backward"} : tensor<8x4xf32>
  %3 = graph.matmul %x, %dy batch [] x [] contract [0] x [0] {graph.phase = "backward"} : tensor<6x8xf32>, tensor<6x4xf32>
  %4 = graph.matmul %x64, %dy64 batch [] x [] contract [0] x [0] {graph.phase = "backward"} : tensor<6x8xf64>, tensor<6x4xf64>
  %s0 = graph.add %sum, %0 {graph.phase = "forward"} : tensor<8x4xf32>, tensor<8x4xf32>
  %s1 = graph.add %read, %1 {graph.phase = "backward"} : tensor<8x4xf32>, tensor<8x4xf32>
  %s2 = graph.add %2, %late {graph.phase = "backward"} : tensor<8x4xf32>, tensor<8x4xf32>
  %s3 = graph.add %3, %read {graph.phase = "backward"} : tensor<8x4xf32>, tensor<8x4xf32>
  %s4 = graph.add %sum64, %4 {graph.phase = "backward"} : tensor<8x4xf64>, tensor<8x4xf64>
  return %s0, %s1, %s2, %s3, %s4, %3 : tensor<8x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<8x4xf64>, tensor<8x4xf32>
}

// -----

// Two products and the sum of the micro-batches before: no product exists by itself.

// CHECK-LABEL: func.func @tied_accumulated
// CHECK: %[[HEAD:.*]] = graph.matmul {{.*}} {graph.phase = "backward"}
// CHECK-NEXT: %[[FIRST:.*]] = graph.add %arg0, %[[HEAD]] {graph.phase = "backward", graph.provider = "onednn"}
// CHECK-NEXT: %[[ROWS:.*]] = graph.embedding_grad {{.*}} {graph.phase = "backward"}
// CHECK-NEXT: %[[SUM:.*]] = graph.add %[[FIRST]], %[[ROWS]] {graph.phase = "backward", graph.provider = "reference"}
// CHECK-NEXT: return %[[SUM]]
func.func @tied_accumulated(%sum: tensor<8x4xf32>, %ids: tensor<6xi64>, %x: tensor<6x4xf32>, %dy: tensor<6x8xf32>) -> tensor<8x4xf32> {
  %head = graph.matmul %dy, %x batch [] x [] contract [0] x [0] {graph.phase = "backward"} : tensor<6x8xf32>, tensor<6x4xf32>
  %rows = graph.embedding_grad %x, %ids rows 8 {graph.phase = "backward"} : tensor<6x4xf32>, tensor<6xi64>
  %both = graph.add %head, %rows {graph.phase = "backward"} : tensor<8x4xf32>, tensor<8x4xf32>
  %new = graph.add %sum, %both {graph.phase = "backward"} : tensor<8x4xf32>, tensor<8x4xf32>
  return %new : tensor<8x4xf32>
}

// -----

// Not what else is computed in the backward: the forward's sum, computed again, is read by a product.

// CHECK-LABEL: func.func @recomputed
// CHECK: graph.linear {{.*}}graph.provider = "onednn"
// CHECK: graph.add {{.*}}graph.provider = "generated"
func.func @recomputed(%x: tensor<6x4xf32>, %h: tensor<6x8xf32>, %w: tensor<8x4xf32>, %dy: tensor<6x4xf32>) -> tensor<4x4xf32> {
  %p = graph.linear %h, %w {graph.phase = "backward"} : tensor<6x8xf32>, tensor<8x4xf32>
  %y = graph.add %x, %p {graph.phase = "backward"} : tensor<6x4xf32>, tensor<6x4xf32>
  %dw = graph.matmul %y, %dy batch [] x [] contract [0] x [0] {graph.phase = "backward"} : tensor<6x4xf32>, tensor<6x4xf32>
  return %dw : tensor<4x4xf32>
}
