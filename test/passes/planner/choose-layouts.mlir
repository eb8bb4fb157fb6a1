// RUN: ds-opt %s -split-input-file -verify-diagnostics --choose-layouts | FileCheck %s
// RUN: ds-opt %s -split-input-file -verify-diagnostics --choose-layouts --propagate-layouts --verify-annotated --partition | FileCheck %s --check-prefix=LOCAL

// Megatron's pair without any name: columns, then rows, and one reduction behind them.

sharding.mesh @mesh ["tensor" = 2]

// CHECK-LABEL: func.func @mlp
// CHECK-SAME: %[[X:arg[0-9]+]]: tensor<256x512xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {}]>}
// CHECK-SAME: graph.parameter = "up", sharding.layout = #sharding.layout<@mesh, [{}, {"tensor"}]>
// CHECK-SAME: graph.parameter = "down", sharding.layout = #sharding.layout<@mesh, [{"tensor"}, {}]>
// CHECK: graph.linear
// CHECK-SAME: sharding.layouts = [#sharding.layout<@mesh, [{}, {"tensor"}]>]
// CHECK: graph.gelu
// CHECK-SAME: sharding.layouts = [#sharding.layout<@mesh, [{}, {"tensor"}]>]

// LOCAL-LABEL: func.func @mlp
// LOCAL: graph.linear {{.*}} : tensor<256x512xf32>, tensor<512x1024xf32>
// LOCAL: graph.gelu
// LOCAL: graph.linear {{.*}} : tensor<256x1024xf32>, tensor<1024x512xf32>
// LOCAL: sharding.all_reduce sum
// LOCAL-NOT: sharding.all_
// LOCAL: return
func.func @mlp(%x: tensor<256x512xf32>, %u: tensor<512x2048xf32> {graph.parameter = "up"}, %d: tensor<2048x512xf32> {graph.parameter = "down"})
    -> tensor<256x512xf32> {
  %0 = graph.linear %x, %u : tensor<256x512xf32>, tensor<512x2048xf32>
  %1 = graph.gelu tanh %0 : tensor<256x2048xf32>
  %2 = graph.linear %1, %d : tensor<256x2048xf32>, tensor<2048x512xf32>
  return %2 : tensor<256x512xf32>
}

// -----

// A pin is kept, and the rest chosen around it.

sharding.mesh @mesh ["tensor" = 2]

// CHECK-LABEL: func.func @pinned
// CHECK-SAME: graph.parameter = "up", sharding.layout = #sharding.layout<@mesh, [{"tensor"}, {}]>
// LOCAL-LABEL: func.func @pinned
func.func @pinned(%x: tensor<256x512xf32>, %u: tensor<512x2048xf32> {graph.parameter = "up", sharding.layout = #sharding.layout<@mesh, [{"tensor"}, {}]>})
    -> tensor<256x2048xf32> {
  %0 = graph.linear %x, %u : tensor<256x512xf32>, tensor<512x2048xf32>
  return %0 : tensor<256x2048xf32>
}

// -----

// Splitting so little work is not worth a message. The data axis is the inputs'.

sharding.mesh @mesh ["data" = 2, "tensor" = 2]

// CHECK-LABEL: func.func @small
// CHECK-SAME: graph.parameter = "w", sharding.layout = #sharding.layout<@mesh, [{}, {}]>
// CHECK: graph.linear
// CHECK-SAME: sharding.factors = #sharding.factors<[{"data"}, {}, {}]>
// LOCAL-LABEL: func.func @small
// LOCAL-NOT: over @mesh {"tensor"}
// expected-warning @+1 {{splitting over the mesh axis "tensor" does not pay: its ranks all compute the same}}
func.func @small(%x: tensor<4x2xf32> {graph.batch_dimension = 0 : i64, graph.input = "x", sharding.layout = #sharding.layout<@mesh, [{"data"}, {}]>},
                 %w: tensor<2x2xf32> {graph.parameter = "w"})
    -> (tensor<2x2xf32> {graph.gradient = "w"}) {
  %0 = graph.linear %x, %w : tensor<4x2xf32>, tensor<2x2xf32>
  %1 = graph.matmul %0, %x batch [] x [] contract [0] x [0] : tensor<4x2xf32>, tensor<4x2xf32>
  return %1 : tensor<2x2xf32>
}

// -----

sharding.mesh @mesh ["tensor" = 2]

func.func @no_rule(%x: tensor<4xf32>) -> tensor<2xf32> {
  // expected-error @+1 {{has no sharding rule}}
  %0 = sharding.local_slice %x over @mesh {"tensor"} dim 0 : tensor<4xf32> to tensor<2xf32>
  return %0 : tensor<2xf32>
}

// -----

// Heads that divide by no axis of their own are not left whole in silence, once for all that are alike.

sharding.mesh @mesh ["tensor" = 2]

// LOCAL-LABEL: func.func @uneven
func.func @uneven(%q: tensor<2x6x8x16xf32>, %k: tensor<2x3x8x16xf32>, %w: tensor<16x8192xf32> {graph.parameter = "w"})
    -> (tensor<2x6x8x8192xf32>, tensor<2x6x8x16xf32>) {
  // expected-warning @below {{3 heads of keys and values do not divide over the mesh axis "tensor" of 2 ranks: each of them computes all}}
  %o, %l = graph.attention %q, %k, %k scale 0.25 causal : tensor<2x6x8x16xf32>, tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
  %p, %m = graph.attention %o, %k, %k scale 0.25 causal : tensor<2x6x8x16xf32>, tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
  %y = graph.linear %o, %w : tensor<2x6x8x16xf32>, tensor<16x8192xf32>
  return %y, %p : tensor<2x6x8x8192xf32>, tensor<2x6x8x16xf32>
}

// -----

// One head of keys and values is shared by those of the queries, which are split.

sharding.mesh @mesh ["tensor" = 2]

func.func @shared(%q: tensor<1x6x64x16xf32>, %k: tensor<1x1x64x16xf32>, %w: tensor<16x16xf32> {graph.parameter = "w"})
    -> tensor<1x6x64x16xf32> {
  %o, %l = graph.attention %q, %k, %k scale 0.25 causal : tensor<1x6x64x16xf32>, tensor<1x1x64x16xf32>, tensor<1x1x64x16xf32>
  %y = graph.linear %o, %w : tensor<1x6x64x16xf32>, tensor<16x16xf32>
  return %y : tensor<1x6x64x16xf32>
}
