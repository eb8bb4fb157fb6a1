// RUN: ds-opt %s --pass-pipeline='builtin.module(func.func(split-elementwise))' | FileCheck %s
// RUN: ds-opt %s --pass-pipeline='builtin.module(func.func(join-pads,split-elementwise),choose-kernels,cse,fuse-kernels)' | FileCheck %s --check-prefix=FUSED

// The rotary embedding: halves of the query and of the tables give halves of the result, in one kernel; nothing of the
// whole size but the result.

// CHECK-LABEL: @rotary
// CHECK-SAME: (%[[X:.*]]: tensor<2x4x8xf32>, %[[COS:.*]]: tensor<4x8xf32>, %[[SIN:.*]]: tensor<4x8xf32>)
// CHECK-DAG: %[[LOW:.*]] = graph.slice %[[X]] [0, 0, 0] to [2, 4, 4]
// CHECK-DAG: %[[HIGH:.*]] = graph.slice %[[X]] [0, 0, 4] to [2, 4, 8]
// CHECK-DAG: %[[NEG:.*]] = graph.neg %[[HIGH]]
// CHECK-DAG: %[[SL:.*]] = graph.slice %[[SIN]] [0, 0] to [4, 4]
// CHECK-DAG: %[[A:.*]] = graph.mul %[[NEG]], %[[SL]] {graph.phase = "forward"} : tensor<2x4x4xf32>, tensor<4x4xf32>
// CHECK-DAG: %[[SH:.*]] = graph.slice %[[SIN]] [0, 4] to [4, 8]
// CHECK-DAG: %[[B:.*]] = graph.mul %[[LOW]], %[[SH]]
// CHECK-NOT: tensor<2x4x8xf32>, tensor<4x8xf32>
// CHECK: %[[Y:.*]] = graph.concat %{{.*}}, %{{.*}} dim 2 {graph.phase = "forward"} : tensor<2x4x4xf32>, tensor<2x4x4xf32>
// CHECK-NEXT: return %[[Y]]

// FUSED-LABEL: @rotary
// FUSED: %[[R:.*]]:2 = call @[[KERNEL:.*]](%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {{.*}} -> (tensor<2x4x4xf32>, tensor<2x4x4xf32>)
// FUSED-NEXT: %[[Y:.*]] = graph.concat %[[R]]#{{[01]}}, %[[R]]#{{[01]}} dim 2
// FUSED-NEXT: return %[[Y]]
func.func @rotary(%x: tensor<2x4x8xf32>, %cos: tensor<4x8xf32>, %sin: tensor<4x8xf32>) -> tensor<2x4x8xf32> {
  %low = graph.slice %x [0, 0, 0] to [2, 4, 4] by [1, 1, 1] {graph.phase = "forward"} : tensor<2x4x8xf32>
  %high = graph.slice %x [0, 0, 4] to [2, 4, 8] by [1, 1, 1] {graph.phase = "forward"} : tensor<2x4x8xf32>
  %neg = graph.neg %high {graph.phase = "forward"} : tensor<2x4x4xf32>
  %rotated = graph.concat %neg, %low dim 2 {graph.phase = "forward"} : tensor<2x4x4xf32>, tensor<2x4x4xf32>
  %a = graph.mul %x, %cos {graph.phase = "forward"} : tensor<2x4x8xf32>, tensor<4x8xf32>
  %b = graph.mul %rotated, %sin {graph.phase = "forward"} : tensor<2x4x8xf32>, tensor<4x8xf32>
  %y = graph.add %a, %b {graph.phase = "forward"} : tensor<2x4x8xf32>, tensor<2x4x8xf32>
  return %y : tensor<2x4x8xf32>
}

// Its gradient, as it is derived from that: the same.

// CHECK-LABEL: @rotary_grad
// FUSED-LABEL: @rotary_grad
// FUSED-NOT: graph.pad
// FUSED: %[[R:.*]]:2 = call @{{.*}}(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {{.*}} -> (tensor<2x4x4xf32>, tensor<2x4x4xf32>)
// FUSED-NEXT: %[[Y:.*]] = graph.concat %[[R]]#{{[01]}}, %[[R]]#{{[01]}} dim 2
// FUSED-NEXT: return %[[Y]]
func.func @rotary_grad(%dy: tensor<2x4x8xf32>, %cos: tensor<4x8xf32>, %sin: tensor<4x8xf32>) -> tensor<2x4x8xf32> {
  %zero = graph.constant dense<0.0> : tensor<f32>
  %b = graph.mul %dy, %sin {graph.phase = "backward"} : tensor<2x4x8xf32>, tensor<4x8xf32>
  %a = graph.mul %dy, %cos {graph.phase = "backward"} : tensor<2x4x8xf32>, tensor<4x8xf32>
  %dneg = graph.slice %b [0, 0, 0] to [2, 4, 4] by [1, 1, 1] {graph.phase = "backward"} : tensor<2x4x8xf32>
  %dlow = graph.slice %b [0, 0, 4] to [2, 4, 8] by [1, 1, 1] {graph.phase = "backward"} : tensor<2x4x8xf32>
  %dhigh = graph.neg %dneg {graph.phase = "backward"} : tensor<2x4x4xf32>
  %p = graph.pad %dhigh, %zero low [0, 0, 4] high [0, 0, 0] interior [0, 0, 0] {graph.phase = "backward"} : tensor<2x4x4xf32>, tensor<f32>
  %s = graph.add %a, %p {graph.phase = "backward"} : tensor<2x4x8xf32>, tensor<2x4x8xf32>
  %q = graph.pad %dlow, %zero low [0, 0, 0] high [0, 0, 4] interior [0, 0, 0] {graph.phase = "backward"} : tensor<2x4x4xf32>, tensor<f32>
  %t = graph.add %s, %q {graph.phase = "backward"} : tensor<2x4x8xf32>, tensor<2x4x8xf32>
  return %t : tensor<2x4x8xf32>
}

// Parts of operands that repeat along the dimension, of constants and of other concatenations of the same parts.

// CHECK-LABEL: @operands
// CHECK-SAME: (%[[A:.*]]: tensor<3x2xf32>, %[[B:.*]]: tensor<3x1xf32>, %[[C:.*]]: tensor<3x2xf32>, %[[D:.*]]: tensor<3x1xf32>, %[[ROW:.*]]: tensor<3x1xf32>)
// CHECK-DAG: %[[TWO:.*]] = graph.constant dense<2.000000e+00> : tensor<3x2xf32>
// CHECK-DAG: %[[ONE:.*]] = graph.constant dense<2.000000e+00> : tensor<3x1xf32>
// CHECK-DAG: %[[S:.*]] = graph.add %[[A]], %[[C]]
// CHECK-DAG: %[[T:.*]] = graph.add %[[B]], %[[D]]
// CHECK-DAG: %[[U:.*]] = graph.mul %[[S]], %[[ROW]]
// CHECK-DAG: %[[V:.*]] = graph.mul %[[T]], %[[ROW]]
// CHECK-DAG: %[[W:.*]] = graph.sub %[[U]], %[[TWO]]
// CHECK-DAG: %[[X:.*]] = graph.sub %[[V]], %[[ONE]]
// CHECK: %[[Y:.*]] = graph.concat %[[W]], %[[X]] dim 1
// CHECK-NEXT: return %[[Y]]
func.func @operands(%a: tensor<3x2xf32>, %b: tensor<3x1xf32>, %c: tensor<3x2xf32>, %d: tensor<3x1xf32>, %row: tensor<3x1xf32>)
    -> tensor<3x3xf32> {
  %two = graph.constant dense<2.0> : tensor<3x3xf32>
  %0 = graph.concat %a, %b dim 1 : tensor<3x2xf32>, tensor<3x1xf32>
  %1 = graph.concat %c, %d dim 1 : tensor<3x2xf32>, tensor<3x1xf32>
  %2 = graph.add %0, %1 : tensor<3x3xf32>, tensor<3x3xf32>
  %3 = graph.mul %2, %row : tensor<3x3xf32>, tensor<3x1xf32>
  %4 = graph.sub %3, %two : tensor<3x3xf32>, tensor<3x3xf32>
  return %4 : tensor<3x3xf32>
}

// It stays where something else reads the whole, and where the concatenation itself is repeated.

// CHECK-LABEL: @stays
// CHECK: %[[J:.*]] = graph.concat
// CHECK-NEXT: graph.exp %[[J]]
// CHECK-NEXT: graph.reduce_sum %[[J]]
// CHECK-NEXT: %[[K:.*]] = graph.concat
// CHECK-NEXT: graph.add %{{.*}}, %[[K]]
func.func @stays(%a: tensor<3x2xf32>, %b: tensor<3x1xf32>, %c: tensor<1x2xf32>, %d: tensor<1x1xf32>)
    -> (tensor<3x3xf32>, tensor<3xf32>, tensor<3x3xf32>) {
  %0 = graph.concat %a, %b dim 1 : tensor<3x2xf32>, tensor<3x1xf32>
  %1 = graph.exp %0 : tensor<3x3xf32>
  %2 = graph.reduce_sum %0 dims [1] : tensor<3x3xf32>
  %3 = graph.concat %c, %d dim 1 : tensor<1x2xf32>, tensor<1x1xf32>
  %4 = graph.add %1, %3 : tensor<3x3xf32>, tensor<1x3xf32>
  return %1, %2, %4 : tensor<3x3xf32>, tensor<3xf32>, tensor<3x3xf32>
}

// Slices are not taken in front where a product reads them, nor where the op would be computed twice.

// CHECK-LABEL: @slices
// CHECK: %[[E:.*]] = graph.exp %arg0
// CHECK: graph.slice %[[E]]
// CHECK: %[[F:.*]] = graph.sqrt %arg0
// CHECK: graph.slice %[[F]]
// CHECK: graph.slice %[[F]]
func.func @slices(%x: tensor<4x8xf32>, %w: tensor<4x2xf32>) -> (tensor<4x2xf32>, tensor<4x6xf32>, tensor<4x6xf32>) {
  %0 = graph.exp %x : tensor<4x8xf32>
  %1 = graph.slice %0 [0, 0] to [4, 4] by [1, 1] : tensor<4x8xf32>
  %2 = graph.matmul %1, %w batch [] x [] contract [1] x [0] : tensor<4x4xf32>, tensor<4x2xf32>
  %3 = graph.sqrt %x : tensor<4x8xf32>
  %4 = graph.slice %3 [0, 0] to [4, 6] by [1, 1] : tensor<4x8xf32>
  %5 = graph.slice %3 [0, 2] to [4, 8] by [1, 1] : tensor<4x8xf32>
  %6 = graph.neg %4 : tensor<4x6xf32>
  %7 = graph.neg %5 : tensor<4x6xf32>
  return %2, %6, %7 : tensor<4x2xf32>, tensor<4x6xf32>, tensor<4x6xf32>
}

// Rows behind rows are computed where they belong.
// CHECK-LABEL: @rows
// CHECK-NEXT: graph.concat %arg0, %arg1 dim 1
// CHECK-NEXT: graph.neg
func.func @rows(%a: tensor<1x2x4xf32>, %b: tensor<1x3x4xf32>) -> tensor<1x5x4xf32> {
  %0 = graph.concat %a, %b dim 1 : tensor<1x2x4xf32>, tensor<1x3x4xf32>
  %1 = graph.neg %0 : tensor<1x5x4xf32>
  return %1 : tensor<1x5x4xf32>
}
