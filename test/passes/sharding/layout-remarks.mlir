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
