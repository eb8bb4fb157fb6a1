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
