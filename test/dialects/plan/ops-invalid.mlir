// RUN: ds-opt %s -split-input-file -verify-diagnostics

plan.program @buffer_without_bytes streams ["compute"] {
  // expected-error @+1 {{expects a positive number of bytes, got 0}}
  %0 = plan.buffer "x" transient bytes 0 align 64
}

// -----

plan.program @alignment streams ["compute"] {
  // expected-error @+1 {{expects an alignment that is a power of two, got 48}}
  %0 = plan.buffer "x" transient bytes 64 align 48
}

// -----

plan.program @offset_not_aligned streams ["compute"] {
  // expected-error @+1 {{offset 32 is not a multiple of the alignment 64}}
  %0 = plan.buffer "x" transient bytes 64 align 64 offset 32
}

// -----

plan.program @transient_constant streams ["compute"] {
  // expected-error @+1 {{has constant content, so it must be persistent}}
  %0 = plan.buffer "x" transient bytes 1 align 1 constant dense<1> : tensor<1xi8>
}

// -----

plan.program @constant_size streams ["compute"] {
  // expected-error @+1 {{expects 2 bytes of constant content, got 'tensor<1xi8>'}}
  %0 = plan.buffer "x" persistent bytes 2 align 1 constant dense<1> : tensor<1xi8>
}

// -----

plan.program @view_offset streams ["compute"] {
  %0 = plan.buffer "x" transient bytes 64 align 64
  // expected-error @+1 {{offset 2 is not a multiple of the element's 4 bytes}}
  %1 = plan.view %0 offset 2 : !plan.view<4xf32>
}

// -----

plan.program @view_outside streams ["compute"] {
  %0 = plan.buffer "x" transient bytes 64 align 64
  // expected-error @+1 {{ends at byte 68 of buffer "x", which has 64}}
  %1 = plan.view %0 offset 4 : !plan.view<4x4xf32>
}

// -----

plan.program @stream streams ["compute"] {
  %0 = plan.buffer "x" transient bytes 64 align 64
  plan.segment @s {
    %1 = plan.view %0 offset 0 : !plan.view<4xf32>
    // expected-error @+1 {{runs on stream 1, but the program has 1}}
    plan.launch "reference" "fill" ins() outs(%1 : !plan.view<4xf32>) on 1 attributes {} flops 0 phase "forward"
  }
}

// -----

plan.program @schedule streams ["compute"] {
  // expected-error @+1 {{calls @nothing, which is no segment of the program}}
  plan.schedule [#plan.call<@nothing, micro_batch = 0, slot = 0>]
}

// -----

plan.program @strides streams ["compute"] {
  %0 = plan.buffer "x" transient bytes 64 align 64
  // expected-error @+1 {{has 2 dimensions but 1 strides}}
  %1 = plan.view %0 offset 0 : !plan.view<2x3xf32 strides [1]>
}

// -----

plan.program @kind streams ["compute"] {
  %0 = plan.buffer "x" transient bytes 64 align 64
  plan.segment @s {
    %1 = plan.view %0 offset 0 : !plan.view<4xf32>
    // expected-error @+1 {{is of kind "broadcast", which there is not}}
    plan.collective "broadcast" "sum" over <{"data"}> in(%1 : !plan.view<4xf32>) out(%1 : !plan.view<4xf32>) split 0 concat 0 sources [] on 0 sequence 0 phase "forward"
  }
}

// -----

plan.program @reduction streams ["compute"] {
  %0 = plan.buffer "x" transient bytes 64 align 64
  plan.segment @s {
    %1 = plan.view %0 offset 0 : !plan.view<4xf32>
    // expected-error @+1 {{reduces by "mean", which there is not}}
    plan.collective "all_reduce" "mean" over <{"data"}> in(%1 : !plan.view<4xf32>) out(%1 : !plan.view<4xf32>) split 0 concat 0 sources [] on 0 sequence 0 phase "forward"
  }
}

// -----

plan.program @row_major streams ["compute"] {
  %0 = plan.buffer "x" transient bytes 64 align 64
  plan.segment @s {
    %1 = plan.view %0 offset 0 : !plan.view<2x2xf32 strides [1, 2]>
    // expected-error @+1 {{expects row-major views, got '!plan.view<2x2xf32 strides [1, 2]>'}}
    plan.collective "all_reduce" "sum" over <{"data"}> in(%1 : !plan.view<2x2xf32 strides [1, 2]>) out(%1 : !plan.view<2x2xf32 strides [1, 2]>) split 0 concat 0 sources [] on 0 sequence 0 phase "forward"
  }
}

// -----

plan.program @bucket streams ["compute"] {
  %0 = plan.buffer "x" persistent bytes 64 align 64
  %1 = plan.view %0 offset 0 : !plan.view<2x2xf32>
  // expected-error @+1 {{expects a view of rank 1, got '!plan.view<2x2xf32>'}}
  plan.bucket "parameter.0" "parameter" elements 4 over <{}> %1 : !plan.view<2x2xf32>
}

// -----

plan.program @bucket_initial streams ["compute"] {
  %0 = plan.buffer "x" persistent bytes 64 align 64
  %1 = plan.view %0 offset 0 : !plan.view<4xf64>
  // expected-error @+1 {{starts with 'tensor<3xf64>', but is seen as '!plan.view<4xf64>'}}
  plan.bucket "loss_scale.0" "loss_scale" elements 4 over <{}> %1 initial dense<2.0> : tensor<3xf64> : !plan.view<4xf64>
}

// -----

plan.program @overwrites streams ["compute"] {
  %0 = plan.buffer "x" transient bytes 64 align 64
  plan.segment @s {
    %1 = plan.view %0 offset 0 : !plan.view<4xf32>
    // expected-error @+1 {{overwrites input 1 of 1 inputs}}
    plan.launch "reference" "exp" ins(%1 : !plan.view<4xf32>) outs(%1 : !plan.view<4xf32>) overwrites [1] on 0 attributes {} flops 0 phase "forward"
  }
}
