// RUN: ds-opt %s --pass-pipeline='builtin.module(func.func(join-pads))' | FileCheck %s

// CHECK-LABEL: @three_slices
// CHECK-SAME: (%[[A:.*]]: tensor<2x3xf32>, %[[B:.*]]: tensor<2x4xf32>, %[[C:.*]]: tensor<2x1xf32>)
// CHECK-NOT: graph.pad
// CHECK: %[[JOINED:.*]] = graph.concat %[[A]], %[[B]], %[[C]] dim 1 {graph.phase = "backward"}
// CHECK-NEXT: return %[[JOINED]]
func.func @three_slices(%a: tensor<2x3xf32>, %b: tensor<2x4xf32>, %c: tensor<2x1xf32>) -> tensor<2x8xf32> {
  %zero = graph.constant dense<0.0> : tensor<f32>
  %0 = graph.pad %c, %zero low [0, 7] high [0, 0] interior [0, 0] : tensor<2x1xf32>, tensor<f32>
  %1 = graph.pad %b, %zero low [0, 3] high [0, 1] interior [0, 0] : tensor<2x4xf32>, tensor<f32>
  %2 = graph.add %0, %1 {graph.phase = "backward"} : tensor<2x8xf32>, tensor<2x8xf32>
  %3 = graph.pad %a, %zero low [0, 0] high [0, 5] interior [0, 0] : tensor<2x3xf32>, tensor<f32>
  %4 = graph.add %2, %3 {graph.phase = "backward"} : tensor<2x8xf32>, tensor<2x8xf32>
  return %4 : tensor<2x8xf32>
}

// Overlap, a gap, another number than 0, a sum that is read elsewhere: the sum stays.
// CHECK-LABEL: @overlap
// CHECK: graph.add
func.func @overlap(%a: tensor<5xf32>, %b: tensor<4xf32>) -> tensor<8xf32> {
  %zero = graph.constant dense<0.0> : tensor<f32>
  %0 = graph.pad %a, %zero low [0] high [3] interior [0] : tensor<5xf32>, tensor<f32>
  %1 = graph.pad %b, %zero low [4] high [0] interior [0] : tensor<4xf32>, tensor<f32>
  %2 = graph.add %0, %1 : tensor<8xf32>, tensor<8xf32>
  return %2 : tensor<8xf32>
}

// CHECK-LABEL: @gap
// CHECK: graph.add
func.func @gap(%a: tensor<3xf32>, %b: tensor<4xf32>) -> tensor<8xf32> {
  %zero = graph.constant dense<0.0> : tensor<f32>
  %0 = graph.pad %a, %zero low [0] high [5] interior [0] : tensor<3xf32>, tensor<f32>
  %1 = graph.pad %b, %zero low [4] high [0] interior [0] : tensor<4xf32>, tensor<f32>
  %2 = graph.add %0, %1 : tensor<8xf32>, tensor<8xf32>
  return %2 : tensor<8xf32>
}

// CHECK-LABEL: @not_zero
// CHECK: graph.add
func.func @not_zero(%a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<8xf32> {
  %one = graph.constant dense<1.0> : tensor<f32>
  %0 = graph.pad %a, %one low [0] high [4] interior [0] : tensor<4xf32>, tensor<f32>
  %1 = graph.pad %b, %one low [4] high [0] interior [0] : tensor<4xf32>, tensor<f32>
  %2 = graph.add %0, %1 : tensor<8xf32>, tensor<8xf32>
  return %2 : tensor<8xf32>
}

// CHECK-LABEL: @read_elsewhere
// CHECK: graph.add
func.func @read_elsewhere(%a: tensor<4xf32>, %b: tensor<4xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %zero = graph.constant dense<0.0> : tensor<f32>
  %0 = graph.pad %a, %zero low [0] high [4] interior [0] : tensor<4xf32>, tensor<f32>
  %1 = graph.pad %b, %zero low [4] high [0] interior [0] : tensor<4xf32>, tensor<f32>
  %2 = graph.add %0, %1 : tensor<8xf32>, tensor<8xf32>
  return %2, %0 : tensor<8xf32>, tensor<8xf32>
}

// What else is added stays so.
// CHECK-LABEL: @with_others
// CHECK-SAME: (%[[A:.*]]: tensor<3xf32>, %[[B:.*]]: tensor<5xf32>, %[[C:.*]]: tensor<8xf32>, %[[D:.*]]: tensor<8xf32>)
// CHECK-DAG: %[[J:.*]] = graph.concat %[[A]], %[[B]] dim 0
// CHECK-DAG: %[[R:.*]] = graph.add %[[C]], %[[D]]
// CHECK: %[[S:.*]] = graph.add %[[R]], %[[J]]
// CHECK-NEXT: return %[[S]]
func.func @with_others(%a: tensor<3xf32>, %b: tensor<5xf32>, %c: tensor<8xf32>, %d: tensor<8xf32>) -> tensor<8xf32> {
  %zero = graph.constant dense<0.0> : tensor<f32>
  %0 = graph.pad %a, %zero low [0] high [5] interior [0] : tensor<3xf32>, tensor<f32>
  %1 = graph.add %c, %0 : tensor<8xf32>, tensor<8xf32>
  %2 = graph.pad %b, %zero low [3] high [0] interior [0] : tensor<5xf32>, tensor<f32>
  %3 = graph.add %d, %2 : tensor<8xf32>, tensor<8xf32>
  %4 = graph.add %1, %3 : tensor<8xf32>, tensor<8xf32>
  return %4 : tensor<8xf32>
}

// Zeros that are widened are zeros.
// CHECK-LABEL: @widened
// CHECK-SAME: (%[[A:.*]]: tensor<3xbf16>, %[[B:.*]]: tensor<5xbf16>)
// CHECK-DAG: %[[X:.*]] = graph.convert %[[A]] {graph.phase = "backward"} : tensor<3xbf16> to tensor<3xf32>
// CHECK-DAG: %[[Y:.*]] = graph.convert %[[B]] {graph.phase = "backward"} : tensor<5xbf16> to tensor<5xf32>
// CHECK: %[[J:.*]] = graph.concat %[[X]], %[[Y]] dim 0
// CHECK-NEXT: return %[[J]]
func.func @widened(%a: tensor<3xbf16>, %b: tensor<5xbf16>) -> tensor<8xf32> {
  %zero = graph.constant dense<0.0> : tensor<bf16>
  %0 = graph.pad %a, %zero low [0] high [5] interior [0] : tensor<3xbf16>, tensor<bf16>
  %1 = graph.convert %0 {graph.phase = "backward"} : tensor<8xbf16> to tensor<8xf32>
  %2 = graph.pad %b, %zero low [3] high [0] interior [0] : tensor<5xbf16>, tensor<bf16>
  %3 = graph.convert %2 {graph.phase = "backward"} : tensor<8xbf16> to tensor<8xf32>
  %4 = graph.add %1, %3 : tensor<8xf32>, tensor<8xf32>
  return %4 : tensor<8xf32>
}
