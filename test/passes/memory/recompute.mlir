// RUN: ds-opt %s -split-input-file --pass-pipeline='builtin.module(func.func(recompute),cse)' | FileCheck %s
// RUN: ds-opt %s -split-input-file --pass-pipeline='builtin.module(func.func(recompute))' | FileCheck %s

// An activation: what it reads is kept, the product of it is not computed again. CSE finds nothing to merge.

// CHECK-LABEL: func @activation
func.func @activation(%x: tensor<2x4xf32>, %w: tensor<4x8xf32>, %v: tensor<8x3xf32>, %dz: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<8x3xf32>) {
  // CHECK: [[H:%.*]] = graph.linear
  %h = graph.linear %x, %w {graph.phase = "forward"} : tensor<2x4xf32>, tensor<4x8xf32>
  // CHECK-NEXT: [[Y:%.*]] = graph.exp [[H]] {graph.phase = "forward"}
  %y = graph.exp %h {graph.phase = "forward", graph.recompute = "selective"} : tensor<2x8xf32>
  // CHECK-NEXT: graph.linear [[Y]]
  %z = graph.linear %y, %v {graph.phase = "forward"} : tensor<2x8xf32>, tensor<8x3xf32>
  // CHECK-NEXT: [[DZ:%.*]] = graph.neg
  %n = graph.neg %dz {graph.phase = "backward"} : tensor<2x3xf32>
  // CHECK-NEXT: [[AGAIN:%.*]] = graph.exp [[H]] {graph.phase = "backward"}
  // CHECK-NEXT: graph.matmul [[AGAIN]], [[DZ]]
  %dv = graph.matmul %y, %n batch [] x [] contract [0] x [0] {graph.phase = "backward"} : tensor<2x8xf32>, tensor<2x3xf32>
  // CHECK-NEXT: return
  return %z, %dv : tensor<2x3xf32>, tensor<8x3xf32>
}

// -----

// Two blocks of which only the inputs are kept: each is computed again where its backward begins, the second one first, in
// the order of the forward; the results at the ends of blocks are not. Dropout has the same id and counter. A value that two
// backward ops read is computed once.

// CHECK-LABEL: func @blocks
// CHECK-SAME: ([[X:%.*]]: tensor<2x4xf32>, [[W:%.*]]: tensor<4x4xf32>, [[DY:%.*]]: tensor<2x4xf32>, [[COUNTER:%.*]]: tensor<3xi64>
func.func @blocks(%x: tensor<2x4xf32>, %w: tensor<4x4xf32>, %dy: tensor<2x4xf32>, %counter: tensor<3xi64> {graph.run_state = "random_counter"})
    -> (tensor<2x4xf32>, tensor<2x4xf32>) {
  // CHECK-NEXT: graph.linear [[X]], [[W]] {graph.phase = "forward"}
  // CHECK-NEXT: graph.dropout {{.*}}id 1 {{.*}}"forward"
  // CHECK-NEXT: [[Y:%.*]] = graph.add {{.*}}"forward"
  %a1 = graph.linear %x, %w {graph.phase = "forward", graph.recompute = "full"} : tensor<2x4xf32>, tensor<4x4xf32>
  %b1 = graph.dropout %a1, %counter p 1.0e-01 id 1 {graph.phase = "forward", graph.recompute = "full"} : tensor<2x4xf32>, tensor<3xi64>
  %y = graph.add %x, %b1 {graph.phase = "forward"} : tensor<2x4xf32>, tensor<2x4xf32>
  // CHECK-NEXT: graph.linear [[Y]], [[W]] {graph.phase = "forward"}
  // CHECK-NEXT: graph.dropout {{.*}}id 2 {{.*}}"forward"
  // CHECK-NEXT: [[Z:%.*]] = graph.add {{.*}}"forward"
  %a2 = graph.linear %y, %w {graph.phase = "forward", graph.recompute = "full"} : tensor<2x4xf32>, tensor<4x4xf32>
  %b2 = graph.dropout %a2, %counter p 1.0e-01 id 2 {graph.phase = "forward", graph.recompute = "full"} : tensor<2x4xf32>, tensor<3xi64>
  %z = graph.add %y, %b2 {graph.phase = "forward"} : tensor<2x4xf32>, tensor<2x4xf32>
  // CHECK-NEXT: [[A2:%.*]] = graph.linear [[Y]], [[W]] {graph.phase = "backward"}
  // CHECK-NEXT: [[B2:%.*]] = graph.dropout [[A2]], [[COUNTER]] p {{.*}} id 2 {{.*}}"backward"
  // CHECK-NEXT: [[D2:%.*]] = graph.mul [[DY]], [[B2]]
  // CHECK-NEXT: [[E2:%.*]] = graph.mul [[D2]], [[A2]]
  %d2 = graph.mul %dy, %b2 {graph.phase = "backward"} : tensor<2x4xf32>, tensor<2x4xf32>
  %e2 = graph.mul %d2, %a2 {graph.phase = "backward"} : tensor<2x4xf32>, tensor<2x4xf32>
  // CHECK-NEXT: [[A1:%.*]] = graph.linear [[X]], [[W]] {graph.phase = "backward"}
  // CHECK-NEXT: [[B1:%.*]] = graph.dropout [[A1]], [[COUNTER]] p {{.*}} id 1 {{.*}}"backward"
  // CHECK-NEXT: [[D1:%.*]] = graph.mul [[E2]], [[B1]]
  %d1 = graph.mul %e2, %b1 {graph.phase = "backward"} : tensor<2x4xf32>, tensor<2x4xf32>
  // CHECK-NEXT: return [[Z]], [[D1]]
  return %z, %d1 : tensor<2x4xf32>, tensor<2x4xf32>
}

// -----

// What only the backward reads is computed only there; results without a reader are left alone.

// CHECK-LABEL: func @only_for_the_backward
func.func @only_for_the_backward(%x: tensor<4xf32>, %dy: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  // CHECK-NEXT: [[Y:%.*]] = graph.sin {{.*}}"forward"
  // CHECK-NEXT: [[C:%.*]] = graph.cos {{.*}}"backward"
  // CHECK-NEXT: graph.mul {{.*}}, [[C]]
  // CHECK-NEXT: return
  %y = graph.sin %x {graph.phase = "forward", graph.recompute = "full"} : tensor<4xf32>
  %c = graph.cos %x {graph.phase = "forward", graph.recompute = "full"} : tensor<4xf32>
  %dx = graph.mul %dy, %c {graph.phase = "backward"} : tensor<4xf32>, tensor<4xf32>
  return %y, %dx : tensor<4xf32>, tensor<4xf32>
}
