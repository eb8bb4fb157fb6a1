// RUN: ds-opt %s -split-input-file -verify-diagnostics --propagate-layouts | FileCheck %s

// Columns, then rows: the split passes through, the product of the second is a sum over ranks, which the next op gets
// whole. What nobody splits is whole everywhere.

sharding.mesh @mesh ["data" = 2, "tensor" = 2]

// CHECK-LABEL: @columns_and_rows
// CHECK-SAME: %{{.*}}: tensor<6x8xf32> {sharding.layout = #sharding.layout<@mesh, [{"tensor"}, {}]>}
// CHECK-SAME: -> (tensor<4x8xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {}]>})
// CHECK: graph.linear {{.*}} {sharding.factors = #sharding.factors<[{"data"}, {"tensor"}, {}]>, sharding.layouts = [#sharding.layout<@mesh, [{"data"}, {"tensor"}]>]}
// CHECK: graph.gelu {{.*}} {sharding.factors = #sharding.factors<[{"data"}, {"tensor"}]>
// CHECK: graph.linear {{.*}} {sharding.factors = #sharding.factors<[{"data"}, {}, {"tensor"}]>, sharding.layouts = [#sharding.layout<@mesh, [{"data"}, {}], partial = sum {"tensor"}>]}
// CHECK: graph.tanh {{.*}} {sharding.factors = #sharding.factors<[{"data"}, {}]>, sharding.layouts = [#sharding.layout<@mesh, [{"data"}, {}]>]}
func.func @columns_and_rows(%x: tensor<4x8xf32> {sharding.layout = #sharding.layout<@mesh, [{"data"}, {}]>},
                            %w: tensor<8x6xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {"tensor"}]>},
                            %v: tensor<6x8xf32> {sharding.layout = #sharding.layout<@mesh, [{"tensor"}, {}]>})
    -> tensor<4x8xf32> {
  %0 = graph.linear %x, %w : tensor<4x8xf32>, tensor<8x6xf32>
  %1 = graph.gelu %0 : tensor<4x6xf32>
  %2 = graph.linear %1, %v : tensor<4x6xf32>, tensor<6x8xf32>
  %3 = graph.tanh %2 : tensor<4x8xf32>
  return %3 : tensor<4x8xf32>
}

// -----

// A bias belongs to the sum once, so the sum is taken where it is added. A value that is used twice is reduced once.

sharding.mesh @mesh ["tensor" = 2]

// CHECK-LABEL: @once
// CHECK: graph.linear {{.*}} {sharding.factors = #sharding.factors<[{}, {}, {"tensor"}]>, sharding.layouts = [#sharding.layout<@mesh, [{}, {}]>]}
// CHECK: graph.linear {{.*}} {sharding.factors = #sharding.factors<[{}, {}, {"tensor"}]>, sharding.layouts = [#sharding.layout<@mesh, [{}, {}], partial = sum {"tensor"}>]}
// CHECK: graph.neg {{.*}} sharding.layouts = [#sharding.layout<@mesh, [{}, {}]>]
// CHECK: graph.linear {{.*}} sharding.layouts = [#sharding.layout<@mesh, [{}, {}], partial = sum {"tensor"}>]
// CHECK: graph.neg {{.*}} sharding.layouts = [#sharding.layout<@mesh, [{}, {}], partial = sum {"tensor"}>]
func.func @once(%x: tensor<4x8xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {"tensor"}]>},
                %w: tensor<8x6xf32> {sharding.layout = #sharding.layout<@mesh, [{"tensor"}, {}]>}, %b: tensor<6xf32>)
    -> (tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>) {
  %0 = graph.linear %x, %w, %b : tensor<4x8xf32>, tensor<8x6xf32>, tensor<6xf32>
  %1 = graph.linear %x, %w : tensor<4x8xf32>, tensor<8x6xf32>
  %2 = graph.neg %1 : tensor<4x6xf32>
  %3 = graph.linear %x, %w : tensor<4x8xf32>, tensor<8x6xf32>
  %4 = graph.neg %3 : tensor<4x6xf32>
  return %0, %1, %2, %4 : tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>
}

// -----

// Two operands that want different things: the larger one has its way.

sharding.mesh @mesh ["a" = 2]

// CHECK-LABEL: @larger_first
// CHECK: graph.mul {{.*}} {sharding.factors = #sharding.factors<[{"a"}, {}]>
func.func @larger_first(%x: tensor<4x6xf32> {sharding.layout = #sharding.layout<@mesh, [{"a"}, {}]>},
                        %y: tensor<6xf32> {sharding.layout = #sharding.layout<@mesh, [{"a"}]>}) -> tensor<4x6xf32> {
  %0 = graph.mul %x, %y : tensor<4x6xf32>, tensor<6xf32>
  return %0 : tensor<4x6xf32>
}

// -----

// Merged dimensions are cut into ranges: the minor one is gathered where the major one is not split completely.

sharding.mesh @mesh ["a" = 2, "b" = 2]

// CHECK-LABEL: @merge
// CHECK: graph.reshape {{.*}} {sharding.factors = #sharding.factors<[{"a"}, {}]>, sharding.layouts = [#sharding.layout<@mesh, [{"a"}]>]}
// CHECK: graph.reshape {{.*}} {sharding.factors = #sharding.factors<[{"a"}, {"b"}]>, sharding.layouts = [#sharding.layout<@mesh, [{"a", "b"}]>]}
func.func @merge(%x: tensor<4x4xf32> {sharding.layout = #sharding.layout<@mesh, [{"a"}, {"b"}]>},
                 %y: tensor<2x4xf32> {sharding.layout = #sharding.layout<@mesh, [{"a"}, {"b"}]>}) -> (tensor<16xf32>, tensor<8xf32>) {
  %0 = graph.reshape %x : tensor<4x4xf32> to tensor<16xf32>
  %1 = graph.reshape %y : tensor<2x4xf32> to tensor<8xf32>
  return %0, %1 : tensor<16xf32>, tensor<8xf32>
}

// -----

// A gradient lies as its parameter, as summands over the axes of the batch.

sharding.mesh @mesh ["data" = 2]

// CHECK-LABEL: @gradient
// CHECK-SAME: -> (tensor<3x2xf32> {graph.gradient = "w", sharding.layout = #sharding.layout<@mesh, [{}, {}], partial = sum {"data"}>})
func.func @gradient(%w: tensor<3x2xf32> {graph.parameter = "w"},
                    %x: tensor<4x3xf32> {graph.input = "x", graph.batch_dimension = 0 : i64,
                                         sharding.layout = #sharding.layout<@mesh, [{"data"}, {}]>},
                    %d: tensor<4x2xf32> {graph.input = "d", graph.batch_dimension = 0 : i64,
                                         sharding.layout = #sharding.layout<@mesh, [{"data"}, {}]>})
    -> (tensor<3x2xf32> {graph.gradient = "w"}) {
  %0 = graph.matmul %x, %d batch [] x [] contract [0] x [0] : tensor<4x3xf32>, tensor<4x2xf32>
  return %0 : tensor<3x2xf32>
}

// -----

// Summands over all axes that cut an input, in the order of the mesh.

sharding.mesh @mesh ["data" = 2, "context" = 2]

// CHECK-LABEL: @gradient_of_pieces
// CHECK-SAME: partial = sum {"data", "context"}>})
// CHECK: graph.matmul {{.*}} sharding.layouts = [#sharding.layout<@mesh, [{}, {}], partial = sum {"data", "context"}>]
func.func @gradient_of_pieces(%w: tensor<3x2xf32> {graph.parameter = "w"},
                              %x: tensor<4x6x3xf32> {graph.input = "x", graph.batch_dimension = 0 : i64, graph.sequence_dimension = 1 : i64,
                                                     sharding.layout = #sharding.layout<@mesh, [{"data"}, {"context"}, {}]>},
                              %d: tensor<4x6x2xf32> {graph.input = "d", graph.batch_dimension = 0 : i64,
                                                     sharding.layout = #sharding.layout<@mesh, [{"data"}, {}, {}]>})
    -> (tensor<3x2xf32> {graph.gradient = "w"}) {
  %0 = graph.matmul %x, %d batch [] x [] contract [0, 1] x [0, 1] : tensor<4x6x3xf32>, tensor<4x6x2xf32>
  return %0 : tensor<3x2xf32>
}

// -----

sharding.mesh @mesh ["tensor" = 2]

// expected-error @+1 {{dimension 0 of size 7 does not split over {"tensor"} of size 2; run pad-parameters first}}
func.func @uneven(%x: tensor<7xf32> {sharding.layout = #sharding.layout<@mesh, [{"tensor"}]>}) -> tensor<7xf32> {
  return %x : tensor<7xf32>
}

// -----

// What is returned as summands stays that, though it grows: a gradient of a few rows of a table.

sharding.mesh @mesh ["data" = 2]

// CHECK-LABEL: @returned_summands
// CHECK: graph.pad {{.*}} sharding.layouts = [#sharding.layout<@mesh, [{}, {}], partial = sum {"data"}>]
// CHECK: graph.pad {{.*}} sharding.layouts = [#sharding.layout<@mesh, [{}, {}]>]
func.func @returned_summands(%t: tensor<8x6xf32> {graph.parameter = "t"},
                             %x: tensor<4x2x6xf32> {graph.input = "x", graph.batch_dimension = 0 : i64,
                                                    sharding.layout = #sharding.layout<@mesh, [{"data"}, {}, {}]>})
    -> (tensor<8x6xf32> {graph.gradient = "t"}, tensor<8x6xf32>) {
  %zero = graph.constant dense<0.0> : tensor<f32>
  %0 = graph.reduce_sum %x dims [0] : tensor<4x2x6xf32>
  %1 = graph.pad %0, %zero low [0, 0] high [6, 0] interior [0, 0] : tensor<2x6xf32>, tensor<f32>
  %y = graph.neg %x : tensor<4x2x6xf32>
  %2 = graph.reduce_sum %y dims [0] : tensor<4x2x6xf32>
  %3 = graph.pad %2, %zero low [0, 0] high [6, 0] interior [0, 0] : tensor<2x6xf32>, tensor<f32>
  return %1, %3 : tensor<8x6xf32>, tensor<8x6xf32>
}

// -----

// Without `sharding.attention`: heads where those of keys and values divide behind the axes that split them, else blocks go
// round. A mask along the sequence does not fit a ring; where heads do not divide either, operands are gathered.

#pieces = #sharding.layout<@mesh, [{}, {"tensor"}, {"context"}, {}]>

sharding.mesh @mesh ["context" = 2, "tensor" = 2]

// CHECK-LABEL: @attention_by_itself
// CHECK: graph.attention {{.*}}sharding.factors = #sharding.factors<[{}, {"tensor", "context"}, {}, {}, {}]>, sharding.layouts = [#sharding.layout<@mesh, [{}, {"tensor"}, {"context"}, {}]>, #sharding.layout<@mesh, [{}, {"tensor"}, {"context"}]>]
// CHECK: graph.attention {{.*}}sharding.factors = #sharding.factors<[{}, {"tensor"}, {}, {"context"}, {}, {}]>, sharding.layouts = [#sharding.layout<@mesh, [{}, {"tensor"}, {"context"}, {}]>, #sharding.layout<@mesh, [{}, {"tensor"}, {"context"}]>]
// CHECK: graph.attention {{.*}} mask {{.*}}sharding.factors = #sharding.factors<[{}, {"tensor"}, {}, {}, {}, {}, {}]>, sharding.layouts = [#sharding.layout<@mesh, [{}, {"tensor"}, {}, {}]>, #sharding.layout<@mesh, [{}, {"tensor"}, {}]>]
func.func @attention_by_itself(%q: tensor<2x4x6x8xf32> {sharding.layout = #pieces}, %k: tensor<2x2x6x8xf32> {sharding.layout = #pieces},
                               %m: tensor<1x1x6x6xi1>)
    -> (tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>) {
  %a:2 = graph.attention %q, %q, %q scale 0.5 causal : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>
  %b:2 = graph.attention %q, %k, %k scale 0.5 causal : tensor<2x4x6x8xf32>, tensor<2x2x6x8xf32>, tensor<2x2x6x8xf32>
  %c:2 = graph.attention %q, %k, %k mask %m scale 0.5
      : tensor<2x4x6x8xf32>, tensor<2x2x6x8xf32>, tensor<2x2x6x8xf32>, tensor<1x1x6x6xi1>
  return %a#0, %b#0, %c#0 : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>
}

// -----

// Heads that do not divide are refused, all of them; of layers that are alike the first.

#pieces = #sharding.layout<@mesh, [{}, {"tensor"}, {"context"}, {}]>

module attributes {sharding.attention = "ulysses"} {
sharding.mesh @mesh ["context" = 2, "tensor" = 2]

func.func @too_few_heads(%q: tensor<2x4x6x8xf32> {sharding.layout = #pieces}, %k: tensor<2x2x6x8xf32> {sharding.layout = #pieces},
                         %l: tensor<2x6x6x8xf32> {sharding.layout = #pieces},
                         %x: tensor<2x1x6x8xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {}, {"context"}, {}]>}) {
  // expected-error @+1 {{2 key/value heads do not split over {"tensor", "context"} of size 4 as deepshard.attention "ulysses" asks; choose sizes that divide them, or "auto" or "ring"}}
  %a:2 = graph.attention %q, %k, %k scale 0.5 causal : tensor<2x4x6x8xf32>, tensor<2x2x6x8xf32>, tensor<2x2x6x8xf32>
  %b:2 = graph.attention %q, %k, %k scale 0.5 causal : tensor<2x4x6x8xf32>, tensor<2x2x6x8xf32>, tensor<2x2x6x8xf32>
  // expected-error @+1 {{6 key/value heads do not split over {"tensor", "context"} of size 4}}
  %c:2 = graph.attention %l, %l, %l scale 0.5 : tensor<2x6x6x8xf32>, tensor<2x6x6x8xf32>, tensor<2x6x6x8xf32>
  // expected-error @+1 {{1 key/value head does not split over {"context"} of size 2}}
  %d:2 = graph.attention %q, %x, %x scale 0.5 : tensor<2x4x6x8xf32>, tensor<2x1x6x8xf32>, tensor<2x1x6x8xf32>
  return
}
}

// -----

#pieces = #sharding.layout<@mesh, [{}, {}, {"context"}, {}]>

module attributes {sharding.attention = "ring"} {
sharding.mesh @mesh ["context" = 2]

func.func @mask_along_the_ring(%q: tensor<2x4x6x8xf32> {sharding.layout = #pieces}, %m: tensor<1x1x6x6xi1>) {
  // expected-error @+1 {{keys and values cannot go round the ranks of {"context"} as deepshard.attention "ring" asks: that takes as many queries as keys and no mask along them; choose "auto" or "ulysses"}}
  %a:2 = graph.attention %q, %q, %q mask %m scale 0.5
      : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<1x1x6x6xi1>
  return
}
}

// -----

// What a broadcast repeats is split as what it is read beside, the rows of a table's gradient as they are returned: no
// rank makes more than its part.

sharding.mesh @mesh ["data" = 2, "tensor" = 2]

// CHECK-LABEL: @dimensions_of_results_alone
// CHECK: graph.broadcast {{.*}} {sharding.factors = #sharding.factors<[{"data"}, {}, {}]>, sharding.layouts = [#sharding.layout<@mesh, [{"data"}, {}, {}]>]}
// CHECK: graph.mul {{.*}} sharding.layouts = [#sharding.layout<@mesh, [{"data"}, {}, {}]>]
// CHECK: graph.embedding_grad {{.*}} sharding.layouts = [#sharding.layout<@mesh, [{"tensor"}, {}], partial = sum {"data"}>]
func.func @dimensions_of_results_alone(%d: tensor<f32>, %w: tensor<6x8xf32> {graph.parameter = "w", sharding.layout = #sharding.layout<@mesh, [{"tensor"}, {}]>},
                                       %x: tensor<4x3x8xf32> {graph.input = "x", graph.batch_dimension = 0 : i64, sharding.layout = #sharding.layout<@mesh, [{"data"}, {}, {}]>},
                                       %i: tensor<4x3xi64> {graph.input = "i", graph.batch_dimension = 0 : i64, sharding.layout = #sharding.layout<@mesh, [{"data"}, {}]>})
    -> (tensor<6x8xf32> {graph.gradient = "w"}) {
  %0 = graph.broadcast %d [] : tensor<f32> to tensor<4x3x8xf32>
  %1 = graph.mul %0, %x : tensor<4x3x8xf32>, tensor<4x3x8xf32>
  %2 = graph.embedding_grad %1, %i rows 6 : tensor<4x3x8xf32>, tensor<4x3xi64>
  return %2 : tensor<6x8xf32>
}
