// RUN: ds-opt %s -split-input-file --pass-pipeline='builtin.module(func.func(split-fused-projections))' | FileCheck %s

// Three projections side by side become a dimension of their own; each slice takes one.

sharding.mesh @mesh ["tensor" = 2]

// CHECK-LABEL: @query_key_value
// CHECK-SAME: %[[W:[a-z0-9]+]]: tensor<8x3x4xf32> {graph.cut = #graph.cut<shape = [8, 12], dims = [8, 3, 4]>, graph.parameter = "w", sharding.layout = #sharding.layout<@mesh, [{}, {}, {"tensor"}]>}
// CHECK-SAME: %[[B:[a-z0-9]+]]: tensor<3x4xf32> {graph.cut = #graph.cut<shape = [12], dims = [3, 4]>
// CHECK: %[[Y:.*]] = graph.linear %{{.*}}, %[[W]], %[[B]] : tensor<2x8xf32>, tensor<8x3x4xf32>, tensor<3x4xf32>
// CHECK: graph.slice %[[Y]] [0, 0, 0] to [2, 1, 4]
// CHECK: %[[K:.*]] = graph.slice %[[Y]] [0, 1, 0] to [2, 2, 4]
// CHECK: graph.reshape %[[K]] : tensor<2x1x4xf32> to tensor<2x4xf32>
func.func @query_key_value(
    %x: tensor<2x8xf32>,
    %w: tensor<8x12xf32> {graph.parameter = "w", sharding.layout = #sharding.layout<@mesh, [{}, {"tensor"}]>},
    %b: tensor<12xf32> {graph.parameter = "b", sharding.layout = #sharding.layout<@mesh, [{"tensor"}]>})
    -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>) {
  %y = graph.linear %x, %w, %b : tensor<2x8xf32>, tensor<8x12xf32>, tensor<12xf32>
  %q = graph.slice %y [0, 0] to [2, 4] by [1, 1] : tensor<2x12xf32>
  %k = graph.slice %y [0, 4] to [2, 8] by [1, 1] : tensor<2x12xf32>
  %v = graph.slice %y [0, 8] to [2, 12] by [1, 1] : tensor<2x12xf32>
  return %q, %k, %v : tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>
}

// -----

// A torch.nn.Linear holds its columns as rows.

sharding.mesh @mesh ["tensor" = 2]

// CHECK-LABEL: @transposed
// CHECK-SAME: tensor<2x4x8xf32> {graph.cut = #graph.cut<shape = [8, 8], dims = [2, 4, 8]>
// CHECK: graph.linear %{{.*}}, %{{.*}} transpose_weight : tensor<2x8xf32>, tensor<2x4x8xf32>
func.func @transposed(%x: tensor<2x8xf32>,
                      %w: tensor<8x8xf32> {graph.parameter = "w", sharding.layout = #sharding.layout<@mesh, [{"tensor"}, {}]>})
    -> (tensor<2x4xf32>, tensor<2x4xf32>) {
  %y = graph.linear %x, %w transpose_weight : tensor<2x8xf32>, tensor<8x8xf32>
  %a = graph.slice %y [0, 0] to [2, 4] by [1, 1] : tensor<2x8xf32>
  %b = graph.slice %y [0, 4] to [2, 8] by [1, 1] : tensor<2x8xf32>
  return %a, %b : tensor<2x4xf32>, tensor<2x4xf32>
}

// -----

// Not split, or used as a whole, or cut unevenly: nothing changes.

sharding.mesh @mesh ["tensor" = 2]

// CHECK-LABEL: @left_alone
// CHECK-NOT: graph.cut
// CHECK: return
func.func @left_alone(%x: tensor<2x8xf32>, %u: tensor<8x8xf32> {graph.parameter = "u"},
                      %w: tensor<8x8xf32> {graph.parameter = "w", sharding.layout = #sharding.layout<@mesh, [{}, {"tensor"}]>},
                      %v: tensor<8x12xf32> {graph.parameter = "v", sharding.layout = #sharding.layout<@mesh, [{}, {"tensor"}]>})
    -> (tensor<2x4xf32>, tensor<2x8xf32>, tensor<2x4xf32>, tensor<2x8xf32>) {
  %a = graph.linear %x, %u : tensor<2x8xf32>, tensor<8x8xf32>
  %b = graph.slice %a [0, 0] to [2, 4] by [1, 1] : tensor<2x8xf32>
  %c = graph.linear %x, %w : tensor<2x8xf32>, tensor<8x8xf32>
  %d = graph.linear %x, %v : tensor<2x8xf32>, tensor<8x12xf32>
  %e = graph.slice %d [0, 0] to [2, 4] by [1, 1] : tensor<2x12xf32>
  %f = graph.slice %d [0, 4] to [2, 12] by [1, 1] : tensor<2x12xf32>
  return %b, %c, %e, %f : tensor<2x4xf32>, tensor<2x8xf32>, tensor<2x4xf32>, tensor<2x8xf32>
}
