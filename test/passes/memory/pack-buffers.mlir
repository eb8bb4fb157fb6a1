// RUN: ds-opt %s -split-input-file -verify-diagnostics --pass-pipeline='builtin.module(plan.program(pack-buffers))' | FileCheck %s

// b and c never live together and share bytes; a is persistent and lies before them.

// CHECK-LABEL: plan.program @shares_bytes
// CHECK-SAME: arena 192 max_live 192
plan.program @shares_bytes streams ["compute"] {
  // CHECK: plan.buffer "a" persistent bytes 100 align 64 offset 0
  // CHECK: plan.buffer "b" transient bytes 64 align 64 offset 128
  // CHECK: plan.buffer "c" transient bytes 64 align 64 offset 128
  // CHECK-NOT: "unused"
  %a = plan.buffer "a" persistent bytes 100 align 64
  %b = plan.buffer "b" transient bytes 64 align 64
  %c = plan.buffer "c" transient bytes 64 align 64
  %d = plan.buffer "unused" transient bytes 64 align 64
  plan.segment @s {
    %0 = plan.view %a offset 0 : !plan.view<16xf32>
    %1 = plan.view %b offset 0 : !plan.view<16xf32>
    %2 = plan.view %c offset 0 : !plan.view<16xf32>
    plan.launch "reference" "neg" ins(%0 : !plan.view<16xf32>) outs(%1 : !plan.view<16xf32>) on 0 attributes {} flops 16 phase "forward"
    plan.launch "reference" "neg" ins(%1 : !plan.view<16xf32>) outs(%0 : !plan.view<16xf32>) on 0 attributes {} flops 16 phase "forward"
    plan.launch "reference" "neg" ins(%0 : !plan.view<16xf32>) outs(%2 : !plan.view<16xf32>) on 0 attributes {} flops 16 phase "forward"
    plan.launch "reference" "neg" ins(%2 : !plan.view<16xf32>) outs(%0 : !plan.view<16xf32>) on 0 attributes {} flops 16 phase "forward"
  }
  plan.schedule [#plan.call<@s, micro_batch = 0, slot = 0>]
}

// -----

// An output must not take the bytes of an input of the same task.

// CHECK-LABEL: plan.program @input_and_output_apart
plan.program @input_and_output_apart streams ["compute"] {
  // CHECK-DAG: plan.buffer "x" transient bytes 64 align 64 offset [[X:[0-9]+]]
  // CHECK-DAG: plan.buffer "y" transient bytes 64 align 64 offset {{[0-9]+}}
  // CHECK: plan.buffer "z" transient bytes 64 align 64 offset [[X]]
  %x = plan.buffer "x" transient bytes 64 align 64
  %y = plan.buffer "y" transient bytes 64 align 64
  %z = plan.buffer "z" transient bytes 64 align 64
  plan.segment @s {
    %0 = plan.view %x offset 0 : !plan.view<16xf32>
    %1 = plan.view %y offset 0 : !plan.view<16xf32>
    %2 = plan.view %z offset 0 : !plan.view<16xf32>
    plan.feed "x" %0 on 0 batch_dimension 0 : !plan.view<16xf32>
    plan.launch "reference" "neg" ins(%0 : !plan.view<16xf32>) outs(%1 : !plan.view<16xf32>) on 0 attributes {} flops 16 phase "forward"
    plan.launch "reference" "neg" ins(%1 : !plan.view<16xf32>) outs(%2 : !plan.view<16xf32>) on 0 attributes {} flops 16 phase "forward"
  }
}

// -----

// Transient buffers of different segments never live together.

// CHECK-LABEL: plan.program @segments_apart
// CHECK-SAME: arena 64 max_live 64
plan.program @segments_apart streams ["compute"] {
  %x = plan.buffer "x" transient bytes 64 align 64
  %y = plan.buffer "y" transient bytes 64 align 64
  plan.segment @first {
    %0 = plan.view %x offset 0 : !plan.view<16xf32>
    plan.feed "x" %0 on 0 batch_dimension 0 : !plan.view<16xf32>
  }
  plan.segment @second {
    %0 = plan.view %y offset 0 : !plan.view<16xf32>
    plan.feed "y" %0 on 0 batch_dimension 0 : !plan.view<16xf32>
  }
}

// -----

// expected-error @+1 {{packs programs of one stream, got 2}}
plan.program @two_streams streams ["compute", "copy"] {
}
