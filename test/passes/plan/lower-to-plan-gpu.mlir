// RUN: ds-opt %s -split-input-file -verify-diagnostics --lower-to-plan=gpu | FileCheck %s

// Attention reads its operands from the joint projection and writes where the heads are merged: nothing is copied. The
// plan says what workspace it gives.

// CHECK-LABEL: plan.program @train
// CHECK: %[[QKV:.*]] = plan.buffer "qkv" transient bytes 12288
// CHECK: plan.segment @micro_batch
// CHECK-NOT: "copy"
// CHECK: %[[Q:.*]] = plan.view %[[QKV]] offset 0 : <2x2x16x32xbf16 strides [3072, 32, 192, 1]>
// CHECK: %[[K:.*]] = plan.view %[[QKV]] offset 128 : <2x2x16x32xbf16 strides [3072, 32, 192, 1]>
// CHECK: %[[O:.*]] = plan.view %{{.*}} offset 0 : <2x2x16x32xbf16 strides [1024, 32, 64, 1]>
// CHECK: plan.launch "cudnn" "attention" ins(%[[Q]], %[[K]], {{.*}}) outs(%[[O]], {{.*}}) workspace(%{{.*}}) on 0 attributes {{{.*}}workspace_bytes = 256 : i64}
// CHECK-NOT: "copy"
module {
  func.func @micro_batch(%qkv: tensor<2x16x3x2x32xbf16> {graph.input = "qkv"})
      -> (tensor<f32> {graph.metric = "y"}) {
    %0 = graph.transpose %qkv [2, 0, 3, 1, 4] : tensor<2x16x3x2x32xbf16>
    %1 = graph.slice %0 [0, 0, 0, 0, 0] to [1, 2, 2, 16, 32] by [1, 1, 1, 1, 1] : tensor<3x2x2x16x32xbf16>
    %2 = graph.slice %0 [1, 0, 0, 0, 0] to [2, 2, 2, 16, 32] by [1, 1, 1, 1, 1] : tensor<3x2x2x16x32xbf16>
    %3 = graph.slice %0 [2, 0, 0, 0, 0] to [3, 2, 2, 16, 32] by [1, 1, 1, 1, 1] : tensor<3x2x2x16x32xbf16>
    %q = graph.reshape %1 : tensor<1x2x2x16x32xbf16> to tensor<2x2x16x32xbf16>
    %k = graph.reshape %2 : tensor<1x2x2x16x32xbf16> to tensor<2x2x16x32xbf16>
    %v = graph.reshape %3 : tensor<1x2x2x16x32xbf16> to tensor<2x2x16x32xbf16>
    %o, %lse = graph.attention %q, %k, %v scale 0.125 causal {graph.provider = "cudnn"}
        : tensor<2x2x16x32xbf16>, tensor<2x2x16x32xbf16>, tensor<2x2x16x32xbf16>
    %4 = graph.transpose %o [0, 2, 1, 3] : tensor<2x2x16x32xbf16>
    %5 = graph.reshape %4 : tensor<2x16x2x32xbf16> to tensor<2x16x64xbf16>
    %6 = graph.convert %5 {graph.provider = "cuda"} : tensor<2x16x64xbf16> to tensor<2x16x64xf32>
    %7 = graph.reduce_sum %6 dims [0, 1, 2] {graph.provider = "cuda"} : tensor<2x16x64xf32>
    return %7 : tensor<f32>
  }
}

// -----

// Products of grouped heads, as attention without cuDNN has them, write where the heads are merged, and gradients into their parts
// of that of the joint projection.

// CHECK-LABEL: plan.program @train
// CHECK-NOT: "copy"
// CHECK: %[[MERGED:.*]] = plan.view %{{.*}} offset 0 : <2x2x1x16x32xf32 strides [1024, 32, {{[0-9]+}}, 64, 1]>
// CHECK: plan.launch "cublaslt" "matmul" ins({{.*}}) outs(%[[MERGED]]
// CHECK-NOT: "copy"
// CHECK: %[[FIRST:.*]] = plan.view %{{.*}} offset 0 : <2x2x1x16x32xf32 strides [2048, 32, {{[0-9]+}}, 128, 1]>
// CHECK: plan.launch "cublaslt" "matmul" ins({{.*}}) outs(%[[FIRST]]
// CHECK-NOT: "copy"
// CHECK: %[[SECOND:.*]] = plan.view %{{.*}} offset 256 : <2x2x1x16x32xf32 strides [2048, 32, {{[0-9]+}}, 128, 1]>
// CHECK: plan.launch "cublaslt" "matmul" ins({{.*}}) outs(%[[SECOND]]
// CHECK-NOT: "copy"
module {
  func.func @micro_batch(%p: tensor<2x2x1x16x16xf32> {graph.input = "p"}, %v: tensor<2x2x16x32xf32> {graph.input = "v"})
      -> (tensor<f32> {graph.metric = "y"}, tensor<f32> {graph.metric = "z"}) {
    %0 = graph.matmul %p, %v batch [0, 1] x [0, 1] contract [4] x [2] {graph.provider = "cublaslt"} : tensor<2x2x1x16x16xf32>, tensor<2x2x16x32xf32>
    %1 = graph.reshape %0 : tensor<2x2x1x16x32xf32> to tensor<2x2x16x32xf32>
    %2 = graph.transpose %1 [0, 2, 1, 3] : tensor<2x2x16x32xf32>
    %3 = graph.reshape %2 : tensor<2x16x2x32xf32> to tensor<2x16x64xf32>
    %4 = graph.reduce_sum %3 dims [0, 1, 2] {graph.provider = "cuda"} : tensor<2x16x64xf32>
    %5 = graph.matmul %p, %v batch [0, 1] x [0, 1] contract [3] x [2] {graph.provider = "cublaslt"} : tensor<2x2x1x16x16xf32>, tensor<2x2x16x32xf32>
    %6 = graph.reshape %5 : tensor<2x2x1x16x32xf32> to tensor<2x2x16x32xf32>
    %7 = graph.transpose %6 [0, 2, 1, 3] : tensor<2x2x16x32xf32>
    %8 = graph.reshape %7 : tensor<2x16x2x32xf32> to tensor<2x16x64xf32>
    %9 = graph.matmul %p, %v batch [0, 1] x [0, 1] contract [4] x [2] {graph.provider = "cublaslt"} : tensor<2x2x1x16x16xf32>, tensor<2x2x16x32xf32>
    %10 = graph.reshape %9 : tensor<2x2x1x16x32xf32> to tensor<2x2x16x32xf32>
    %11 = graph.transpose %10 [0, 2, 1, 3] : tensor<2x2x16x32xf32>
    %12 = graph.reshape %11 : tensor<2x16x2x32xf32> to tensor<2x16x64xf32>
    %13 = graph.concat %8, %12 dim 2 : tensor<2x16x64xf32>, tensor<2x16x64xf32>
    %14 = graph.reduce_sum %13 dims [0, 1, 2] {graph.provider = "cuda"} : tensor<2x16x128xf32>
    return %4, %14 : tensor<f32>, tensor<f32>
  }
}

// -----

// One row for all samples is no matrix to cuBLASLt: it gets a copy.

// CHECK-LABEL: plan.program @train
// CHECK: %[[ROWS:.*]] = plan.view %{{.*}} offset 0 : <6x16xf32 strides [0, 1]>
// CHECK: %[[DENSE:.*]] = plan.view %{{.*}} offset 0 : <6x16xf32>
// CHECK: plan.launch "cuda" "copy" ins(%[[ROWS]] : {{.*}}) outs(%[[DENSE]] :
// CHECK: %[[OPERAND:.*]] = plan.view %{{.*}} offset 0 : <6x16xf32>
// CHECK: plan.launch "cublaslt" "linear" ins(%[[OPERAND]],
module {
  func.func @micro_batch(%q: tensor<16xf32> {graph.input = "q"}, %w: tensor<16x4xf32> {graph.input = "w"})
      -> (tensor<f32> {graph.metric = "y"}) {
    %0 = graph.broadcast %q [1] : tensor<16xf32> to tensor<6x16xf32>
    %1 = graph.linear %0, %w {graph.provider = "cublaslt"} : tensor<6x16xf32>, tensor<16x4xf32>
    %2 = graph.reduce_sum %1 dims [0, 1] {graph.provider = "cuda"} : tensor<6x4xf32>
    return %2 : tensor<f32>
  }
}
