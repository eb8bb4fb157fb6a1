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

// Queries stay, blocks of keys and values go to the next rank, each before the work on the one at hand. Behind the first step
// the ranks differ in what is causal. o is merged by the softmax's denominators; gradients of keys and values come home.

#pieces = #sharding.layout<@mesh, [{"data"}, {}, {"context"}, {}]>

module attributes {sharding.attention = "ring"} {
sharding.mesh @mesh ["data" = 2, "context" = 3]

// CHECK-LABEL: @ring_attention
// CHECK-SAME: %[[Q:.*]]: tensor<1x4x2x8xf32> {{{.*}}}, %[[K:.*]]: tensor<1x2x2x8xf32> {{{.*}}}, %[[V:.*]]: tensor<1x2x2x8xf32> {{{.*}}}, %[[D:.*]]: tensor<1x4x2x8xf32>
// CHECK: %[[I:.*]] = sharding.axis_index over @mesh {"context"}
// CHECK-NEXT: %[[K1:.*]] = sharding.permute %[[K]] over @mesh {"context"} sources [2, 0, 1] : tensor<1x2x2x8xf32>
// CHECK-NEXT: %[[V1:.*]] = sharding.permute %[[V]] over @mesh {"context"} sources [2, 0, 1]
// CHECK-NEXT: %[[O0:.*]], %[[L0:.*]] = graph.attention %[[Q]], %[[K]], %[[V]] scale 5.000000e-01 causal :
// CHECK: %[[K2:.*]] = sharding.permute %[[K1]] over
// CHECK-NEXT: %[[V2:.*]] = sharding.permute %[[V1]] over
// CHECK: %[[BEHIND:.*]] = graph.compare "ge" %[[I]], %{{.*}}
// CHECK: %[[AHEAD:.*]] = graph.select %[[BEHIND]]
// CHECK-NEXT: %[[O1:.*]], %[[L1:.*]] = graph.attention %[[Q]], %[[K1]], %[[V1]] scale 5.000000e-01 causal diagonal %[[AHEAD]]
// CHECK: graph.maximum
// CHECK: graph.attention %[[Q]], %[[K2]], %[[V2]] scale 5.000000e-01 causal diagonal
// CHECK: %[[O:.*]] = graph.add %{{.*}}, %{{.*}} : tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>
// CHECK: %[[DQ0:.*]], %[[DK0:.*]], %[[DV0:.*]] = graph.attention_grad %[[D]], %[[Q]], %[[K]], %[[V]], %[[O]], %[[L:.*]] scale 5.000000e-01 causal :
// CHECK: %[[DK:.*]] = sharding.permute %[[DK0]] over @mesh {"context"} sources [2, 0, 1]
// CHECK-NEXT: %[[DV:.*]] = sharding.permute %[[DV0]]
// CHECK: %[[DQ1:.*]], %[[DK1:.*]], %[[DV1:.*]] = graph.attention_grad %[[D]], %[[Q]], %{{.*}}, %{{.*}}, %[[O]], %[[L]] scale 5.000000e-01 causal diagonal
// CHECK-NEXT: graph.add %[[DQ0]], %[[DQ1]]
// CHECK-NEXT: graph.add %[[DK]], %[[DK1]]
// CHECK-NEXT: graph.add %[[DV]], %[[DV1]]
// CHECK: graph.attention_grad
// CHECK: %[[KHOME:.*]] = sharding.permute
// CHECK-NEXT: %[[VHOME:.*]] = sharding.permute
// CHECK-NEXT: return %[[O]], %{{.*}}, %[[KHOME]], %[[VHOME]]
func.func @ring_attention(%q: tensor<2x4x6x8xf32> {sharding.layout = #pieces}, %k: tensor<2x2x6x8xf32> {sharding.layout = #pieces},
                          %v: tensor<2x2x6x8xf32> {sharding.layout = #pieces}, %d: tensor<2x4x6x8xf32> {sharding.layout = #pieces})
    -> (tensor<2x4x6x8xf32> {sharding.layout = #pieces}, tensor<2x4x6x8xf32> {sharding.layout = #pieces},
        tensor<2x2x6x8xf32> {sharding.layout = #pieces}, tensor<2x2x6x8xf32> {sharding.layout = #pieces}) {
  %o, %l = graph.attention %q, %k, %v scale 0.5 causal : tensor<2x4x6x8xf32>, tensor<2x2x6x8xf32>, tensor<2x2x6x8xf32>
  %dq, %dk, %dv = graph.attention_grad %d, %q, %k, %v, %o, %l scale 0.5 causal
      : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x2x6x8xf32>, tensor<2x2x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6xf32>
  return %o, %dq, %dk, %dv : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x2x6x8xf32>, tensor<2x2x6x8xf32>
}

// Sums are kept in f32, keys and values travel as they are; without a causal mask the ranks do not differ.
// CHECK-LABEL: @ring_in_bf16
// CHECK-NOT: sharding.axis_index
// CHECK: sharding.permute {{.*}} : tensor<1x2x2x8xbf16>
// CHECK: %[[O0:.*]], %[[L0:.*]] = graph.attention
// CHECK-NEXT: graph.convert %[[O0]] : tensor<1x4x2x8xbf16> to tensor<1x4x2x8xf32>
// CHECK: %[[O:.*]] = graph.convert %{{.*}} : tensor<1x4x2x8xf32> to tensor<1x4x2x8xbf16>
// CHECK: return %[[O]]
func.func @ring_in_bf16(%q: tensor<2x4x6x8xbf16> {sharding.layout = #pieces}, %k: tensor<2x2x6x8xbf16> {sharding.layout = #pieces})
    -> (tensor<2x4x6x8xbf16> {sharding.layout = #pieces}) {
  %o, %l = graph.attention %q, %k, %k scale 0.5 : tensor<2x4x6x8xbf16>, tensor<2x2x6x8xbf16>, tensor<2x2x6x8xbf16>
  return %o : tensor<2x4x6x8xbf16>
}
}

// -----

// Heads are split instead of the sequence, behind the axis that splits them anyway, and back behind the attention; its gradient
// reads queries, keys, values, o and lse as the attention had them.

#pieces = #sharding.layout<@mesh, [{}, {"tensor"}, {"context"}, {}]>

module attributes {sharding.attention = "ulysses"} {
sharding.mesh @mesh ["context" = 2, "tensor" = 2]

// CHECK-LABEL: @ulysses_attention
// CHECK-SAME: %[[Q:.*]]: tensor<2x4x3x8xf32> {{{.*}}}, %[[K:.*]]: tensor<2x2x3x8xf32> {{{.*}}}, %[[D:.*]]: tensor<2x4x3x8xf32>
// CHECK-NEXT: %[[QH:.*]] = sharding.all_to_all %[[Q]] over @mesh {"context"} split 1 concat 2 : tensor<2x4x3x8xf32> to tensor<2x2x6x8xf32>
// CHECK-NEXT: %[[KH:.*]] = sharding.all_to_all %[[K]] over @mesh {"context"} split 1 concat 2 : tensor<2x2x3x8xf32> to tensor<2x1x6x8xf32>
// CHECK-NEXT: %[[O:.*]], %[[L:.*]] = graph.attention %[[QH]], %[[KH]], %[[KH]] scale 5.000000e-01 causal
// CHECK-NEXT: %[[OS:.*]] = sharding.all_to_all %[[O]] over @mesh {"context"} split 2 concat 1 : tensor<2x2x6x8xf32> to tensor<2x4x3x8xf32>
// CHECK: %[[DH:.*]] = sharding.all_to_all %[[D]] over @mesh {"context"} split 1 concat 2
// CHECK-NEXT: %[[DQ:.*]], %[[DK:.*]], %[[DV:.*]] = graph.attention_grad %[[DH]], %[[QH]], %[[KH]], %[[KH]], %[[O]], %[[L]]
// CHECK-NEXT: %[[DQS:.*]] = sharding.all_to_all %[[DQ]] over @mesh {"context"} split 2 concat 1
// CHECK-NEXT: %[[DKS:.*]] = sharding.all_to_all %[[DK]]
// CHECK-NEXT: %[[DVS:.*]] = sharding.all_to_all %[[DV]]
// CHECK-NEXT: return %[[OS]], %[[DQS]], %[[DKS]], %[[DVS]]
func.func @ulysses_attention(%q: tensor<2x8x6x8xf32> {sharding.layout = #pieces}, %k: tensor<2x4x6x8xf32> {sharding.layout = #pieces},
                             %d: tensor<2x8x6x8xf32> {sharding.layout = #pieces})
    -> (tensor<2x8x6x8xf32> {sharding.layout = #pieces}, tensor<2x8x6x8xf32> {sharding.layout = #pieces},
        tensor<2x4x6x8xf32> {sharding.layout = #pieces}, tensor<2x4x6x8xf32> {sharding.layout = #pieces}) {
  %o, %l = graph.attention %q, %k, %k scale 0.5 causal : tensor<2x8x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>
  %dq, %dk, %dv = graph.attention_grad %d, %q, %k, %k, %o, %l scale 0.5 causal
      : tensor<2x8x6x8xf32>, tensor<2x8x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x8x6x8xf32>, tensor<2x8x6xf32>
  return %o, %dq, %dk, %dv : tensor<2x8x6x8xf32>, tensor<2x8x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>
}
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

// -----

// What is inserted for an op that is computed again is marked too: what moves data between ranks only if that is to be done
// again ("full").

sharding.mesh @mesh ["tensor" = 2]

// CHECK-LABEL: @marks
// CHECK: sharding.all_gather {{.*}} {graph.phase = "forward", graph.recompute = "full"}
// CHECK: graph.softmax {{.*}}graph.phase = "forward", graph.recompute = "full"
// CHECK: sharding.all_gather {{.*}} {graph.phase = "forward"}
// CHECK: graph.softmax {{.*}}graph.phase = "forward", graph.recompute = "selective"
func.func @marks(%x: tensor<4x8xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {"tensor"}]>},
                 %z: tensor<4x8xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {"tensor"}]>}) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %0 = graph.softmax %x dim 1 {graph.phase = "forward", graph.recompute = "full"} : tensor<4x8xf32>
  %1 = graph.softmax %z dim 1 {graph.phase = "forward", graph.recompute = "selective"} : tensor<4x8xf32>
  return %0, %1 : tensor<4x8xf32>, tensor<4x8xf32>
}
