// RUN: ds-opt %s --split-input-file --mixed-precision | FileCheck %s
// RUN: ds-opt %s --split-input-file --mixed-precision --differentiate | FileCheck %s --check-prefix=GRAD

// Parameters in bf16: the linear layer reads and writes bf16, the normalisation between conversions, the loss reads the
// logits as they are. The gradient of the weight leaves the product in f32; what arrives twice at %h is added in f32.
module attributes {graph.mixed_precision = #graph.mixed_precision<compute = bf16, parameters = bf16>} {
  // CHECK-LABEL: func.func @forward(
  // CHECK-SAME:    %[[W:.*]]: tensor<4x4xbf16> {graph.master = f32, graph.parameter = "w"}
  // CHECK-SAME:    %[[G:.*]]: tensor<4xbf16> {graph.master = f32, graph.parameter = "g"}
  // CHECK-SAME:    %[[X:.*]]: tensor<3x4xf32> {graph.input = "x"}, %[[T:.*]]: tensor<3xi64>
  // CHECK-SAME:    -> (tensor<f32> {graph.output = "loss"}, tensor<3x4xbf16> {graph.output = "logits"})
  // GRAD-LABEL: func.func @forward(
  // GRAD-SAME: -> (tensor<f32> {{.*}}, tensor<3x4xbf16> {{.*}}, tensor<4x4xf32> {graph.gradient = "w"}, tensor<4xf32> {graph.gradient = "g"})
  func.func @forward(%w: tensor<4x4xf32> {graph.parameter = "w"}, %g: tensor<4xf32> {graph.parameter = "g"},
                     %x: tensor<3x4xf32> {graph.input = "x"}, %t: tensor<3xi64> {graph.input = "t"})
      -> (tensor<f32> {graph.output = "loss"}, tensor<3x4xf32> {graph.output = "logits"}) {
    // CHECK: %[[X16:.*]] = graph.convert %[[X]] : tensor<3x4xf32> to tensor<3x4xbf16>
    // CHECK: %[[H:.*]] = graph.linear %[[X16]], %[[W]] : tensor<3x4xbf16>, tensor<4x4xbf16>
    %h = graph.linear %x, %w : tensor<3x4xf32>, tensor<4x4xf32>
    // CHECK-DAG: %[[H32:.*]] = graph.convert %[[H]] : tensor<3x4xbf16> to tensor<3x4xf32>
    // CHECK-DAG: %[[G32:.*]] = graph.convert %[[G]] : tensor<4xbf16> to tensor<4xf32>
    // CHECK: %[[N:.*]], %{{.*}}, %{{.*}} = graph.layer_norm %[[H32]], %[[G32]], %[[G32B:.*]] eps
    // CHECK: %[[N16:.*]] = graph.convert %[[N]] : tensor<3x4xf32> to tensor<3x4xbf16>
    %n, %m, %r = graph.layer_norm %h, %g, %g eps 1.0e-05 : tensor<3x4xf32>, tensor<4xf32>, tensor<4xf32>
    // CHECK: %[[A:.*]] = graph.add %{{.*}}, %{{.*}} : tensor<3x4xf32>, tensor<3x4xf32>
    // CHECK: %[[A16:.*]] = graph.convert %[[A]] : tensor<3x4xf32> to tensor<3x4xbf16>
    %a = graph.add %n, %h : tensor<3x4xf32>, tensor<3x4xf32>
    // CHECK: graph.cross_entropy %[[A16]], %[[T]] ignore_index -100 : tensor<3x4xbf16>, tensor<3xi64>
    %sum, %count, %lse = graph.cross_entropy %a, %t ignore_index -100 : tensor<3x4xf32>, tensor<3xi64>
    // CHECK: %[[LOSS:.*]] = graph.div %{{.*}} : tensor<f32>, tensor<f32>
    // CHECK: return %[[LOSS]], %[[A16]]
    %loss = graph.div %sum, %count : tensor<f32>, tensor<f32>
    return %loss, %a : tensor<f32>, tensor<3x4xf32>

    // GRAD: graph.cross_entropy_grad {{.*}} : tensor<3x4xbf16>, tensor<3xi64>, tensor<3xf32>, tensor<f32>
    // GRAD: %[[DN:.*]], %[[DG:.*]], %[[DB:.*]] = graph.layer_norm_grad
    // GRAD: %[[DGB:.*]] = graph.add %{{.*}}, %{{.*}} {graph.phase = "backward"} : tensor<4xf32>, tensor<4xf32>
    // GRAD: %[[DH:.*]] = graph.add %{{.*}} {graph.phase = "backward"} : tensor<3x4xf32>, tensor<3x4xf32>
    // GRAD: %[[DH16:.*]] = graph.convert %[[DH]] {graph.phase = "backward"} : tensor<3x4xf32> to tensor<3x4xbf16>
    // GRAD: %[[DW:.*]] = graph.matmul %{{.*}}, %[[DH16]] batch [] x [] contract [0] x [0] in f32
    // GRAD: return %{{.*}}, %{{.*}}, %[[DW]], %[[DGB]]
  }
}

// -----

// Parameters in f32, as torch.autocast has it: products convert them, normalisations and powers leave f32, sums of f32
// and bf16 are f32. The gradient of a converted parameter is not rounded.
module attributes {graph.mixed_precision = #graph.mixed_precision<compute = bf16, parameters = f32>} {
  // CHECK-LABEL: func.func @forward(
  // CHECK-SAME:    %[[W:.*]]: tensor<4x4xf32> {graph.parameter = "w"}, %[[X:.*]]: tensor<3x4xf32>
  // CHECK-SAME:    -> (tensor<f32> {graph.output = "loss"})
  // GRAD-LABEL: func.func @forward(
  func.func @forward(%w: tensor<4x4xf32> {graph.parameter = "w"}, %x: tensor<3x4xf32> {graph.input = "x"})
      -> (tensor<f32> {graph.output = "loss"}) {
    // CHECK: %[[W16:.*]] = graph.convert %[[W]] : tensor<4x4xf32> to tensor<4x4xbf16>
    // CHECK: %[[Y:.*]] = graph.matmul %{{.*}}, %[[W16]] {{.*}} : tensor<3x4xbf16>, tensor<4x4xbf16>
    %y = graph.matmul %x, %w batch [] x [] contract [1] x [0] : tensor<3x4xf32>, tensor<4x4xf32>
    // CHECK: %[[Y32:.*]] = graph.convert %[[Y]] : tensor<3x4xbf16> to tensor<3x4xf32>
    // CHECK: %[[S:.*]] = graph.softmax %[[Y32]] dim 1 : tensor<3x4xf32>
    %s = graph.softmax %y dim 1 : tensor<3x4xf32>
    // CHECK: %[[M:.*]] = graph.mul %[[S]], %{{.*}} : tensor<3x4xf32>, tensor<3x4xf32>
    %m = graph.mul %s, %y : tensor<3x4xf32>, tensor<3x4xf32>
    // A constant takes the type of what is beside it, and elements that only move keep theirs.
    // CHECK: %[[HALF:.*]] = graph.constant dense<5.000000e-01> : tensor<bf16>
    // CHECK: %[[P:.*]] = graph.pad %[[Y]], %[[HALF]] {{.*}} : tensor<3x4xbf16>, tensor<bf16>
    %half = graph.constant dense<5.0e-01> : tensor<f32>
    %p = graph.pad %y, %half low [0, 0] high [0, 1] interior [0, 0] : tensor<3x4xf32>, tensor<f32>
    // CHECK: graph.reduce_sum %[[M]] dims [0, 1] : tensor<3x4xf32>
    // CHECK: graph.reduce_sum %{{.*}} dims [0, 1] : tensor<3x5xf32>
    %a = graph.reduce_sum %m dims [0, 1] : tensor<3x4xf32>
    %b = graph.reduce_sum %p dims [0, 1] : tensor<3x5xf32>
    %loss = graph.add %a, %b : tensor<f32>, tensor<f32>
    return %loss : tensor<f32>
    // GRAD: %[[DW:.*]] = graph.matmul {{.*}} in f32 {graph.phase = "backward"} : tensor<3x4xbf16>, tensor<3x4xbf16>
    // GRAD-NOT: graph.convert %[[DW]]
    // GRAD: return
  }
}

// -----

// Without the attribute nothing changes.
// CHECK-LABEL: func.func @forward(%{{.*}}: tensor<4xf32>
// CHECK-NOT: bf16
// GRAD-LABEL: func.func @forward(
func.func @forward(%w: tensor<4xf32> {graph.parameter = "w"}) -> (tensor<f32> {graph.output = "loss"}) {
  %0 = graph.reduce_sum %w dims [0] : tensor<4xf32>
  return %0 : tensor<f32>
}

// -----

// The same in f16. A mask keeps what f16 cannot hold: it is added in f32.
module attributes {graph.mixed_precision = #graph.mixed_precision<compute = f16, parameters = f16>} {
  // CHECK-LABEL: func.func @forward(
  // CHECK-SAME:    %[[W:.*]]: tensor<4x4xf16> {graph.master = f32, graph.parameter = "w"}
  // GRAD-LABEL: func.func @forward(
  // GRAD-SAME: -> (tensor<f32> {{.*}}, tensor<4x4xf32> {graph.gradient = "w"})
  func.func @forward(%w: tensor<4x4xf32> {graph.parameter = "w"}, %x: tensor<1x1x4x4xf32> {graph.input = "x"},
                     %m: tensor<1x1x4x4xf32> {graph.input = "m"}) -> (tensor<f32> {graph.output = "loss"}) {
    // CHECK: %[[X16:.*]] = graph.convert %{{.*}} : tensor<1x1x4x4xf32> to tensor<1x1x4x4xf16>
    // CHECK: %[[Q:.*]] = graph.linear %[[X16]], %[[W]] : tensor<1x1x4x4xf16>, tensor<4x4xf16>
    %q = graph.linear %x, %w : tensor<1x1x4x4xf32>, tensor<4x4xf32>
    // CHECK: graph.attention %[[Q]], %[[Q]], %[[Q]] mask %{{.*}} scale {{.*}} : tensor<1x1x4x4xf16>, tensor<1x1x4x4xf16>, tensor<1x1x4x4xf16>, tensor<1x1x4x4xf32>
    %o, %lse = graph.attention %q, %q, %q mask %m scale 5.0e-01 : tensor<1x1x4x4xf32>, tensor<1x1x4x4xf32>, tensor<1x1x4x4xf32>, tensor<1x1x4x4xf32>
    // CHECK: graph.reduce_sum %{{.*}} : tensor<1x1x4x4xf32>
    %loss = graph.reduce_sum %o dims [0, 1, 2, 3] : tensor<1x1x4x4xf32>
    return %loss : tensor<f32>
    // GRAD: %[[DW:.*]] = graph.matmul {{.*}} in f32 {graph.phase = "backward"} : tensor<1x1x4x4xf16>, tensor<1x1x4x4xf16>
    // GRAD: return %{{.*}}, %[[DW]]
  }
}
