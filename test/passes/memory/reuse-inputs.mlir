// RUN: ds-opt %s -split-input-file -verify-diagnostics --pass-pipeline='builtin.module(plan.program(reuse-inputs))' | FileCheck %s

// A chain works in one place; the buffer of what is broadcast is too small, and what is read later stays.

// CHECK-LABEL: plan.program @chain
// CHECK-NOT: plan.buffer "exp"
// CHECK-NOT: plan.buffer "scaled"
// CHECK: plan.segment
plan.program @chain streams ["compute"] {
  %x = plan.buffer "x" transient bytes 64 align 64
  %factor = plan.buffer "factor" transient bytes 4 align 64
  %exp = plan.buffer "exp" transient bytes 64 align 64
  %scaled = plan.buffer "scaled" transient bytes 64 align 128
  %sum = plan.buffer "sum" transient bytes 64 align 64
  plan.segment @s {
    // CHECK-DAG: [[X:%.*]] = plan.view [[BUFFER:%[a-z0-9]*]] offset 0 : <4x4xf32>
    // CHECK: plan.feed "x" [[X]]
    %x0 = plan.view %x offset 0 : !plan.view<4x4xf32>
    %f0 = plan.view %factor offset 0 : !plan.view<4x4xf32 strides [0, 0]>
    plan.feed "x" %x0 on 0 batch_dimension 0 : !plan.view<4x4xf32>
    // CHECK: [[EXP:%.*]] = plan.view [[BUFFER]] offset 0
    // CHECK: "exp" ins([[X]] {{.*}} outs([[EXP]]
    %e0 = plan.view %exp offset 0 : !plan.view<4x4xf32>
    plan.launch "reference" "exp" ins(%x0 : !plan.view<4x4xf32>) outs(%e0 : !plan.view<4x4xf32>) overwrites [0] on 0 attributes {} flops 16 phase "forward"
    // CHECK: [[SCALED:%.*]] = plan.view [[BUFFER]] offset 0
    // CHECK: "mul" ins([[EXP]], {{.*}} outs([[SCALED]]
    %s0 = plan.view %scaled offset 0 : !plan.view<4x4xf32>
    plan.launch "reference" "mul" ins(%e0, %f0 : !plan.view<4x4xf32>, !plan.view<4x4xf32 strides [0, 0]>) outs(%s0 : !plan.view<4x4xf32>) overwrites [0, 1] on 0 attributes {} flops 16 phase "forward"
    // The input is read by the next task too.
    // CHECK: [[SUM:%.*]] = plan.view %{{.*}} offset 0
    // CHECK: "add" ins([[SCALED]], [[SCALED]] {{.*}} outs([[SUM]]
    // CHECK: "neg" ins([[SCALED]] {{.*}} outs([[SUM]]
    %t0 = plan.view %sum offset 0 : !plan.view<4x4xf32>
    plan.launch "reference" "add" ins(%s0, %s0 : !plan.view<4x4xf32>, !plan.view<4x4xf32>) outs(%t0 : !plan.view<4x4xf32>) overwrites [0, 1] on 0 attributes {} flops 16 phase "forward"
    plan.launch "reference" "neg" ins(%s0 : !plan.view<4x4xf32>) outs(%t0 : !plan.view<4x4xf32>) overwrites [0] on 0 attributes {} flops 16 phase "forward"
  }
}

// -----

// Of the buffers that end, the first that fits is taken.

// CHECK-LABEL: plan.program @both_end
// CHECK: plan.buffer "a"
// CHECK-NEXT: plan.buffer "b"
// CHECK-NEXT: plan.segment
plan.program @both_end streams ["compute"] {
  %a = plan.buffer "a" transient bytes 16 align 64
  %b = plan.buffer "b" transient bytes 16 align 64
  %c = plan.buffer "c" transient bytes 16 align 64
  plan.segment @s {
    %0 = plan.view %a offset 0 : !plan.view<4xf32>
    %1 = plan.view %b offset 0 : !plan.view<4xf32>
    // CHECK: "add" ins([[A:%.*]], [[B:%.*]] : {{.*}} outs([[C:%[^ ]*]] :
    %2 = plan.view %c offset 0 : !plan.view<4xf32>
    plan.feed "a" %0 on 0 batch_dimension 0 : !plan.view<4xf32>
    plan.feed "b" %1 on 0 batch_dimension 0 : !plan.view<4xf32>
    plan.launch "reference" "add" ins(%0, %1 : !plan.view<4xf32>, !plan.view<4xf32>) outs(%2 : !plan.view<4xf32>) overwrites [0, 1] on 0 attributes {} flops 4 phase "forward"
  }
}

// -----

// Not in one place: a kernel that is not elementwise; an operand that is read in another order, here beside one that is
// not; a persistent buffer; another element type; a part of a buffer.

// CHECK-LABEL: plan.program @apart
// CHECK-COUNT-9: plan.buffer
// CHECK-NOT: plan.buffer
// CHECK: plan.segment
plan.program @apart streams ["compute"] {
  %keep = plan.buffer "keep" persistent bytes 64 align 64
  %a = plan.buffer "a" transient bytes 64 align 64
  %b = plan.buffer "b" transient bytes 64 align 64
  %c = plan.buffer "c" transient bytes 64 align 64
  %d = plan.buffer "d" transient bytes 64 align 64
  %e = plan.buffer "e" transient bytes 64 align 64
  %f = plan.buffer "f" transient bytes 128 align 64
  %g = plan.buffer "g" transient bytes 64 align 64
  %h = plan.buffer "h" transient bytes 64 align 64
  plan.segment @s {
    %k0 = plan.view %keep offset 0 : !plan.view<4x4xf32>
    %a0 = plan.view %a offset 0 : !plan.view<4x4xf32>
    %b0 = plan.view %b offset 0 : !plan.view<4x4xf32>
    %b1 = plan.view %b offset 0 : !plan.view<4x4xf32 strides [1, 4]>
    %c0 = plan.view %c offset 0 : !plan.view<4x4xf32>
    %d0 = plan.view %d offset 0 : !plan.view<4x4xf32>
    %e0 = plan.view %e offset 0 : !plan.view<4x4xi32>
    %f0 = plan.view %f offset 0 : !plan.view<8x4xf32>
    %f1 = plan.view %f offset 0 : !plan.view<4x4xf32>
    %g0 = plan.view %g offset 0 : !plan.view<4x4xf32>
    %h0 = plan.view %h offset 0 : !plan.view<4x4xf32>
    plan.launch "reference" "neg" ins(%k0 : !plan.view<4x4xf32>) outs(%a0 : !plan.view<4x4xf32>) overwrites [0] on 0 attributes {} flops 16 phase "forward"
    plan.launch "reference" "softmax" ins(%a0 : !plan.view<4x4xf32>) outs(%b0 : !plan.view<4x4xf32>) on 0 attributes {} flops 16 phase "forward"
    plan.launch "reference" "add" ins(%b0, %b1 : !plan.view<4x4xf32>, !plan.view<4x4xf32 strides [1, 4]>) outs(%d0 : !plan.view<4x4xf32>) overwrites [0, 1] on 0 attributes {} flops 16 phase "forward"
    plan.launch "reference" "convert" ins(%d0 : !plan.view<4x4xf32>) outs(%e0 : !plan.view<4x4xi32>) overwrites [0] on 0 attributes {} flops 16 phase "forward"
    plan.feed "f" %f0 on 0 batch_dimension 0 : !plan.view<8x4xf32>
    plan.launch "reference" "neg" ins(%f1 : !plan.view<4x4xf32>) outs(%g0 : !plan.view<4x4xf32>) overwrites [0] on 0 attributes {} flops 16 phase "forward"
    plan.launch "reference" "neg" ins(%e0 : !plan.view<4x4xi32>) outs(%c0 : !plan.view<4x4xf32>) on 0 attributes {} flops 16 phase "forward"
    plan.launch "reference" "fill" ins() outs(%h0 : !plan.view<4x4xf32>) on 0 attributes {} flops 0 phase "forward"
  }
}

// -----

// `in` is still read by the collective while `early` is made, and no longer when `late` is.

sharding.mesh @mesh ["data" = 2]

// CHECK-LABEL: plan.program @two_streams
// CHECK: plan.buffer "in"
// CHECK: plan.buffer "all"
// CHECK: plan.buffer "early"
// CHECK-NOT: plan.buffer "late"
// CHECK: plan.segment
plan.program @two_streams streams ["compute", "communication"] {
  %in = plan.buffer "in" transient window bytes 32 align 64
  %all = plan.buffer "all" transient bytes 64 align 64
  %early = plan.buffer "early" transient window bytes 32 align 64
  %late = plan.buffer "late" transient bytes 64 align 64
  plan.segment @s {
    %0 = plan.view %in offset 0 : !plan.view<8xf32>
    %1 = plan.view %all offset 0 : !plan.view<16xf32>
    %2 = plan.view %early offset 0 : !plan.view<8xf32>
    %3 = plan.view %late offset 0 : !plan.view<16xf32>
    plan.launch "reference" "fill" ins() outs(%0 : !plan.view<8xf32>) on 0 attributes {} flops 0 phase "forward"
    plan.record 0 on 0
    plan.wait 0 on 1
    plan.collective "all_gather" "sum" over <{"data"}> in(%0 : !plan.view<8xf32>) out(%1 : !plan.view<16xf32>) split 0 concat 0 sources [] on 1 sequence 0 phase "forward"
    plan.record 1 on 1
    plan.launch "reference" "neg" ins(%0 : !plan.view<8xf32>) outs(%2 : !plan.view<8xf32>) overwrites [0] on 0 attributes {} flops 0 phase "forward"
    plan.wait 1 on 0
    plan.launch "reference" "neg" ins(%1 : !plan.view<16xf32>) outs(%3 : !plan.view<16xf32>) overwrites [0] on 0 attributes {} flops 0 phase "forward"
  }
}
