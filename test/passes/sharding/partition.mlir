// RUN: ds-opt %s -split-input-file -verify-diagnostics --propagate-layouts --partition | FileCheck %s

// One all_reduce behind the product by rows; the bias is added behind it.

sharding.mesh @mesh ["data" = 2, "tensor" = 2]

// CHECK-LABEL: @columns_and_rows
// CHECK-SAME: %[[X:.*]]: tensor<2x8xf32> {sharding.layout = {{.*}}}, %[[W:.*]]: tensor<8x3xf32> {{{.*}}}, %[[V:.*]]: tensor<3x8xf32> {{{.*}}}, %[[B:.*]]: tensor<8xf32>
// CHECK: %[[H:.*]] = graph.linear %[[X]], %[[W]] : tensor<2x8xf32>, tensor<8x3xf32>
// CHECK: %[[P:.*]] = graph.linear %[[H]], %[[V]] : tensor<2x3xf32>, tensor<3x8xf32>
// CHECK: %[[S:.*]] = sharding.all_reduce sum %[[P]] over @mesh {"tensor"} : tensor<2x8xf32>
// CHECK: %[[Y:.*]] = graph.add %[[S]], %[[B]] : tensor<2x8xf32>, tensor<8xf32>
// CHECK: %[[ALL:.*]] = sharding.all_gather %[[Y]] over @mesh {"data"} dim 0 : tensor<2x8xf32> to tensor<4x8xf32>
// CHECK: return %[[ALL]] : tensor<4x8xf32>
func.func @columns_and_rows(%x: tensor<4x8xf32> {sharding.layout = #sharding.layout<@mesh, [{"data"}, {}]>},
                            %w: tensor<8x6xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {"tensor"}]>},
                            %v: tensor<6x8xf32> {sharding.layout = #sharding.layout<@mesh, [{"tensor"}, {}]>},
                            %b: tensor<8xf32>) -> tensor<4x8xf32> {
  %0 = graph.linear %x, %w : tensor<4x8xf32>, tensor<8x6xf32>
  %1 = graph.linear %0, %v, %b : tensor<4x6xf32>, tensor<6x8xf32>, tensor<8xf32>
  return %1 : tensor<4x8xf32>
}

// -----

// Pinned sequence parallelism: the sum is scattered over the rows, and gathered in front of the next product.

sharding.mesh @mesh ["tensor" = 2]

// CHECK-LABEL: @sequence_parallel
// CHECK: %[[P:.*]] = graph.linear
// CHECK: %[[S:.*]] = sharding.reduce_scatter sum %[[P]] over @mesh {"tensor"} dim 0 : tensor<4x8xf32> to tensor<2x8xf32>
// CHECK: %[[T:.*]] = graph.tanh %[[S]] : tensor<2x8xf32>
// CHECK: sharding.all_gather %[[T]] over @mesh {"tensor"} dim 0 : tensor<2x8xf32> to tensor<4x8xf32>
func.func @sequence_parallel(%x: tensor<4x6xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {"tensor"}]>},
                             %v: tensor<6x8xf32> {sharding.layout = #sharding.layout<@mesh, [{"tensor"}, {}]>})
    -> tensor<4x8xf32> {
  %0 = graph.linear %x, %v : tensor<4x6xf32>, tensor<6x8xf32>
  %1 = sharding.constraint %0 : tensor<4x8xf32> to <@mesh, [{"tensor"}, {}]>
  %2 = graph.tanh %1 : tensor<4x8xf32>
  return %2 : tensor<4x8xf32>
}

// -----

// A value is moved once for all its uses. What is whole becomes a summand where a result is declared as one.

sharding.mesh @mesh ["data" = 2]

// CHECK-LABEL: @moves
// CHECK: %[[PART:.*]] = sharding.axis_index over @mesh {"data"}
// CHECK: %[[W:.*]] = sharding.all_gather
// CHECK-NOT: sharding.all_gather
// CHECK: %[[FIRST:.*]] = graph.compare "eq" %[[PART]], %{{.*}} : tensor<i64>, tensor<i64>
// CHECK: graph.select %[[FIRST]], %[[W]], %{{.*}} : tensor<i1>, tensor<4xf32>, tensor<f32>
func.func @moves(%x: tensor<4xf32> {sharding.layout = #sharding.layout<@mesh, [{"data"}]>})
    -> (tensor<4xf32>, tensor<4xf32> {sharding.layout = #sharding.layout<@mesh, [{}], partial = sum {"data"}>}) {
  return %x, %x : tensor<4xf32>, tensor<4xf32>
}

// -----

// What is added once to a sum lies as the sum does, wherever that is brought.

sharding.mesh @mesh ["tensor" = 2]

// CHECK-LABEL: @bias_follows_the_sum
// CHECK-SAME: %[[B:[a-z0-9]*]]: tensor<8xf32>
// CHECK: %[[S:.*]] = sharding.reduce_scatter sum %{{.*}} over @mesh {"tensor"} dim 1 : tensor<4x8xf32> to tensor<4x4xf32>
// CHECK: %[[PART:.*]] = sharding.local_slice %[[B]] over @mesh {"tensor"} dim 0 : tensor<8xf32> to tensor<4xf32>
// CHECK: graph.add %[[S]], %[[PART]] : tensor<4x4xf32>, tensor<4xf32>
func.func @bias_follows_the_sum(%b: tensor<8xf32>,
                                %x: tensor<4x6xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {"tensor"}]>},
                                %v: tensor<6x8xf32> {sharding.layout = #sharding.layout<@mesh, [{"tensor"}, {}]>})
    -> (tensor<4x8xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {"tensor"}]>}) {
  %0 = graph.linear %x, %v, %b {sharding.factors = #sharding.factors<[{}, {}, {"tensor"}]>,
                                sharding.layouts = [#sharding.layout<@mesh, [{}, {"tensor"}]>]}
      : tensor<4x6xf32>, tensor<6x8xf32>, tensor<8xf32>
  return %0 : tensor<4x8xf32>
}
