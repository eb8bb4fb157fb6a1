// RUN: ds-opt %s | ds-opt - | FileCheck %s

// CHECK-LABEL: @grouped_causal
// CHECK: graph.attention %{{.*}}, %{{.*}}, %{{.*}} scale 2.500000e-01 causal : tensor<2x4x5x16xf32>, tensor<2x2x7x16xf32>, tensor<2x2x7x8xf32>
// CHECK: return {{.*}} : tensor<2x4x5x8xf32>, tensor<2x4x5xf32>
func.func @grouped_causal(%q: tensor<2x4x5x16xf32>, %k: tensor<2x2x7x16xf32>, %v: tensor<2x2x7x8xf32>)
    -> (tensor<2x4x5x8xf32>, tensor<2x4x5xf32>) {
  %o, %lse = graph.attention %q, %k, %v scale 0.25 causal
      : tensor<2x4x5x16xf32>, tensor<2x2x7x16xf32>, tensor<2x2x7x8xf32>
  return %o, %lse : tensor<2x4x5x8xf32>, tensor<2x4x5xf32>
}

// CHECK-LABEL: @masked_with_dropout
// CHECK: graph.attention %{{.*}}, %{{.*}}, %{{.*}} mask %{{.*}} counter %{{.*}} scale 5.000000e-01 {dropout = 1.000000e-01 : f64, id = 3 : i64}
// CHECK: graph.attention_grad {{.*}} mask %{{.*}} counter %{{.*}} scale 5.000000e-01 {dropout = 1.000000e-01 : f64, id = 3 : i64}
func.func @masked_with_dropout(%q: tensor<2x4x5x4xf32>, %mask: tensor<1x1x5x5xi1>, %counter: tensor<3xi64>)
    -> tensor<2x4x5x4xf32> {
  %o, %lse = graph.attention %q, %q, %q mask %mask counter %counter scale 0.5 {dropout = 0.1, id = 3 : i64}
      : tensor<2x4x5x4xf32>, tensor<2x4x5x4xf32>, tensor<2x4x5x4xf32>, tensor<1x1x5x5xi1>, tensor<3xi64>
  %dq, %dk, %dv = graph.attention_grad %o, %q, %q, %q, %o, %lse mask %mask counter %counter scale 0.5
      {dropout = 0.1, id = 3 : i64}
      : tensor<2x4x5x4xf32>, tensor<2x4x5x4xf32>, tensor<2x4x5x4xf32>, tensor<2x4x5x4xf32>, tensor<2x4x5x4xf32>,
        tensor<2x4x5xf32>, tensor<1x1x5x5xi1>, tensor<3xi64>
  return %dq : tensor<2x4x5x4xf32>
}

// CHECK-LABEL: @part_with_dropout
// CHECK: graph.attention %{{.*}}, %{{.*}}, %{{.*}} counter %{{.*}} at %{{.*}} in [2, 8, 5, 5] scale 5.000000e-01 causal {dropout = 1.000000e-01 : f64, id = 3 : i64}
// CHECK: graph.attention_grad {{.*}} counter %{{.*}} at %{{.*}} in [2, 8, 5, 5] scale 5.000000e-01 causal {dropout = 1.000000e-01 : f64, id = 3 : i64}
func.func @part_with_dropout(%q: tensor<2x4x5x4xf32>, %counter: tensor<3xi64>, %offsets: tensor<4xi64>)
    -> tensor<2x4x5x4xf32> {
  %o, %lse = graph.attention %q, %q, %q counter %counter at %offsets in [2, 8, 5, 5] scale 0.5 causal
      {dropout = 0.1, id = 3 : i64}
      : tensor<2x4x5x4xf32>, tensor<2x4x5x4xf32>, tensor<2x4x5x4xf32>, tensor<3xi64>, tensor<4xi64>
  %dq, %dk, %dv = graph.attention_grad %o, %q, %q, %q, %o, %lse counter %counter at %offsets in [2, 8, 5, 5]
      scale 0.5 causal {dropout = 0.1, id = 3 : i64}
      : tensor<2x4x5x4xf32>, tensor<2x4x5x4xf32>, tensor<2x4x5x4xf32>, tensor<2x4x5x4xf32>, tensor<2x4x5x4xf32>,
        tensor<2x4x5xf32>, tensor<3xi64>, tensor<4xi64>
  return %dq : tensor<2x4x5x4xf32>
}

// CHECK-LABEL: @block_of_longer_sequences
// CHECK: graph.attention %{{.*}}, %{{.*}}, %{{.*}} scale 5.000000e-01 causal diagonal %{{.*}} : {{.*}}, tensor<i64>
// CHECK: graph.attention_grad {{.*}} scale 5.000000e-01 causal diagonal %{{.*}} : {{.*}}, tensor<i64>
func.func @block_of_longer_sequences(%q: tensor<2x4x5x4xf32>, %diagonal: tensor<i64>) -> tensor<2x4x5x4xf32> {
  %o, %lse = graph.attention %q, %q, %q scale 0.5 causal diagonal %diagonal
      : tensor<2x4x5x4xf32>, tensor<2x4x5x4xf32>, tensor<2x4x5x4xf32>, tensor<i64>
  %dq, %dk, %dv = graph.attention_grad %o, %q, %q, %q, %o, %lse scale 0.5 causal diagonal %diagonal
      : tensor<2x4x5x4xf32>, tensor<2x4x5x4xf32>, tensor<2x4x5x4xf32>, tensor<2x4x5x4xf32>, tensor<2x4x5x4xf32>,
        tensor<2x4x5xf32>, tensor<i64>
  return %dq : tensor<2x4x5x4xf32>
}
