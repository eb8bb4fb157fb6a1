// RUN: ds-opt %s | ds-opt - | FileCheck %s --check-prefix=SAME
// RUN: ds-opt %s -canonicalize | FileCheck %s --check-prefix=FOLD

// SAME-LABEL: @dropout
// SAME: graph.dropout %{{.*}}, %{{.*}} p 1.000000e-01 id 7 : tensor<2x3xf32>, tensor<3xi64>
func.func @dropout(%x: tensor<2x3xf32>, %counter: tensor<3xi64>) -> tensor<2x3xf32> {
  %y = graph.dropout %x, %counter p 0.1 id 7 : tensor<2x3xf32>, tensor<3xi64>
  return %y : tensor<2x3xf32>
}

// SAME-LABEL: @part
// SAME: graph.dropout %{{.*}}, %{{.*}} at %{{.*}} in [2, 9] p 1.000000e-01 id 7 : tensor<2x3xf32>, tensor<3xi64>, tensor<2xi64>
func.func @part(%x: tensor<2x3xf32>, %counter: tensor<3xi64>, %offsets: tensor<2xi64>) -> tensor<2x3xf32> {
  %y = graph.dropout %x, %counter at %offsets in [2, 9] p 0.1 id 7 : tensor<2x3xf32>, tensor<3xi64>, tensor<2xi64>
  return %y : tensor<2x3xf32>
}

// FOLD-LABEL: @nothing_dropped
// FOLD-SAME: %[[X:.*]]: tensor<2x3xf32>
// FOLD-NEXT: return %[[X]]
func.func @nothing_dropped(%x: tensor<2x3xf32>, %counter: tensor<3xi64>) -> tensor<2x3xf32> {
  %y = graph.dropout %x, %counter p 0.0 id 7 : tensor<2x3xf32>, tensor<3xi64>
  return %y : tensor<2x3xf32>
}
