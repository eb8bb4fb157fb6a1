// RUN: ds-opt %s --pass-pipeline='builtin.module(func.func(fold-constants{max-bytes=65536}))' | FileCheck %s

// CHECK-LABEL: @causal_mask
// CHECK-NEXT: %[[MASK:.*]] = graph.constant
// CHECK-SAME: dense<{{\[\[\[\[true, false, false\], \[true, true, false\], \[true, true, true\]\]\]\]}}>
// CHECK-NEXT: return %[[MASK]]
func.func @causal_mask() -> (tensor<1x1x3x3xi1> {graph.output = "mask"}) {
  %row = graph.iota 0 : tensor<3x1xi64>
  %column = graph.iota 1 : tensor<1x3xi64>
  %seen = graph.compare "le" %column, %row : tensor<1x3xi64>, tensor<3x1xi64>
  %mask = graph.reshape %seen : tensor<3x3xi1> to tensor<1x1x3x3xi1>
  return %mask : tensor<1x1x3x3xi1>
}

// Equal elements become a splat, however large.
// CHECK-LABEL: @splat
// CHECK-NEXT: graph.constant dense<5.000000e+00> : tensor<64x64xf32>
// CHECK-NEXT: return
func.func @splat() -> tensor<64x64xf32> {
  %two = graph.constant dense<2.0> : tensor<64x64xf32>
  %three = graph.constant dense<3.0> : tensor<f32>
  %sum = graph.add %two, %three : tensor<64x64xf32>, tensor<f32>
  return %sum : tensor<64x64xf32>
}

// Above 4 KiB a tensor is a resource.
// CHECK-LABEL: @resource
// CHECK-NEXT: graph.constant dense_resource<{{.*}}> : tensor<1025xi32>
// CHECK-NEXT: return
func.func @resource() -> tensor<1025xi32> {
  %count = graph.iota 0 : tensor<1025xi32>
  %one = graph.constant dense<1> : tensor<i32>
  %next = graph.add %count, %one : tensor<1025xi32>, tensor<i32>
  return %next : tensor<1025xi32>
}

// A composite is evaluated by its decomposition.
// CHECK-LABEL: @composite
// CHECK-NEXT: graph.constant dense<2.500000e-01> : tensor<2x4xf64>
func.func @composite() -> tensor<2x4xf64> {
  %x = graph.constant dense<7.0> : tensor<2x4xf64>
  %y = graph.softmax %x dim 1 : tensor<2x4xf64>
  return %y : tensor<2x4xf64>
}

// What exceeds the cap stays.
// CHECK-LABEL: @too_large
// CHECK: graph.add
func.func @too_large() -> tensor<128x129xf32> {
  %a = graph.constant dense<1.0> : tensor<128x129xf32>
  %b = graph.add %a, %a : tensor<128x129xf32>, tensor<128x129xf32>
  return %b : tensor<128x129xf32>
}

// Random numbers stay random, even for a known counter.
// CHECK-LABEL: @random
// CHECK: graph.dropout
func.func @random() -> tensor<8xf32> {
  %x = graph.constant dense<1.0> : tensor<8xf32>
  %counter = graph.constant dense<0> : tensor<3xi64>
  %y = graph.dropout %x, %counter p 0.5 id 1 : tensor<8xf32>, tensor<3xi64>
  return %y : tensor<8xf32>
}

// An iota or a broadcast is smaller than its data: left where an op that stays reads it, folded into others.
// CHECK-LABEL: @generators
// CHECK-DAG: %[[IOTA:.*]] = graph.iota 0 : tensor<4xf32>
// CHECK-DAG: %[[TABLE:.*]] = graph.constant dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>
// CHECK-DAG: %[[WIDE:.*]] = graph.broadcast %[[TABLE]] [1] : tensor<2xf32> to tensor<4x2xf32>
// CHECK-DAG: %[[NEGATED:.*]] = graph.constant dense<{{\[}}-0.000000e+00, -1.000000e+00, -2.000000e+00, -3.000000e+00]> : tensor<4xf32>
// CHECK: return %[[IOTA]], %[[WIDE]], %[[NEGATED]]
func.func @generators() -> (tensor<4xf32>, tensor<4x2xf32>, tensor<4xf32>) {
  %iota = graph.iota 0 : tensor<4xf32>
  %small = graph.constant dense<[0.0, 1.0]> : tensor<2xf32>
  %one = graph.constant dense<1.0> : tensor<f32>
  %table = graph.add %small, %one : tensor<2xf32>, tensor<f32>
  %wide = graph.broadcast %table [1] : tensor<2xf32> to tensor<4x2xf32>
  %negated = graph.neg %iota : tensor<4xf32>
  return %iota, %wide, %negated : tensor<4xf32>, tensor<4x2xf32>, tensor<4xf32>
}

// What depends on data stays, with the folded part as a constant.
// CHECK-LABEL: @partly
// CHECK-SAME: %[[X:.*]]: tensor<2xf32>
// CHECK-NEXT: %[[C:.*]] = graph.constant dense<6.000000e+00> : tensor<f32>
// CHECK-NEXT: graph.mul %[[X]], %[[C]]
// CHECK-NEXT: return
func.func @partly(%x: tensor<2xf32>) -> tensor<2xf32> {
  %two = graph.constant dense<2.0> : tensor<f32>
  %three = graph.constant dense<3.0> : tensor<f32>
  %six = graph.mul %two, %three : tensor<f32>, tensor<f32>
  %y = graph.mul %x, %six : tensor<2xf32>, tensor<f32>
  return %y : tensor<2xf32>
}

// Large tables that hold the same are one attribute, wherever they were computed; others are not.
// CHECK-LABEL: @tables
// CHECK: graph.constant dense_resource<[[SINES:.*]]> : tensor<4096xf32>
// CHECK: graph.constant dense_resource<[[SINES]]> : tensor<4096xf32>
// CHECK-NOT: dense_resource<[[SINES]]>
// CHECK: graph.constant dense_resource<{{.*}}> : tensor<4096xf32>
// CHECK: return
func.func @tables() -> (tensor<4096xf32>, tensor<4096xf32>, tensor<4096xf32>) {
  %a = graph.iota 0 : tensor<4096xf32>
  %b = graph.iota 0 : tensor<4096xf32>
  %0 = graph.sin %a : tensor<4096xf32>
  %1 = graph.sin %b : tensor<4096xf32>
  %2 = graph.cos %b : tensor<4096xf32>
  return %0, %1, %2 : tensor<4096xf32>, tensor<4096xf32>, tensor<4096xf32>
}
