// RUN: ds-opt %s | ds-opt - | FileCheck %s
// RUN: ds-opt %s --mlir-print-op-generic | ds-opt - | FileCheck %s

sharding.mesh @mesh ["data" = 2, "tensor" = 2]

// CHECK-LABEL: plan.program @train streams ["compute", "copy"] arena 4096 max_live 4000 window 64 max_live 64
plan.program @train streams ["compute", "copy"] arena 4096 max_live 4000 window 64 max_live 64 {
  // CHECK: %[[W:.*]] = plan.buffer "parameter.0" persistent bytes 4096 align 64 offset 0
  %w = plan.buffer "parameter.0" persistent bytes 4096 align 64 offset 0
  // CHECK: plan.buffer "two" persistent bytes 2 align 2 constant dense<[1, 2]> : tensor<2xi8>
  %c = plan.buffer "two" persistent bytes 2 align 2 constant dense<[1, 2]> : tensor<2xi8>
  // CHECK: plan.buffer "x" transient bytes 256 align 64
  %x = plan.buffer "x" transient bytes 256 align 64
  // CHECK: %[[S:.*]] = plan.buffer "shared" step window bytes 64 align 64
  %s = plan.buffer "shared" step window bytes 64 align 64
  // CHECK: plan.segment @micro_batch {
  plan.segment @micro_batch {
    // CHECK: %[[V:.*]] = plan.view %[[W]] offset 64 : <4x8xf32>
    %0 = plan.view %w offset 64 : !plan.view<4x8xf32 strides [8, 1]>
    // CHECK: plan.view %[[W]] offset 0 : <8x4xf32 strides [1, 8]>
    %1 = plan.view %w offset 0 : !plan.view<8x4xf32 strides [1, 8]>
    // CHECK: plan.view %{{.*}} offset 0 : <f32>
    %2 = plan.view %x offset 0 : !plan.view<f32>
    // CHECK: plan.feed "ids" %[[V]] on 0 batch_dimension -1 : <4x8xf32>
    plan.feed "ids" %0 on 0 batch_dimension -1 : !plan.view<4x8xf32>
    // CHECK: plan.feed "rows" %[[V]] on 0 batch_dimension 0 in <@mesh, [{"data"}, {}]> : <4x8xf32>
    plan.feed "rows" %0 on 0 batch_dimension 0 in <@mesh, [{"data"}, {}]> : !plan.view<4x8xf32>
    // CHECK: %[[ALL:.*]] = plan.view %[[S]] offset 0 : <16xf32>
    %4 = plan.view %s offset 0 : !plan.view<16xf32>
    // CHECK: %[[OWN:.*]] = plan.view %[[S]] offset 0 by [#plan.axis_stride<axis = <"data">, bytes = 32>] : <8xf32>
    %5 = plan.view %s offset 0 by [#plan.axis_stride<axis = <"data">, bytes = 32>] : !plan.view<8xf32>
    // CHECK: plan.collective "reduce_scatter" "sum" over <{"data"}> in(%[[ALL]] : <16xf32>) out(%[[OWN]] : <8xf32>) split 0 concat 0 sources [] on 1 sequence 3 phase "backward"
    plan.collective "reduce_scatter" "sum" over <{"data"}> in(%4 : !plan.view<16xf32>) out(%5 : !plan.view<8xf32>) split 0 concat 0 sources [] on 1 sequence 3 phase "backward"
    // CHECK: plan.record 0 on 0
    plan.record 0 on 0
    // CHECK: plan.wait 0 on 1
    plan.wait 0 on 1
    // CHECK: plan.launch "reference" "reduce_sum" ins(%[[V]] : {{.*}}<4x8xf32>) outs(%{{.*}} : {{.*}}<f32>) workspace(%{{.*}} : {{.*}}<8x4xf32 strides [1, 8]>) on 1 attributes {dims = array<i64: 0, 1>} flops 32 phase "forward"
    plan.launch "reference" "reduce_sum" ins(%0 : !plan.view<4x8xf32>) outs(%2 : !plan.view<f32>) workspace(%1 : !plan.view<8x4xf32 strides [1, 8]>) on 1 attributes {dims = array<i64: 0, 1>} flops 32 phase "forward"
  }
  %3 = plan.view %w offset 0 : !plan.view<16xf32>
  // CHECK: plan.bucket "parameter.0" "parameter" elements 32 over <{"data"}> %{{.*}} : <16xf32>
  plan.bucket "parameter.0" "parameter" elements 32 over <{"data"}> %3 : !plan.view<16xf32>
  // CHECK: plan.bucket "loss_scale.0" "loss_scale" elements 16 over <{}> %{{.*}} initial dense<2.000000e+00> : tensor<16xf32> : <16xf32>
  plan.bucket "loss_scale.0" "loss_scale" elements 16 over <{}> %3 initial dense<2.0> : tensor<16xf32> : !plan.view<16xf32>
  // CHECK: plan.parameter "h.weight" : tensor<15xf32> in "parameter.0" at 0 cut [15] padded [16] layout <@mesh, [{"tensor"}]> from #graph.storage<file = "m.pt", offset = 64, element_type = f32, strides = [1]> {aliases = ["tied"], trainable = true}
  plan.parameter "h.weight" : tensor<15xf32> in "parameter.0" at 0 cut [15] padded [16] layout <@mesh, [{"tensor"}]> from #graph.storage<file = "m.pt", offset = 64, element_type = f32, strides = [1]> {aliases = ["tied"], trainable = true}
  // CHECK: plan.run_state "learning_rate"
  plan.run_state "learning_rate" %3 : !plan.view<16xf32>
  // CHECK: plan.metric "loss"
  plan.metric "loss" %3 : !plan.view<16xf32>
  // CHECK: plan.run_state "part" over <{"data", "tensor"}>
  plan.run_state "part" over <{"data", "tensor"}> %3 : !plan.view<16xf32>
  // CHECK: plan.schedule [#plan.call<@micro_batch, micro_batch = 1, slot = 0>]
  plan.schedule [#plan.call<@micro_batch, micro_batch = 1, slot = 0>]
}
