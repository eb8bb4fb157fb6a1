// RUN: ds-opt %s -split-input-file --pass-pipeline='builtin.module(func.func(pad-parameters))' | FileCheck %s

// A table read by ids needs nothing but the longer dimension.

sharding.mesh @mesh ["tensor" = 2]

// CHECK-LABEL: @embedding
// CHECK-SAME: tensor<8x4xf32> {graph.cut = #graph.cut<shape = [7, 4], dims = [7, 4]>
// CHECK: graph.embedding %{{.*}}, %{{.*}} : tensor<8x4xf32>, tensor<3xi64>
// CHECK-NOT: graph.slice
// CHECK: return
func.func @embedding(%w: tensor<7x4xf32> {graph.parameter = "w", sharding.layout = #sharding.layout<@mesh, [{"tensor"}, {}]>},
                     %i: tensor<3xi64>) -> tensor<3x4xf32> {
  %0 = graph.embedding %w, %i : tensor<7x4xf32>, tensor<3xi64>
  return %0 : tensor<3x4xf32>
}

// -----

// Padded columns of logits do not count.

sharding.mesh @mesh ["tensor" = 2]

// CHECK-LABEL: @loss
// CHECK: %[[Y:.*]] = graph.linear %{{.*}}, %{{.*}} transpose_weight : tensor<1x3x4xf32>, tensor<8x4xf32>
// CHECK: %[[LOGITS:.*]] = graph.reshape %[[Y]] : tensor<1x3x8xf32> to tensor<3x8xf32>
// CHECK: %[[COUNT:.*]] = graph.constant dense<7> : tensor<i64>
// CHECK: %[[REAL:.*]] = graph.compare "lt" %{{.*}}, %[[COUNT]] : tensor<1x8xi64>, tensor<i64>
// CHECK: %[[HIDDEN:.*]] = graph.constant dense<0xFF800000> : tensor<f32>
// CHECK: %[[SHOWN:.*]] = graph.select %[[REAL]], %[[LOGITS]], %[[HIDDEN]]
// CHECK: graph.cross_entropy %[[SHOWN]], %{{.*}} ignore_index -100 : tensor<3x8xf32>, tensor<3xi64>
func.func @loss(%x: tensor<1x3x4xf32>,
                %w: tensor<7x4xf32> {graph.parameter = "w", sharding.layout = #sharding.layout<@mesh, [{"tensor"}, {}]>},
                %t: tensor<3xi64>) -> tensor<f32> {
  %y = graph.linear %x, %w transpose_weight : tensor<1x3x4xf32>, tensor<7x4xf32>
  %l = graph.reshape %y : tensor<1x3x7xf32> to tensor<3x7xf32>
  %s, %n, %e = graph.cross_entropy %l, %t ignore_index -100 : tensor<3x7xf32>, tensor<3xi64>
  return %s : tensor<f32>
}

// -----

// A bias is padded with the columns it belongs to, whichever comes first.

sharding.mesh @mesh ["tensor" = 2]

// CHECK-LABEL: @bias
// CHECK-SAME: %[[B:[a-z0-9]*]]: tensor<8xf32> {graph.cut = #graph.cut<shape = [7], dims = [7]>
// CHECK: graph.linear %{{.*}}, %{{.*}}, %[[B]] transpose_weight : tensor<3x4xf32>, tensor<8x4xf32>, tensor<8xf32>
// CHECK-NOT: graph.slice
// CHECK: graph.cross_entropy %{{.*}}, %{{.*}} ignore_index -100 : tensor<3x8xf32>, tensor<3xi64>
func.func @bias(%x: tensor<3x4xf32>,
                %b: tensor<7xf32> {graph.parameter = "b", sharding.layout = #sharding.layout<@mesh, [{"tensor"}]>},
                %w: tensor<7x4xf32> {graph.parameter = "w", sharding.layout = #sharding.layout<@mesh, [{"tensor"}, {}]>},
                %t: tensor<3xi64>) -> tensor<f32> {
  %y = graph.linear %x, %w, %b transpose_weight : tensor<3x4xf32>, tensor<7x4xf32>, tensor<7xf32>
  %s, %n, %e = graph.cross_entropy %y, %t ignore_index -100 : tensor<3x7xf32>, tensor<3xi64>
  return %s : tensor<f32>
}

// -----

// In front of anything else the padding is cut off; what divides is left alone.

sharding.mesh @mesh ["tensor" = 2]

// CHECK-LABEL: @others
// CHECK-SAME: tensor<8xf32> {graph.cut
// CHECK-SAME: tensor<4xf32> {graph.parameter
// CHECK: %[[CUT:.*]] = graph.slice %{{.*}} [0] to [7] by [1] : tensor<8xf32>
// CHECK: graph.tanh %[[CUT]] : tensor<7xf32>
func.func @others(%w: tensor<7xf32> {graph.parameter = "w", sharding.layout = #sharding.layout<@mesh, [{"tensor"}]>},
                  %v: tensor<4xf32> {graph.parameter = "v", sharding.layout = #sharding.layout<@mesh, [{"tensor"}]>})
    -> (tensor<7xf32>, tensor<4xf32>) {
  %0 = graph.tanh %w : tensor<7xf32>
  %1 = graph.tanh %v : tensor<4xf32>
  return %0, %1 : tensor<7xf32>, tensor<4xf32>
}

// -----

// RUN: ds-opt %s -split-input-file --pass-pipeline='builtin.module(func.func(pad-parameters{multiple=8}))' | FileCheck %s --check-prefix=WIDE

// A vocabulary becomes a multiple of 8 where that is little; other sizes stay, also without a mesh.

// WIDE-LABEL: @vocabulary
// WIDE-SAME: tensor<104x4xf32> {graph.cut = #graph.cut<shape = [103, 4], dims = [103, 4]>
// WIDE: graph.linear %{{.*}}, %{{.*}} transpose_weight : tensor<3x4xf32>, tensor<104x4xf32>
// WIDE: graph.cross_entropy %{{.*}}, %{{.*}} ignore_index -100 : tensor<3x104xf32>, tensor<3xi64>
// CHECK-LABEL: @vocabulary
// CHECK-SAME: tensor<103x4xf32> {graph.parameter = "w"}
func.func @vocabulary(%x: tensor<3x4xf32>, %w: tensor<103x4xf32> {graph.parameter = "w"}, %t: tensor<3xi64>) -> tensor<f32> {
  %l = graph.linear %x, %w transpose_weight : tensor<3x4xf32>, tensor<103x4xf32>
  %s, %n, %e = graph.cross_entropy %l, %t ignore_index -100 : tensor<3x103xf32>, tensor<3xi64>
  return %s : tensor<f32>
}

// -----

// Too much, and read by something else.

// WIDE-LABEL: @whole
// WIDE-SAME: tensor<13x4xf32> {graph.parameter = "w"}
// WIDE-SAME: tensor<103xf32> {graph.parameter = "b"}
func.func @whole(%w: tensor<13x4xf32> {graph.parameter = "w"}, %b: tensor<103xf32> {graph.parameter = "b"},
                 %i: tensor<3xi64>) -> (tensor<3x4xf32>, tensor<103xf32>) {
  %0 = graph.embedding %w, %i : tensor<13x4xf32>, tensor<3xi64>
  %1 = graph.neg %b : tensor<103xf32>
  return %0, %1 : tensor<3x4xf32>, tensor<103xf32>
}
