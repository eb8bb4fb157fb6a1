// RUN: ds-opt %s | ds-opt - | FileCheck %s
// RUN: ds-opt %s -mlir-print-op-generic | ds-opt - | FileCheck %s
// RUN: ds-opt %s -emit-bytecode | ds-opt - | FileCheck %s
// RUN: ds-opt %s -cse -canonicalize | FileCheck %s --check-prefix=CSE

// CHECK: sharding.mesh @mesh ["data" = 4, "tensor" = 2]
sharding.mesh @mesh ["data" = 4, "tensor" = 2]

#column = #sharding.layout<@mesh, [{}, {"tensor"}]>

// CHECK-LABEL: @global
// CHECK-NEXT: sharding.constraint %{{.*}} : tensor<8x16xf32> to <@mesh, [{"data"}, {}]>
// CHECK-NEXT: sharding.reshard %{{.*}} : tensor<8x16xf32> to <@mesh, [{}, {"data":(1)2, "tensor"}], partial = sum {"data":(2)2} in f32>
// CHECK-NEXT: sharding.reshard %{{.*}} : tensor<8x16xf32> to <@mesh, [{}, {}], memory = host>
// CHECK-NEXT: sharding.reshard %{{.*}} : tensor<8x16xf32> to <@mesh, [{}, {"tensor"}]>
func.func @global(%x: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %0 = sharding.constraint %x : tensor<8x16xf32> to <@mesh, [{"data"}, {}]>
  %1 = sharding.reshard %0 : tensor<8x16xf32> to <@mesh, [{}, {"data":(1)2, "tensor"}], partial = sum {"data":(2)2} in f32>
  %2 = sharding.reshard %1 : tensor<8x16xf32> to <@mesh, [{}, {}], memory = host>
  %3 = sharding.reshard %2 : tensor<8x16xf32> to #column
  return %3 : tensor<8x16xf32>
}

// CHECK-LABEL: @local
// CHECK-NEXT: sharding.all_gather %{{.*}} over @mesh {"data"} dim 0 : tensor<2x4xf32> to tensor<8x4xf32>
// CHECK-NEXT: sharding.reduce_scatter sum %{{.*}} over @mesh {"data", "tensor"} dim 0 : tensor<8x4xf32> to tensor<1x4xf32>
// CHECK-NEXT: sharding.all_reduce max %{{.*}} over @mesh {"data":(2)2} : tensor<1x4xf32>
// CHECK-NEXT: sharding.all_to_all %{{.*}} over @mesh {"tensor"} split 1 concat 0 : tensor<1x4xf32> to tensor<2x2xf32>
// CHECK-NEXT: sharding.permute %{{.*}} over @mesh {"data"} sources [1, 2, 3, 0] : tensor<2x2xf32>
// CHECK-NEXT: sharding.local_slice %{{.*}} over @mesh {"tensor"} dim 1 : tensor<2x2xf32> to tensor<2x1xf32>
// CHECK-NEXT: sharding.axis_index over @mesh {"data", "tensor"} : tensor<i64>
// CHECK-NEXT: sharding.pack %{{.*}}, %{{.*}} offsets [0, 16] : tensor<2x4xf32>, tensor<2x1xf32> to tensor<32xf32>
func.func @local(%x: tensor<2x4xf32>) -> (tensor<32xf32>, tensor<i64>) {
  %0 = sharding.all_gather %x over @mesh {"data"} dim 0 : tensor<2x4xf32> to tensor<8x4xf32>
  %1 = sharding.reduce_scatter sum %0 over @mesh {"data", "tensor"} dim 0 : tensor<8x4xf32> to tensor<1x4xf32>
  %2 = sharding.all_reduce max %1 over @mesh {"data":(2)2} : tensor<1x4xf32>
  %3 = sharding.all_to_all %2 over @mesh {"tensor"} split 1 concat 0 : tensor<1x4xf32> to tensor<2x2xf32>
  %4 = sharding.permute %3 over @mesh {"data"} sources [1, 2, 3, 0] : tensor<2x2xf32>
  %5 = sharding.local_slice %4 over @mesh {"tensor"} dim 1 : tensor<2x2xf32> to tensor<2x1xf32>
  %6 = sharding.axis_index over @mesh {"data", "tensor"} : tensor<i64>
  %7 = sharding.pack %x, %5 offsets [0, 16] : tensor<2x4xf32>, tensor<2x1xf32> to tensor<32xf32>
  return %7, %6 : tensor<32xf32>, tensor<i64>
}

// CHECK-LABEL: @attributes
// CHECK-SAME: {sharding.layout = #sharding.layout<@mesh, [{"data", "tensor"}, {}]>}
// CHECK-SAME: {sharding.layout = #sharding.layout<@mesh, [{}, {"data":(2)2, "data":(1)2}], partial = max {"tensor"}, memory = disk>}
// CHECK: sharding.factors = #sharding.factors<[{"data"}, {}, {"tensor"}]>
// CHECK-SAME: sharding.layouts = [#sharding.layout<@mesh, [{"data"}, {"tensor"}]>]
func.func @attributes(%x: tensor<8x16xf32> {sharding.layout = #sharding.layout<@mesh, [{"data", "tensor"}, {}]>})
    -> (tensor<8x16xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {"data":(2)2, "data":(1)2}], partial = max {"tensor"}, memory = disk>}) {
  %0 = graph.tanh %x {sharding.layouts = [#sharding.layout<@mesh, [{"data"}, {"tensor"}]>], sharding.factors = #sharding.factors<[{"data"}, {}, {"tensor"}]>} : tensor<8x16xf32>
  return %0 : tensor<8x16xf32>
}

// A rank alone has a mesh of no axes.
// CHECK: sharding.mesh @alone []
module {
  sharding.mesh @alone []
}

// All ranks run the same program, so equal collectives are one and unused ones go.
// CSE-LABEL: @twice
// CSE-NEXT: %[[SUM:.*]] = sharding.all_reduce sum
// CSE-NEXT: return %[[SUM]], %[[SUM]]
func.func @twice(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %0 = sharding.all_reduce sum %x over @mesh {"data"} : tensor<4xf32>
  %1 = sharding.all_reduce sum %x over @mesh {"data"} : tensor<4xf32>
  %2 = sharding.all_reduce sum %x over @mesh {"tensor"} : tensor<4xf32>
  return %0, %1 : tensor<4xf32>, tensor<4xf32>
}
