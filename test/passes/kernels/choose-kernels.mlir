// RUN: ds-opt %s -split-input-file -verify-diagnostics --choose-kernels | FileCheck %s
// RUN: ds-opt %s -split-input-file -verify-diagnostics --choose-kernels=providers=onednn,native,reference | FileCheck %s --check-prefix=LIBRARIES
// RUN: ds-opt %s -split-input-file -verify-diagnostics --choose-kernels=providers=reference | FileCheck %s --check-prefix=REFERENCE

// REFERENCE-NOT: graph.provider = "onednn"
// REFERENCE-NOT: graph.provider = "native"
// REFERENCE-NOT: graph.provider = "generated"

// A composite without a kernel is decomposed until every op has one, or can get one that is generated.

// CHECK-LABEL: func.func @softmax
// CHECK: graph.reduce_max {{.*}} {graph.phase = "forward", graph.provider = "generated"}
// CHECK: graph.sub {{.*}}graph.provider = "generated"
// CHECK-NOT: graph.softmax
// LIBRARIES-LABEL: func.func @softmax
// LIBRARIES: graph.reduce_max {{.*}} {graph.phase = "forward", graph.provider = "reference"}
// LIBRARIES: graph.sub {{.*}}graph.provider = "reference"
// LIBRARIES-NOT: graph.softmax
func.func @softmax(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %y = graph.softmax %x dim 1 {graph.phase = "forward"} : tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}

// -----

// oneDNN takes f32 products, the reference kernels f64.

// CHECK-LABEL: func.func @matmul
// CHECK: graph.matmul {{.*}} {graph.provider = "onednn"}
// CHECK: graph.matmul {{.*}} {graph.provider = "reference"}
func.func @matmul(%a: tensor<4x8xf32>, %b: tensor<8x2xf32>, %c: tensor<4x8xf64>, %d: tensor<8x2xf64>)
    -> (tensor<4x2xf32>, tensor<4x2xf64>) {
  %0 = graph.matmul %a, %b batch [] x [] contract [1] x [0] : tensor<4x8xf32>, tensor<8x2xf32>
  %1 = graph.matmul %c, %d batch [] x [] contract [1] x [0] : tensor<4x8xf64>, tensor<8x2xf64>
  return %0, %1 : tensor<4x2xf32>, tensor<4x2xf64>
}

// -----

// The same for convolutions and their gradients.

// CHECK-LABEL: func.func @convolution
// CHECK: graph.convolution {{.*}} {graph.provider = "onednn"}
// CHECK: graph.convolution_input_grad {{.*}} {graph.provider = "onednn"}
// CHECK: graph.convolution_weight_grad {{.*}} {graph.provider = "onednn"}
// CHECK: graph.convolution {{.*}} {graph.provider = "reference"}
func.func @convolution(%x: tensor<2x4x8xf32>, %w: tensor<6x4x3xf32>, %x64: tensor<2x4x8xf64>, %w64: tensor<6x4x3xf64>)
    -> (tensor<2x4x8xf32>, tensor<6x4x3xf32>, tensor<2x6x8xf64>) {
  %y = graph.convolution %x, %w strides [1] low [1] high [1] dilations [1] groups 1
      : tensor<2x4x8xf32>, tensor<6x4x3xf32>
  %dx = graph.convolution_input_grad %y, %w sizes [8] strides [1] low [1] high [1] dilations [1] groups 1
      : tensor<2x6x8xf32>, tensor<6x4x3xf32>
  %dw = graph.convolution_weight_grad %y, %x sizes [3] strides [1] low [1] high [1] dilations [1] groups 1
      : tensor<2x6x8xf32>, tensor<2x4x8xf32>
  %z = graph.convolution %x64, %w64 strides [1] low [1] high [1] dilations [1] groups 1
      : tensor<2x4x8xf64>, tensor<6x4x3xf64>
  return %dx, %dw, %z : tensor<2x4x8xf32>, tensor<6x4x3xf32>, tensor<2x6x8xf64>
}

// -----

// The blocked kernel computes attention in f32; in f64 it is decomposed.

// CHECK-LABEL: func.func @attention
// CHECK: graph.attention {{.*}}graph.provider = "native"
// CHECK-NOT: graph.attention
// CHECK: graph.matmul
func.func @attention(%q: tensor<1x2x8x16xf32>, %p: tensor<1x2x8x16xf64>) -> (tensor<1x2x8x16xf32>, tensor<1x2x8x16xf64>) {
  %o, %l = graph.attention %q, %q, %q scale 2.5e-01 causal : tensor<1x2x8x16xf32>, tensor<1x2x8x16xf32>, tensor<1x2x8x16xf32>
  %r, %m = graph.attention %p, %p, %p scale 2.5e-01 causal : tensor<1x2x8x16xf64>, tensor<1x2x8x16xf64>, tensor<1x2x8x16xf64>
  return %o, %r : tensor<1x2x8x16xf32>, tensor<1x2x8x16xf64>
}

// -----

// Products, attention and the loss read bf16; a product may leave it as f32.

// CHECK-LABEL: func.func @bf16
// CHECK: graph.matmul {{.*}} {graph.provider = "onednn"}
// CHECK: graph.matmul {{.*}} in f32 {graph.provider = "onednn"}
// CHECK: graph.attention {{.*}}graph.provider = "native"
// CHECK: graph.cross_entropy {{.*}}graph.provider = "native"
// CHECK: graph.add {{.*}}graph.provider = "generated"
// LIBRARIES-LABEL: func.func @bf16
// LIBRARIES: graph.matmul {{.*}} {graph.provider = "onednn"}
// LIBRARIES: graph.add {{.*}}graph.provider = "reference"
func.func @bf16(%a: tensor<4x8xbf16>, %b: tensor<8x2xbf16>, %q: tensor<1x2x8x16xbf16>, %t: tensor<4xi64>)
    -> (tensor<4x2xbf16>, tensor<4x2xf32>, tensor<1x2x8x16xbf16>, tensor<f32>) {
  %0 = graph.matmul %a, %b batch [] x [] contract [1] x [0] : tensor<4x8xbf16>, tensor<8x2xbf16>
  %1 = graph.matmul %a, %b batch [] x [] contract [1] x [0] in f32 : tensor<4x8xbf16>, tensor<8x2xbf16>
  %o, %l = graph.attention %q, %q, %q scale 2.5e-01 causal : tensor<1x2x8x16xbf16>, tensor<1x2x8x16xbf16>, tensor<1x2x8x16xbf16>
  %sum, %count, %lse = graph.cross_entropy %0, %t ignore_index -100 : tensor<4x2xbf16>, tensor<4xi64>
  %2 = graph.add %0, %0 : tensor<4x2xbf16>, tensor<4x2xbf16>
  return %2, %1, %o, %sum : tensor<4x2xbf16>, tensor<4x2xf32>, tensor<1x2x8x16xbf16>, tensor<f32>
}

// -----

// What kernels are generated for: elementwise ops and reductions on f32, bf16, i64, i32 and i1 that leave more than one
// element. Scalars, f64, divided integers and what reads or writes by an index stay with the reference kernels.

// CHECK-LABEL: func.func @generated
// CHECK: graph.exp {{.*}}graph.provider = "generated"} : tensor<4x8xf32>
// CHECK: graph.exp {{.*}}graph.provider = "reference"} : tensor<f32>
// CHECK: graph.exp {{.*}}graph.provider = "reference"} : tensor<4xf64>
// CHECK: graph.add {{.*}}graph.provider = "generated"} : tensor<4xi64>
// CHECK: graph.div {{.*}}graph.provider = "reference"} : tensor<4xi64>
// CHECK: graph.reduce_sum {{.*}} dims [0] {graph.provider = "generated"} : tensor<4x8xf32>
// CHECK: graph.reduce_sum {{.*}} dims [0, 1] {graph.provider = "reference"} : tensor<4x8xf32>
// CHECK: graph.convert {{.*}}graph.provider = "generated"} : tensor<4x8xf32> to tensor<4x8xbf16>
// An integer would be rounded twice on its way to bf16.
// CHECK: graph.convert {{.*}}graph.provider = "reference"} : tensor<4xi64> to tensor<4xbf16>
// CHECK: graph.gather {{.*}}graph.provider = "reference"}
// LIBRARIES-LABEL: func.func @generated
// LIBRARIES-NOT: graph.provider = "generated"
func.func @generated(%x: tensor<4x8xf32>, %s: tensor<f32>, %d: tensor<4xf64>, %i: tensor<4xi64>)
    -> (tensor<4x8xf32>, tensor<f32>, tensor<4xf64>, tensor<4xi64>, tensor<4xi64>, tensor<8xf32>, tensor<f32>,
        tensor<4x8xbf16>, tensor<4xbf16>, tensor<4xi64>) {
  %0 = graph.exp %x : tensor<4x8xf32>
  %1 = graph.exp %s : tensor<f32>
  %2 = graph.exp %d : tensor<4xf64>
  %3 = graph.add %i, %i : tensor<4xi64>, tensor<4xi64>
  %4 = graph.div %i, %i : tensor<4xi64>, tensor<4xi64>
  %5 = graph.reduce_sum %x dims [0] : tensor<4x8xf32>
  %6 = graph.reduce_sum %x dims [0, 1] : tensor<4x8xf32>
  %7 = graph.convert %x : tensor<4x8xf32> to tensor<4x8xbf16>
  %8 = graph.convert %i : tensor<4xi64> to tensor<4xbf16>
  %9 = graph.gather %i, %i dim 0 : tensor<4xi64>, tensor<4xi64>
  return %0, %1, %2, %3, %4, %5, %6, %7, %8, %9 : tensor<4x8xf32>, tensor<f32>, tensor<4xf64>, tensor<4xi64>, tensor<4xi64>,
      tensor<8xf32>, tensor<f32>, tensor<4x8xbf16>, tensor<4xbf16>, tensor<4xi64>
}

// -----

// What only renames elements gets no provider.

// CHECK-LABEL: func.func @views
// CHECK-NOT: graph.provider
func.func @views(%x: tensor<2x3xf32>) -> tensor<6xf32> {
  %0 = graph.transpose %x [1, 0] : tensor<2x3xf32>
  %1 = graph.reshape %0 : tensor<3x2xf32> to tensor<6xf32>
  return %1 : tensor<6xf32>
}

// -----

func.func @no_kernel(%x: tensor<2x3xbf16>) -> tensor<2x3xbf16> {
  // expected-error @+1 {{has no kernel for these types in any provider}}
  %0 = graph.reduce_sum %x dims [] : tensor<2x3xbf16>
  return %0 : tensor<2x3xbf16>
}
