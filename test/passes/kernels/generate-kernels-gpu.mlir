// RUN: ds-opt %s -split-input-file --generate-kernels=gpu | FileCheck %s

// A thread has four of the elements and loads them at once. What is read only says so; what an output overwrites does
// not, and neither does the output.

// CHECK-LABEL: plan.program @tile
// CHECK: plan.launch "generated" "[[NAME:[a-z_0-9]+_[0-9a-f]+]]"
// CHECK-SAME: attributes {block = array<i64: 8, 1, 1>, grid = array<i64: 1, 1, 1>, shared_bytes = array<i64: 0>, workspace_bytes = 0 : i64}
// CHECK: module @kernels {
// CHECK-NEXT: module @[[NAME]] {
// CHECK-NEXT: gpu.module @[[NAME]] {
// CHECK-NEXT: gpu.func @[[NAME]]_0(%[[X:.*]]: !llvm.ptr<1>, %[[W:.*]]: !llvm.ptr<1> {llvm.noalias, llvm.readonly}, %[[Y:.*]]: !llvm.ptr<1>) kernel
// CHECK-SAME: known_block_size = array<i32: 8, 1, 1>
// CHECK-COUNT-2: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xf32>
// CHECK: llvm.store %{{.*}} {alignment = 16 : i64} : vector<4xf32>, !llvm.ptr<1>
// CHECK-NOT: gpu.shuffle
// CHECK-NOT: gpu.func
plan.program @tile streams ["compute"] {
  %x = plan.buffer "x" transient bytes 128 align 64
  %w = plan.buffer "w" transient bytes 32 align 64
  plan.segment @s {
    %0 = plan.view %x offset 0 : !plan.view<4x8xf32>
    %1 = plan.view %w offset 0 : !plan.view<8xf32>
    plan.launch "generated" "kernel_0" ins(%0, %1 : !plan.view<4x8xf32>, !plan.view<8xf32>) outs(%0 : !plan.view<4x8xf32>) on 0 attributes {} flops 64 phase "forward"
  }
}
func.func private @kernel_0(%x: tensor<4x8xf32>, %w: tensor<8xf32>) -> tensor<4x8xf32> {
  %0 = graph.exp %x : tensor<4x8xf32>
  %1 = graph.add %0, %w : tensor<4x8xf32>, tensor<8xf32>
  return %1 : tensor<4x8xf32>
}

// -----

// Operands that lie elsewhere have a kernel of their own: these are not aligned to more than their elements.

// CHECK-LABEL: plan.program @unaligned
// CHECK: llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr<1> -> vector<1xf32>
plan.program @unaligned streams ["compute"] {
  %x = plan.buffer "x" transient bytes 132 align 64
  %y = plan.buffer "y" transient bytes 128 align 64
  plan.segment @s {
    %0 = plan.view %x offset 4 : !plan.view<4x8xf32>
    %1 = plan.view %y offset 0 : !plan.view<4x8xf32>
    plan.launch "generated" "kernel_0" ins(%0 : !plan.view<4x8xf32>) outs(%1 : !plan.view<4x8xf32>) on 0 attributes {} flops 64 phase "forward"
  }
}
func.func private @kernel_0(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = graph.exp %x : tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}

// -----

// More tiles of columns than a grid may have along y: all blocks lie along x.

// CHECK-LABEL: plan.program @long
// CHECK: attributes {block = array<i64: 256, 1, 1, {{.*}}>, grid = array<i64: 65536, 1, 1, {{.*}}>
// CHECK: gpu.func
// CHECK-NOT: gpu.block_id y
// CHECK: gpu.return
plan.program @long streams ["compute"] {
  %x = plan.buffer "x" transient bytes 536870912 align 64
  %y = plan.buffer "y" transient bytes 268435456 align 64
  plan.segment @s {
    %0 = plan.view %x offset 0 : !plan.view<2x67108864xf32>
    %1 = plan.view %y offset 0 : !plan.view<67108864xf32>
    plan.launch "generated" "kernel_0" ins(%0, %1 : !plan.view<2x67108864xf32>, !plan.view<67108864xf32>) outs(%1 : !plan.view<67108864xf32>) on 0 attributes {} flops 64 phase "forward"
  }
}
func.func private @kernel_0(%x: tensor<2x67108864xf32>, %y: tensor<67108864xf32>) -> tensor<67108864xf32> {
  %0 = graph.add %x, %y : tensor<2x67108864xf32>, tensor<67108864xf32>
  %1 = graph.reduce_sum %0 dims [0] : tensor<2x67108864xf32>
  return %1 : tensor<67108864xf32>
}

// -----

// A warp has a row, in registers: what the second phase needs is not loaded again. Eight rows to a block.

// CHECK-LABEL: plan.program @warp
// CHECK: attributes {block = array<i64: 256, 1, 1>, grid = array<i64: 2, 1, 1>, shared_bytes = array<i64: 0>, workspace_bytes = 0 : i64}
// CHECK: gpu.func
// CHECK: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<1> -> vector<8xi16>
// CHECK-COUNT-5: gpu.shuffle xor
// CHECK-NOT: llvm.load
// CHECK: llvm.store %{{.*}} {alignment = 16 : i64} : vector<8xi16>, !llvm.ptr<1>
// CHECK-NOT: gpu.barrier
plan.program @warp streams ["compute"] {
  %x = plan.buffer "x" transient bytes 8192 align 64
  %y = plan.buffer "y" transient bytes 8192 align 64
  plan.segment @s {
    %0 = plan.view %x offset 0 : !plan.view<16x256xbf16>
    %1 = plan.view %y offset 0 : !plan.view<16x256xbf16>
    plan.launch "generated" "kernel_0" ins(%0 : !plan.view<16x256xbf16>) outs(%1 : !plan.view<16x256xbf16>) on 0 attributes {} flops 64 phase "forward"
  }
}
func.func private @kernel_0(%x: tensor<16x256xbf16>) -> tensor<16x256xbf16> {
  %0 = graph.convert %x : tensor<16x256xbf16> to tensor<16x256xf32>
  %1 = graph.reduce_sum %0 dims [1] keep_dims : tensor<16x256xf32>
  %2 = graph.div %0, %1 : tensor<16x256xf32>, tensor<16x1xf32>
  %3 = graph.convert %2 : tensor<16x256xf32> to tensor<16x256xbf16>
  return %3 : tensor<16x256xbf16>
}

// -----

// Rows of 96 threads meet in shared memory. Sums along the rows are those of the four blocks, 16 rows each, in the
// workspace, and a second function adds them.

// CHECK-LABEL: plan.program @sums
// CHECK: plan.launch "generated" "[[NAME:[a-z_0-9]+_[0-9a-f]+]]"
// CHECK-SAME: attributes {block = array<i64: 96, 1, 1, 128, 1, 1>, grid = array<i64: 4, 1, 1, 12, 1, 1>, shared_bytes = array<i64: 0, 0>, workspace_bytes = 6144 : i64}
// CHECK: gpu.module @[[NAME]] {
// CHECK: llvm.mlir.global internal @[[NAME]]_1_shared() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<128 x f32>
// CHECK: llvm.mlir.global internal @[[NAME]]_0_shared() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<32 x f32>
// CHECK: gpu.func @[[NAME]]_0
// CHECK: scf.for
// CHECK: gpu.barrier
// CHECK: gpu.func @[[NAME]]_1
// CHECK: scf.for
// CHECK: gpu.barrier
plan.program @sums streams ["compute"] {
  %x = plan.buffer "x" transient bytes 98304 align 64
  %y = plan.buffer "y" transient bytes 98304 align 64
  %z = plan.buffer "z" transient bytes 1536 align 64
  %workspace = plan.buffer "workspace" transient bytes 6144 align 64
  plan.segment @s {
    %0 = plan.view %x offset 0 : !plan.view<64x384xf32>
    %1 = plan.view %y offset 0 : !plan.view<64x384xf32>
    %2 = plan.view %z offset 0 : !plan.view<384xf32>
    plan.launch "generated" "kernel_0" ins(%0 : !plan.view<64x384xf32>) outs(%1, %2 : !plan.view<64x384xf32>, !plan.view<384xf32>) on 0 attributes {} flops 64 phase "forward"
  }
}
func.func private @kernel_0(%x: tensor<64x384xf32>) -> (tensor<64x384xf32>, tensor<384xf32>) {
  %0 = graph.reduce_max %x dims [1] keep_dims : tensor<64x384xf32>
  %1 = graph.sub %x, %0 : tensor<64x384xf32>, tensor<64x1xf32>
  %2 = graph.reduce_sum %1 dims [0] : tensor<64x384xf32>
  return %1, %2 : tensor<64x384xf32>, tensor<384xf32>
}
