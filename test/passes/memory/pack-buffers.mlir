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

// A buffer that wants more than others (the workspace of a library) gets it beside small ones: in steps of 64 it would lie at 640.

// CHECK-LABEL: plan.program @alignments
// CHECK: plan.buffer "w" transient bytes 256 align 256 offset {{0|512|1024}}{{$}}
plan.program @alignments streams ["compute"] {
  %x = plan.buffer "x" transient bytes 320 align 64
  %y = plan.buffer "y" transient bytes 320 align 64
  %w = plan.buffer "w" transient bytes 256 align 256
  plan.segment @s {
    %0 = plan.view %x offset 0 : !plan.view<80xf32>
    %1 = plan.view %y offset 0 : !plan.view<80xf32>
    %2 = plan.view %w offset 0 : !plan.view<256xi8>
    plan.feed "x" %0 on 0 batch_dimension 0 : !plan.view<80xf32>
    plan.launch "cublaslt" "neg" ins(%0 : !plan.view<80xf32>) outs(%1 : !plan.view<80xf32>) workspace(%2 : !plan.view<256xi8>) on 0 attributes {} flops 16 phase "forward"
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

// A task of another stream may still run until the compute stream has waited for it: b must not take the bytes of a,
// c may. What other ranks reach into lies in an arena of its own.

sharding.mesh @mesh ["data" = 2]

// CHECK-LABEL: plan.program @two_streams
// CHECK-SAME: arena 128 max_live 128 window 64 max_live 64
// CHECK-DAG: plan.buffer "in" transient window bytes 64 align 64 offset 0
// CHECK-DAG: plan.buffer "a" transient bytes 64 align 64 offset [[A:[0-9]+]]
// CHECK-DAG: plan.buffer "c" transient bytes 64 align 64 offset [[A]]
plan.program @two_streams streams ["compute", "communication"] {
  %in = plan.buffer "in" transient window bytes 64 align 64
  %a = plan.buffer "a" transient bytes 64 align 64
  %b = plan.buffer "b" transient bytes 64 align 64
  %c = plan.buffer "c" transient bytes 64 align 64
  plan.segment @s {
    %0 = plan.view %in offset 0 : !plan.view<8xf32>
    %1 = plan.view %a offset 0 : !plan.view<16xf32>
    %2 = plan.view %b offset 0 : !plan.view<16xf32>
    %3 = plan.view %c offset 0 : !plan.view<16xf32>
    plan.launch "reference" "fill" ins() outs(%0 : !plan.view<8xf32>) on 0 attributes {} flops 0 phase "forward"
    plan.record 0 on 0
    plan.wait 0 on 1
    plan.collective "all_gather" "sum" over <{"data"}> in(%0 : !plan.view<8xf32>) out(%1 : !plan.view<16xf32>) split 0 concat 0 sources [] on 1 sequence 0 phase "forward"
    plan.record 1 on 1
    plan.launch "reference" "fill" ins() outs(%2 : !plan.view<16xf32>) on 0 attributes {} flops 0 phase "forward"
    plan.wait 1 on 0
    plan.launch "reference" "neg" ins(%2 : !plan.view<16xf32>) outs(%3 : !plan.view<16xf32>) on 0 attributes {} flops 0 phase "forward"
  }
}

// -----

// The window is empty while x and y live: one of them moves there. z lives together with "in", and stays.

sharding.mesh @mesh ["data" = 2]

// CHECK-LABEL: plan.program @room_in_the_window
// CHECK-SAME: arena 64 max_live 64 window 64 max_live 64
// CHECK-DAG: plan.buffer "in" transient window bytes 64 align 64 offset 0
// CHECK-DAG: plan.buffer "x" transient window bytes 64 align 64 offset 0
// CHECK-DAG: plan.buffer "y" transient bytes 64 align 64 offset 0
// CHECK-DAG: plan.buffer "z" transient bytes 64 align 64 offset 0
plan.program @room_in_the_window streams ["compute"] {
  %x = plan.buffer "x" transient bytes 64 align 64
  %y = plan.buffer "y" transient bytes 64 align 64
  %z = plan.buffer "z" transient bytes 64 align 64
  %in = plan.buffer "in" transient window bytes 64 align 64
  plan.segment @s {
    %0 = plan.view %x offset 0 : !plan.view<16xf32>
    %1 = plan.view %y offset 0 : !plan.view<16xf32>
    %2 = plan.view %z offset 0 : !plan.view<16xf32>
    %3 = plan.view %in offset 0 : !plan.view<16xf32>
    plan.feed "x" %0 on 0 batch_dimension 0 : !plan.view<16xf32>
    plan.launch "reference" "neg" ins(%0 : !plan.view<16xf32>) outs(%1 : !plan.view<16xf32>) on 0 attributes {} flops 16 phase "forward"
    plan.feed "z" %2 on 0 batch_dimension 0 : !plan.view<16xf32>
    plan.launch "reference" "neg" ins(%2 : !plan.view<16xf32>) outs(%3 : !plan.view<16xf32>) on 0 attributes {} flops 16 phase "forward"
    plan.collective "all_reduce" "sum" over <{"data"}> in(%3 : !plan.view<16xf32>) out(%3 : !plan.view<16xf32>) split 0 concat 0 sources [] on 0 sequence 0 phase "forward"
  }
}

// -----

// A step buffer lives from the task that writes it to the last that reads it, over segments: x died before, y is
// written behind. What the runtime reads after the step keeps its bytes.

// CHECK-LABEL: plan.program @step_buffers_share
// CHECK-SAME: arena 128 max_live 128
// CHECK-DAG: plan.buffer "loss" step bytes 8 align 64 offset 0
// CHECK-DAG: plan.buffer "x" transient bytes 64 align 64 offset 64
// CHECK-DAG: plan.buffer "gradient" step bytes 64 align 64 offset 64
// CHECK-DAG: plan.buffer "y" transient bytes 64 align 64 offset 64
plan.program @step_buffers_share streams ["compute"] {
  %x = plan.buffer "x" transient bytes 64 align 64
  %g = plan.buffer "gradient" step bytes 64 align 64
  %y = plan.buffer "y" transient bytes 64 align 64
  %l = plan.buffer "loss" step bytes 8 align 64
  plan.segment @update {
    %0 = plan.view %g offset 0 : !plan.view<16xf32>
    %1 = plan.view %y offset 0 : !plan.view<16xf32>
    %2 = plan.view %l offset 0 : !plan.view<2xf32>
    %3 = plan.view %g offset 0 : !plan.view<2xf32>
    plan.launch "reference" "neg" ins(%3 : !plan.view<2xf32>) outs(%2 : !plan.view<2xf32>) on 0 attributes {} flops 16 phase "forward"
    plan.feed "y" %1 on 0 batch_dimension 0 : !plan.view<16xf32>
  }
  plan.segment @micro_batch {
    %0 = plan.view %x offset 0 : !plan.view<16xf32>
    %1 = plan.view %g offset 0 : !plan.view<16xf32>
    plan.feed "x" %0 on 0 batch_dimension 0 : !plan.view<16xf32>
    plan.feed "x" %1 on 0 batch_dimension 0 : !plan.view<16xf32>
  }
  plan.schedule [#plan.call<@micro_batch, micro_batch = 0, slot = 0>, #plan.call<@update, micro_batch = 0, slot = 0>]
  %loss = plan.view %l offset 0 : !plan.view<1xf64>
  plan.metric "loss" %loss : !plan.view<1xf64>
}

// -----

// A segment that is called again finds its step buffer as it left it: y, between the calls, stays apart from it. Before
// the first call z has its bytes.

// CHECK-LABEL: plan.program @accumulators_stay
// CHECK-SAME: arena 192 max_live 192
// CHECK-DAG: plan.buffer "sum" step bytes 64 align 64 offset {{0|128}}
// CHECK-DAG: plan.buffer "z" transient bytes 128 align 64 offset 0
plan.program @accumulators_stay streams ["compute"] {
  %x = plan.buffer "x" transient bytes 64 align 64
  %s = plan.buffer "sum" step bytes 64 align 64
  %y = plan.buffer "y" transient bytes 128 align 64
  %z = plan.buffer "z" transient bytes 128 align 64
  plan.segment @first {
    %0 = plan.view %z offset 0 : !plan.view<32xf32>
    plan.feed "z" %0 on 0 batch_dimension 0 : !plan.view<32xf32>
  }
  plan.segment @again {
    %0 = plan.view %x offset 0 : !plan.view<16xf32>
    %1 = plan.view %s offset 0 : !plan.view<16xf32>
    plan.feed "x" %0 on 0 batch_dimension 0 : !plan.view<16xf32>
    plan.launch "reference" "neg" ins(%0 : !plan.view<16xf32>) outs(%1 : !plan.view<16xf32>) on 0 attributes {} flops 16 phase "forward"
  }
  plan.segment @between {
    %0 = plan.view %y offset 0 : !plan.view<32xf32>
    plan.feed "y" %0 on 0 batch_dimension 0 : !plan.view<32xf32>
  }
  plan.schedule [#plan.call<@first, micro_batch = 0, slot = 0>, #plan.call<@again, micro_batch = 0, slot = 0>, #plan.call<@between, micro_batch = 0, slot = 0>, #plan.call<@again, micro_batch = 1, slot = 0>]
}

// -----

// A value that is carried over another call of an earlier segment must not lie where that one works.

// CHECK-LABEL: plan.program @carried_over
// CHECK-SAME: arena 128 max_live 128
// CHECK: plan.buffer "x" transient bytes 64 align 64 offset [[X:[0-9]+]]
// CHECK-NOT: plan.buffer "d" step bytes 64 align 64 offset [[X]]
// CHECK: plan.segment
plan.program @carried_over streams ["compute"] {
  %x = plan.buffer "x" transient bytes 64 align 64
  %d = plan.buffer "d" step bytes 64 align 64
  %p = plan.buffer "p" transient bytes 64 align 64
  plan.segment @again {
    %0 = plan.view %x offset 0 : !plan.view<16xf32>
    plan.feed "x" %0 on 0 batch_dimension 0 : !plan.view<16xf32>
  }
  plan.segment @write {
    %0 = plan.view %d offset 0 : !plan.view<16xf32>
    plan.feed "x" %0 on 0 batch_dimension 0 : !plan.view<16xf32>
  }
  plan.segment @read {
    %0 = plan.view %d offset 0 : !plan.view<16xf32>
    %1 = plan.view %p offset 0 : !plan.view<16xf32>
    plan.launch "reference" "neg" ins(%0 : !plan.view<16xf32>) outs(%1 : !plan.view<16xf32>) on 0 attributes {} flops 16 phase "forward"
  }
  plan.schedule [#plan.call<@again, micro_batch = 0, slot = 0>, #plan.call<@write, micro_batch = 0, slot = 0>, #plan.call<@again, micro_batch = 1, slot = 0>, #plan.call<@read, micro_batch = 1, slot = 0>]
}
