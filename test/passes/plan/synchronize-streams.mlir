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

// -----

// Reductions that nobody waits for would keep their memory to the end. The fourth lets the compute stream wait for the
// first, the fifth for the second.

sharding.mesh @mesh ["data" = 2]

// CHECK-LABEL: plan.program @few_behind
// CHECK: plan.collective {{.*}} sequence 0
// CHECK-NEXT: plan.record [[FIRST:[0-9]+]] on 1
// CHECK: plan.collective {{.*}} sequence 1
// CHECK-NEXT: plan.record [[SECOND:[0-9]+]] on 1
// CHECK: plan.collective {{.*}} sequence 3
// CHECK-NEXT: plan.wait [[FIRST]] on 0
// CHECK: plan.collective {{.*}} sequence 4
// CHECK: plan.wait [[SECOND]] on 0
// CHECK: plan.wait {{.*}} on 0
// CHECK-NEXT: }
plan.program @few_behind streams ["compute", "communication"] {
  %a = plan.buffer "a" persistent window bytes 80 align 64
  plan.segment @s {
    %0 = plan.view %a offset 0 : !plan.view<4xf32>
    %1 = plan.view %a offset 16 : !plan.view<4xf32>
    %2 = plan.view %a offset 32 : !plan.view<4xf32>
    %3 = plan.view %a offset 48 : !plan.view<4xf32>
    %4 = plan.view %a offset 64 : !plan.view<4xf32>
    plan.collective "all_reduce" "sum" over #sharding.axes<{"data"}> in(%0 : !plan.view<4xf32>) out(%0 : !plan.view<4xf32>) split 0 concat 0 sources [] on 1 sequence 0 phase "backward"
    plan.collective "all_reduce" "sum" over #sharding.axes<{"data"}> in(%1 : !plan.view<4xf32>) out(%1 : !plan.view<4xf32>) split 0 concat 0 sources [] on 1 sequence 1 phase "backward"
    plan.collective "all_reduce" "sum" over #sharding.axes<{"data"}> in(%2 : !plan.view<4xf32>) out(%2 : !plan.view<4xf32>) split 0 concat 0 sources [] on 1 sequence 2 phase "backward"
    plan.collective "all_reduce" "sum" over #sharding.axes<{"data"}> in(%3 : !plan.view<4xf32>) out(%3 : !plan.view<4xf32>) split 0 concat 0 sources [] on 1 sequence 3 phase "backward"
    plan.collective "all_reduce" "sum" over #sharding.axes<{"data"}> in(%4 : !plan.view<4xf32>) out(%4 : !plan.view<4xf32>) split 0 concat 0 sources [] on 1 sequence 4 phase "backward"
  }
}
