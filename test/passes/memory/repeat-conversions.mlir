// RUN: ds-opt %s --repeat-conversions | FileCheck %s

// The two uses in the forward share a copy, the backward makes its own.
// CHECK-LABEL: func.func @phases
// CHECK-SAME:    %[[X:.*]]: tensor<4xbf16>
func.func @phases(%x: tensor<4xbf16>, %d: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  // CHECK-NEXT: %[[F:.*]] = graph.convert %[[X]] {graph.phase = "forward"}
  // CHECK-NEXT: %[[T:.*]] = graph.tanh %[[F]]
  // CHECK-NEXT: %[[E:.*]] = graph.exp %[[F]]
  // CHECK-NEXT: %[[B:.*]] = graph.convert %[[X]] {graph.phase = "backward"}
  // CHECK-NEXT: %[[M:.*]] = graph.mul %[[B]], %{{.*}} {graph.phase = "backward"}
  %0 = graph.convert %x {graph.phase = "forward"} : tensor<4xbf16> to tensor<4xf32>
  %1 = graph.tanh %0 {graph.phase = "forward"} : tensor<4xf32>
  %2 = graph.exp %0 {graph.phase = "forward"} : tensor<4xf32>
  %3 = graph.mul %0, %d {graph.phase = "backward"} : tensor<4xf32>, tensor<4xf32>
  %4 = graph.add %1, %2 {graph.phase = "forward"} : tensor<4xf32>, tensor<4xf32>
  return %3, %4 : tensor<4xf32>, tensor<4xf32>
}

// A copy is made where it is used, not where its operand is; a narrowing is not repeated.
// CHECK-LABEL: func.func @late
func.func @late(%x: tensor<4xbf16>, %y: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xbf16>, tensor<4xbf16>) {
  // CHECK-NEXT: %[[S:.*]] = graph.sin
  // CHECK-NEXT: %[[N:.*]] = graph.convert %[[S]] : tensor<4xf32> to tensor<4xbf16>
  // CHECK-NEXT: %[[W:.*]] = graph.convert %{{.*}} : tensor<4xbf16> to tensor<4xf32>
  // CHECK-NEXT: %[[A:.*]] = graph.add %[[W]], %[[S]]
  // CHECK-NEXT: return %[[A]], %[[N]], %[[N]]
  %0 = graph.convert %x : tensor<4xbf16> to tensor<4xf32>
  %1 = graph.sin %y : tensor<4xf32>
  %2 = graph.convert %1 : tensor<4xf32> to tensor<4xbf16>
  %3 = graph.add %0, %1 : tensor<4xf32>, tensor<4xf32>
  return %3, %2, %2 : tensor<4xf32>, tensor<4xbf16>, tensor<4xbf16>
}
