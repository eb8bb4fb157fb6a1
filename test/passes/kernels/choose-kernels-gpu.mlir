// RUN: ds-opt %s -split-input-file -verify-diagnostics --choose-kernels=gpu | FileCheck %s
// RUN: ds-opt %s -split-input-file -verify-diagnostics "--choose-kernels=gpu providers=cublaslt,generated,cuda" | FileCheck %s --check-prefix=WITHOUT

// WITHOUT-NOT: graph.attention
// WITHOUT-NOT: "cudnn"

// cuDNN takes attention of bf16 and f16, with grouped heads, and its gradient; cuBLASLt takes products.

// CHECK-LABEL: func.func @attention
// CHECK: graph.attention {{.*}} causal {graph.provider = "cudnn"}
// CHECK: graph.attention_grad {{.*}} causal {graph.provider = "cudnn"}
// CHECK: graph.matmul {{.*}} {graph.provider = "cublaslt"}
// WITHOUT-LABEL: func.func @attention
// WITHOUT: graph.matmul {{.*}} {graph.provider = "cublaslt"}
// WITHOUT: graph.exp {{.*}} {graph.provider = "generated"}
func.func @attention(%q: tensor<2x4x16x64xbf16>, %k: tensor<2x2x16x64xbf16>, %w: tensor<64x64xbf16>)
    -> (tensor<2x4x16x64xbf16>, tensor<2x4x16x64xbf16>, tensor<2x2x16x64xbf16>, tensor<64x64xbf16>) {
  %o, %lse = graph.attention %q, %k, %k scale 0.125 causal
      : tensor<2x4x16x64xbf16>, tensor<2x2x16x64xbf16>, tensor<2x2x16x64xbf16>
  %dq, %dk, %dv = graph.attention_grad %o, %q, %k, %k, %o, %lse scale 0.125 causal
      : tensor<2x4x16x64xbf16>, tensor<2x4x16x64xbf16>, tensor<2x2x16x64xbf16>, tensor<2x2x16x64xbf16>, tensor<2x4x16x64xbf16>, tensor<2x4x16xf32>
  %0 = graph.matmul %w, %w batch [] x [] contract [1] x [0] : tensor<64x64xbf16>, tensor<64x64xbf16>
  return %o, %dq, %dk, %0 : tensor<2x4x16x64xbf16>, tensor<2x4x16x64xbf16>, tensor<2x2x16x64xbf16>, tensor<64x64xbf16>
}

// -----

// A gradient that cuDNN has a fault in is computed by products, from what its forward kept.

// CHECK-LABEL: func.func @half_a_tile
// CHECK: graph.attention {{.*}} {graph.provider = "cudnn"}
// CHECK-NOT: graph.attention_grad
// CHECK: graph.exp {{.*}} {graph.provider = "generated"}
func.func @half_a_tile(%q: tensor<2x4x64x64xbf16>) -> tensor<2x4x64x64xbf16> {
  %o, %lse = graph.attention %q, %q, %q scale 0.125 : tensor<2x4x64x64xbf16>, tensor<2x4x64x64xbf16>, tensor<2x4x64x64xbf16>
  %dq, %dk, %dv = graph.attention_grad %o, %q, %q, %q, %o, %lse scale 0.125
      : tensor<2x4x64x64xbf16>, tensor<2x4x64x64xbf16>, tensor<2x4x64x64xbf16>, tensor<2x4x64x64xbf16>, tensor<2x4x64x64xbf16>, tensor<2x4x64xf32>
  return %dq : tensor<2x4x64x64xbf16>
}

// -----

// A bias of one number is added by a kernel of its own.

// CHECK-LABEL: func.func @one_feature
// CHECK: graph.matmul {{.*}} {graph.provider = "cublaslt"}
// CHECK: graph.add {{.*}} {graph.provider = "generated"}
func.func @one_feature(%x: tensor<4x8xf32>, %w: tensor<8x1xf32>, %b: tensor<1xf32>) -> tensor<4x1xf32> {
  %0 = graph.linear %x, %w, %b : tensor<4x8xf32>, tensor<8x1xf32>, tensor<1xf32>
  return %0 : tensor<4x1xf32>
}

// -----

// What cuDNN does not take becomes products and generated kernels: f32, dropout, heads that are no multiples of 8.

// CHECK-LABEL: func.func @composite
// CHECK-NOT: graph.attention
func.func @composite(%q: tensor<2x4x16x64xf32>, %x: tensor<2x4x16x64xf16>, %y: tensor<2x4x16x12xf16>, %counter: tensor<3xi64>)
    -> (tensor<2x4x16x64xf32>, tensor<2x4x16x64xf16>, tensor<2x4x16x12xf16>) {
  %0, %lse0 = graph.attention %q, %q, %q scale 0.125 causal
      : tensor<2x4x16x64xf32>, tensor<2x4x16x64xf32>, tensor<2x4x16x64xf32>
  %1, %lse1 = graph.attention %x, %x, %x counter %counter scale 0.125 {dropout = 0.1, id = 3 : i64}
      : tensor<2x4x16x64xf16>, tensor<2x4x16x64xf16>, tensor<2x4x16x64xf16>, tensor<3xi64>
  %2, %lse2 = graph.attention %y, %y, %y scale 0.25
      : tensor<2x4x16x12xf16>, tensor<2x4x16x12xf16>, tensor<2x4x16x12xf16>
  return %0, %1, %2 : tensor<2x4x16x64xf32>, tensor<2x4x16x64xf16>, tensor<2x4x16x12xf16>
}
