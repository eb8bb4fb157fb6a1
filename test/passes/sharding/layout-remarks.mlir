// RUN: ds-opt %s --propagate-layouts --remarks-filter=layout --remark-format=emitRemark 2>&1 >/dev/null | FileCheck %s --check-prefix=LAYOUT
// RUN: ds-opt %s --propagate-layouts --remarks-filter=reshard --remark-format=emitRemark 2>&1 >/dev/null | FileCheck %s --check-prefix=RESHARD

// What propagate-layouts says of its choices: where each axis comes from, however many ops lie between, and what has to
// be moved. A value that two ops read alike is moved once.

sharding.mesh @mesh ["data" = 2, "tensor" = 2]

// LAYOUT: layout-remarks.mlir:[[#@LINE+13]]:{{.*}}linear: [{"data"}, {"tensor"}], "data" from ids, "tensor" from up
// LAYOUT: layout-remarks.mlir:[[#@LINE+13]]:{{.*}}gelu: [{"data"}, {"tensor"}], "data" from ids, "tensor" from up
// LAYOUT: layout-remarks.mlir:[[#@LINE+13]]:{{.*}}linear: [{"data"}, {}], partial = sum {"tensor"}, "data" from ids, "tensor" from up
// LAYOUT: layout-remarks.mlir:[[#@LINE+13]]:{{.*}}tanh: [{"data"}, {}], "data" from ids
// LAYOUT: layout-remarks.mlir:[[#@LINE+13]]:{{.*}}exp: [{"data"}, {}], "data" from ids
// LAYOUT: layout-remarks.mlir:[[#@LINE+14]]:{{.*}}broadcast: [{"data"}, {}], "data" from what reads it

// RESHARD: layout-remarks.mlir:[[#@LINE+9]]:{{.*}}tanh: tensor<4x8xf32> goes from [{"data"}, {}], partial = sum {"tensor"} to [{"data"}, {}]: all_reduce {"tensor"}; a rank receives 0.1 KiB
// RESHARD: layout-remarks.mlir:[[#@LINE+12]]:{{.*}}result 1: tensor<4x8xf32> goes from [{"data"}, {}] to [{}, {}]: all_gather {"data"}; a rank receives 0.1 KiB
// RESHARD-NOT: Remark="exp
func.func @f(%x: tensor<4x8xf32> {graph.input = "ids", sharding.layout = #sharding.layout<@mesh, [{"data"}, {}]>},
             %w: tensor<8x6xf32> {graph.parameter = "up", sharding.layout = #sharding.layout<@mesh, [{}, {"tensor"}]>},
             %v: tensor<6x8xf32> {graph.parameter = "down"}) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %0 = graph.linear %x, %w : tensor<4x8xf32>, tensor<8x6xf32>
  %1 = graph.gelu %0 : tensor<4x6xf32>
  %2 = graph.linear %1, %v : tensor<4x6xf32>, tensor<6x8xf32>
  %3 = graph.tanh %2 : tensor<4x8xf32>
  %4 = graph.exp %2 : tensor<4x8xf32>
  %c = graph.constant dense<2.0> : tensor<f32>
  %5 = graph.broadcast %c [] : tensor<f32> to tensor<4x8xf32>
  %6 = graph.mul %4, %5 : tensor<4x8xf32>, tensor<4x8xf32>
  return %3, %6 : tensor<4x8xf32>, tensor<4x8xf32>
}

// By heads: queries, keys and values are moved, and o back; the gradient reads them, o and lse as they came, and moves its own.

#pieces = #sharding.layout<@mesh, [{}, {}, {"data"}, {}]>

// RESHARD: layout-remarks.mlir:[[#@LINE+13]]:{{.*}}Remark="attention: tensor<2x4x6x8xf32> goes from [{}, {}, {"data"}, {}] to [{}, {"data"}, {}, {}]: all_to_all {"data"}
// RESHARD: Remark="attention: tensor<2x2x6x8xf32> goes from [{}, {}, {"data"}, {}] to [{}, {"data"}, {}, {}]: all_to_all {"data"}
// RESHARD: Remark="attention: tensor<2x4x6x8xf32> goes from [{}, {"data"}, {}, {}] to [{}, {}, {"data"}, {}]: all_to_all {"data"}
// RESHARD: Remark="attention_grad: tensor<2x4x6x8xf32> goes from [{}, {}, {"data"}, {}] to [{}, {"data"}, {}, {}]: all_to_all {"data"}
// RESHARD: Remark="attention_grad: tensor<2x4x6x8xf32> goes from [{}, {"data"}, {}, {}] to [{}, {}, {"data"}, {}]: all_to_all {"data"}
// RESHARD: Remark="attention_grad: tensor<2x2x6x8xf32> goes from
// RESHARD: Remark="attention_grad: tensor<2x2x6x8xf32> goes from
// One key/value head does not divide: its block goes to the next rank once, 2 x 1 x 3 x 8 numbers of k and of v.
// RESHARD: Remark="attention: blocks go round {"data"}; a rank receives 0.4 KiB
// RESHARD-NOT: Remark=
func.func @g(%q: tensor<2x4x6x8xf32> {sharding.layout = #pieces}, %k: tensor<2x2x6x8xf32> {sharding.layout = #pieces},
             %d: tensor<2x4x6x8xf32> {sharding.layout = #pieces}, %x: tensor<2x1x6x8xf32> {sharding.layout = #pieces})
    -> (tensor<2x4x6x8xf32> {sharding.layout = #pieces}, tensor<2x4x6x8xf32> {sharding.layout = #pieces}) {
  %o, %l = graph.attention %q, %k, %k scale 0.5 causal : tensor<2x4x6x8xf32>, tensor<2x2x6x8xf32>, tensor<2x2x6x8xf32>
  %y = graph.tanh %o : tensor<2x4x6x8xf32>
  %dq, %dk, %dv = graph.attention_grad %d, %q, %k, %k, %o, %l scale 0.5 causal
      : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x2x6x8xf32>, tensor<2x2x6x8xf32>, tensor<2x4x6x8xf32>, tensor<2x4x6xf32>
  %a = graph.neg %dk : tensor<2x2x6x8xf32>
  %b = graph.neg %dv : tensor<2x2x6x8xf32>
  %r, %m = graph.attention %q, %x, %x scale 0.5 causal : tensor<2x4x6x8xf32>, tensor<2x1x6x8xf32>, tensor<2x1x6x8xf32>
  return %y, %dq : tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>
}
