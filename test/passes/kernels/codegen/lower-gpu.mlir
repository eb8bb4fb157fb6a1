// RUN: ds-opt %s --pass-pipeline='builtin.module(gpu.module(lower-gpu))' | FileCheck %s

// Functions become intrinsics, not calls; what says that memory is only read stays with the argument.

// CHECK-LABEL: llvm.func @functions
// CHECK-SAME: (%[[X:.*]]: !llvm.ptr<1> {llvm.noalias, llvm.readonly}, %[[Y:.*]]: !llvm.ptr<1>)
// CHECK-SAME: nvvm.kernel, nvvm.maxntid = array<i32: 64, 1, 1>
// CHECK: nvvm.read.ptx.sreg.tid.x
// CHECK: llvm.intr.sqrt
// CHECK: llvm.intr.exp2
// CHECK: llvm.intr.fma
// CHECK: nvvm.shfl.sync bfly
// CHECK: nvvm.barrier
// CHECK-NOT: __nv
gpu.module @kernels {
  gpu.func @functions(%x: !llvm.ptr<1> {llvm.noalias, llvm.readonly}, %y: !llvm.ptr<1>) kernel
      attributes {known_block_size = array<i32: 64, 1, 1>} {
    %thread = gpu.thread_id x
    %i = arith.index_cast %thread : index to i32
    %from = llvm.getelementptr %x[%i] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
    %0 = llvm.load %from : !llvm.ptr<1> -> f32
    %1 = math.sqrt %0 : f32
    %2 = math.exp2 %1 : f32
    %3 = math.fma %2, %1, %0 : f32
    %distance = arith.constant 1 : i32
    %width = arith.constant 32 : i32
    %4, %valid = gpu.shuffle xor %3, %distance, %width : f32
    gpu.barrier
    %to = llvm.getelementptr %y[%i] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, f32
    llvm.store %4, %to : f32, !llvm.ptr<1>
    gpu.return
  }
}
