// RUN: ds-opt %s -split-input-file -verify-diagnostics --generate-kernels | FileCheck %s

// A launch gets the name, after what it holds, and the loops of its kernel. Rows and columns of row-major operands are one loop.

// CHECK-LABEL: plan.program @chain
// CHECK: plan.launch "generated" "[[NAME:exp_add_[0-9a-f]+]]" ins(%{{.*}}, %{{.*}}) outs(%{{.*}}) overwrites [0] on 0
// CHECK-SAME: attributes {chunks = array<i64: 1>, extents = array<i64: 1>, workspace_bytes = 0 : i64} flops 64 phase "forward"
// CHECK: module @kernels {
// CHECK-NEXT: module @[[NAME]] {
// CHECK-NEXT: func.func @[[NAME]]_0(%{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64, %{{.*}}: i64) {
// CHECK-NOT: graph.
// CHECK-NOT: func.func
plan.program @chain streams ["compute"] {
  %x = plan.buffer "x" transient bytes 128 align 64
  %y = plan.buffer "y" transient bytes 128 align 64
  plan.segment @s {
    %0 = plan.view %x offset 0 : !plan.view<4x8xf32>
    %1 = plan.view %y offset 0 : !plan.view<4x8xf32>
    plan.launch "generated" "kernel_0" ins(%0, %0 : !plan.view<4x8xf32>, !plan.view<4x8xf32>) outs(%1 : !plan.view<4x8xf32>) overwrites [0] on 0 attributes {} flops 64 phase "forward"
  }
}
func.func private @kernel_0(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> tensor<4x8xf32> attributes {graph.holds = "exp_add"} {
  %0 = graph.exp %x : tensor<4x8xf32>
  %1 = graph.add %0, %y : tensor<4x8xf32>, tensor<4x8xf32>
  return %1 : tensor<4x8xf32>
}

// -----

// Equal launches have one kernel, also if they name different functions, which are called after other ops; other strides are another kernel, whose loop
// is over rows. Launches of other providers stay as they are.

// CHECK-LABEL: plan.program @strides
// CHECK: plan.launch "generated" "[[ROWS_IN_ONE:kernel_[0-9a-f]+]]"
// CHECK: plan.launch "generated" "[[ROWS_IN_ONE]]"
// CHECK: plan.launch "generated" "[[ROWS_APART:[a-z_0-9]+_[0-9a-f]+]]" {{.*}} attributes {chunks = array<i64: 1>, extents = array<i64: 4>, workspace_bytes = 0 : i64}
// CHECK: plan.launch "reference" "exp" {{.*}} attributes {}
// CHECK: module @kernels
// CHECK: module @[[ROWS_IN_ONE]]
// CHECK: module @[[ROWS_APART]]
// CHECK-NOT: module @
plan.program @strides streams ["compute"] {
  %x = plan.buffer "x" transient bytes 256 align 64
  %y = plan.buffer "y" transient bytes 128 align 64
  plan.segment @s {
    %0 = plan.view %x offset 0 : !plan.view<4x8xf32>
    %1 = plan.view %x offset 0 : !plan.view<4x8xf32 strides [16, 1]>
    %2 = plan.view %y offset 0 : !plan.view<4x8xf32>
    plan.launch "generated" "kernel_0" ins(%0 : !plan.view<4x8xf32>) outs(%2 : !plan.view<4x8xf32>) on 0 attributes {} flops 32 phase "forward"
    plan.launch "generated" "kernel_1" ins(%0 : !plan.view<4x8xf32>) outs(%2 : !plan.view<4x8xf32>) on 0 attributes {} flops 32 phase "forward"
    plan.launch "generated" "kernel_0" ins(%1 : !plan.view<4x8xf32 strides [16, 1]>) outs(%2 : !plan.view<4x8xf32>) on 0 attributes {} flops 32 phase "forward"
    plan.launch "reference" "exp" ins(%0 : !plan.view<4x8xf32>) outs(%2 : !plan.view<4x8xf32>) on 0 attributes {} flops 32 phase "forward"
  }
}
func.func private @kernel_0(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = graph.exp %x : tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}
func.func private @kernel_1(%x: tensor<4x8xf32>) -> tensor<4x8xf32> attributes {graph.holds = "other"} {
  %0 = graph.exp %x : tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}

// -----

// Sums over rows are kept by the chunk in the workspace, a row of 64 bytes; a second loop, over vectors of columns, adds
// what the chunks have.

// CHECK-LABEL: plan.program @sums
// CHECK: plan.launch "generated" "[[NAME:[a-z_0-9]+_[0-9a-f]+]]"
// CHECK-SAME: attributes {chunks = array<i64: 1, 1>, extents = array<i64: 4, 1>, workspace_bytes = 64 : i64}
// CHECK: module @[[NAME]]
// CHECK-NEXT: func.func @[[NAME]]_0
// CHECK: func.func @[[NAME]]_1
plan.program @sums streams ["compute"] {
  %x = plan.buffer "x" transient bytes 128 align 64
  %y = plan.buffer "y" transient bytes 32 align 64
  %w = plan.buffer "workspace" transient bytes 64 align 64
  plan.segment @s {
    %0 = plan.view %x offset 0 : !plan.view<4x8xf32>
    %1 = plan.view %y offset 0 : !plan.view<8xf32>
    %2 = plan.view %w offset 0 : !plan.view<64xi8>
    plan.launch "generated" "kernel_0" ins(%0 : !plan.view<4x8xf32>) outs(%1 : !plan.view<8xf32>) workspace(%2 : !plan.view<64xi8>) on 0 attributes {} flops 32 phase "backward"
  }
}
func.func private @kernel_0(%x: tensor<4x8xf32>) -> tensor<8xf32> {
  %0 = graph.reduce_sum %x dims [0] : tensor<4x8xf32>
  return %0 : tensor<8xf32>
}

// -----

plan.program @unknown streams ["compute"] {
  %x = plan.buffer "x" transient bytes 16 align 64
  plan.segment @s {
    %0 = plan.view %x offset 0 : !plan.view<4xf32>
    // expected-error @+1 {{names no function @kernel_7}}
    plan.launch "generated" "kernel_7" ins(%0 : !plan.view<4xf32>) outs(%0 : !plan.view<4xf32>) on 0 attributes {} flops 4 phase "forward"
  }
}

// -----

// Columns that do not lie one after another.

plan.program @transposed streams ["compute"] {
  %x = plan.buffer "x" transient bytes 128 align 64
  %y = plan.buffer "y" transient bytes 128 align 64
  plan.segment @s {
    %0 = plan.view %x offset 0 : !plan.view<4x8xf32 strides [1, 4]>
    %1 = plan.view %y offset 0 : !plan.view<4x8xf32>
    // expected-error @+1 {{has views that no row loops fit}}
    plan.launch "generated" "kernel_0" ins(%0 : !plan.view<4x8xf32 strides [1, 4]>) outs(%1 : !plan.view<4x8xf32>) on 0 attributes {} flops 32 phase "forward"
  }
}
func.func private @kernel_0(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = graph.exp %x : tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}
