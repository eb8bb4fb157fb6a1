// RUN: ds-opt %s --split-input-file --set-precision | FileCheck %s
// RUN: not ds-opt %s --split-input-file --set-precision=type=f8 2>&1 | FileCheck %s --check-prefix=ERROR

// ERROR: error: precision 'f8' is not supported; expected f64 or f32

// Conversions between floats vanish, those from and to integers stay; the file keeps its type, the runtime its own.
// CHECK-LABEL: func.func @forward(
// CHECK-SAME:    %[[X:.*]]: tensor<4xf64> {graph.input = "x"}
// CHECK-SAME:    %[[W:.*]]: tensor<4xf64> {graph.parameter = "w", graph.storage = #graph.storage<file = "m.pt", offset = 0, element_type = bf16, strides = [1]>}
// CHECK-SAME:    %[[N:.*]]: tensor<4xi64> {graph.input = "n"}, %{{.*}}: tensor<f64> {graph.run_state = "learning_rate"})
// CHECK-SAME:    -> (tensor<4xf64> {graph.output = "y"})
func.func @forward(
    %x: tensor<4xf32> {graph.input = "x"},
    %w: tensor<4xbf16> {graph.parameter = "w", graph.storage = #graph.storage<file = "m.pt", offset = 0, element_type = bf16, strides = [1]>},
    %n: tensor<4xi64> {graph.input = "n"}, %lr: tensor<f64> {graph.run_state = "learning_rate"})
    -> (tensor<4xf32> {graph.output = "y"}) {
  // CHECK-DAG: %[[TENTH:.*]] = graph.constant dense<{{\[}}1.000000e-01, 2.500000e-01, 1.000000e+00, 0x7FF0000000000000]> : tensor<4xf64>
  // CHECK-DAG: %[[SPLAT:.*]] = graph.constant dense<5.000000e-01> : tensor<f64>
  // CHECK-DAG: %[[INT:.*]] = graph.constant dense<7> : tensor<i64>
  %c = graph.constant dense<[1.0e-01, 2.5e-01, 1.0, 0x7FF0000000000000]> : tensor<4xf64>
  %h = graph.constant dense<5.0e-01> : tensor<f16>
  %i = graph.constant dense<7> : tensor<i64>
  // CHECK-NOT: graph.convert
  // CHECK: %[[M:.*]] = graph.mul %[[X]], %[[W]] : tensor<4xf64>, tensor<4xf64>
  // CHECK: %[[A:.*]] = graph.add %[[N]], %[[INT]]
  // CHECK: %[[F:.*]] = graph.convert %[[A]] : tensor<4xi64> to tensor<4xf64>
  // CHECK: %[[S:.*]] = graph.add %[[M]], %[[F]]
  // CHECK: %[[T:.*]] = graph.mul %[[S]], %[[TENTH]]
  // CHECK: %[[U:.*]] = graph.mul %[[T]], %[[SPLAT]]
  // CHECK: return %[[U]] : tensor<4xf64>
  %0 = graph.convert %w : tensor<4xbf16> to tensor<4xf32>
  %1 = graph.mul %x, %0 : tensor<4xf32>, tensor<4xf32>
  %2 = graph.add %n, %i : tensor<4xi64>, tensor<i64>
  %3 = graph.convert %2 : tensor<4xi64> to tensor<4xf32>
  %4 = graph.add %1, %3 : tensor<4xf32>, tensor<4xf32>
  %5 = graph.convert %c : tensor<4xf64> to tensor<4xf32>
  %6 = graph.mul %4, %5 : tensor<4xf32>, tensor<4xf32>
  %7 = graph.convert %h : tensor<f16> to tensor<f32>
  %8 = graph.mul %6, %7 : tensor<4xf32>, tensor<f32>
  return %8 : tensor<4xf32>
}

// -----

// A resource: 1.0 and -2.0 in f32 become 1.0 and -2.0 in f64, after the four bytes that say the alignment.
// CHECK-LABEL: func.func @forward(
func.func @forward() -> (tensor<2xf32> {graph.output = "y"}) {
  // CHECK: graph.constant dense_resource<[[KEY:.*]]> : tensor<2xf64>
  %0 = graph.constant dense_resource<table> : tensor<2xf32>
  return %0 : tensor<2xf32>
}
// CHECK: [[KEY]]: "0x40000000000000000000F03F00000000000000C0"

{-#
  dialect_resources: {
    builtin: {
      table: "0x040000000000803F000000C0"
    }
  }
#-}
