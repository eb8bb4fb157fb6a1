// RUN: ds-opt %s -split-input-file --pass-pipeline='builtin.module(plan.program(synchronize-streams))' | FileCheck %s

// The collective waits for the launch before it; the launch that reads its result waits for it, the one between does
// not.

sharding.mesh @mesh ["data" = 2]

// CHECK-LABEL: plan.program @overlap
// CHECK: plan.launch "reference" "fill"
// CHECK: plan.record 0 on 0
// CHECK-NEXT: plan.wait 0 on 1
// CHECK-NEXT: plan.collective "all_reduce"
// CHECK-NEXT: plan.record 1 on 1
// CHECK-NEXT: plan.launch "reference" "iota"
// CHECK-NEXT: plan.wait 1 on 0
// CHECK-NEXT: plan.launch "reference" "add"
plan.program @overlap streams ["compute", "communication"] {
  %a = plan.buffer "a" transient window bytes 16 align 64
  %b = plan.buffer "b" transient bytes 16 align 64
  plan.segment @s {
    %0 = plan.view %a offset 0 : !plan.view<4xf32>
    %1 = plan.view %b offset 0 : !plan.view<4xf32>
    plan.launch "reference" "fill" ins() outs(%0 : !plan.view<4xf32>) on 0 attributes {value = 0.0} flops 0 phase "forward"
    plan.collective "all_reduce" "sum" over #sharding.axes<{"data"}> in(%0 : !plan.view<4xf32>) out(%0 : !plan.view<4xf32>) split 0 concat 0 sources [] on 1 sequence 0 phase "forward"
    plan.launch "reference" "iota" ins() outs(%1 : !plan.view<4xf32>) on 0 attributes {dim = 0} flops 0 phase "forward"
    plan.launch "reference" "add" ins(%0, %1 : !plan.view<4xf32>, !plan.view<4xf32>) outs(%1 : !plan.view<4xf32>) on 0 attributes {} flops 4 phase "forward"
  }
}

// -----

// Nobody reads the result in the segment: it is awaited at the end. A second collective without work between needs no
// second event.

sharding.mesh @mesh ["data" = 2]

// CHECK-LABEL: plan.program @end
// CHECK: plan.record 0 on 0
// CHECK-NEXT: plan.wait 0 on 1
// CHECK-NEXT: plan.collective "all_reduce"
// CHECK-NEXT: plan.collective "all_reduce"
// CHECK-NEXT: plan.record 1 on 1
// CHECK-NEXT: plan.wait 1 on 0
// CHECK-NEXT: }
plan.program @end streams ["compute", "communication"] {
  %a = plan.buffer "a" persistent window bytes 16 align 64
  plan.segment @s {
    %0 = plan.view %a offset 0 : !plan.view<4xf32>
    plan.collective "all_reduce" "sum" over #sharding.axes<{"data"}> in(%0 : !plan.view<4xf32>) out(%0 : !plan.view<4xf32>) split 0 concat 0 sources [] on 1 sequence 0 phase "forward"
    plan.collective "all_reduce" "max" over #sharding.axes<{"data"}> in(%0 : !plan.view<4xf32>) out(%0 : !plan.view<4xf32>) split 0 concat 0 sources [] on 1 sequence 1 phase "forward"
  }
}

// -----

// CHECK-LABEL: plan.program @one_stream
// CHECK-NOT: plan.record
plan.program @one_stream streams ["compute"] {
  %a = plan.buffer "a" transient bytes 16 align 64
  plan.segment @s {
    %0 = plan.view %a offset 0 : !plan.view<4xf32>
    plan.launch "reference" "fill" ins() outs(%0 : !plan.view<4xf32>) on 0 attributes {value = 0.0} flops 0 phase "forward"
  }
}
