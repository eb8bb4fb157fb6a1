// RUN: ds-opt %s --pass-pipeline='builtin.module(func.func(recognize-gelu))' | FileCheck %s

// As GPT-2 in transformers writes it.
// CHECK-LABEL: @gpt2
// CHECK-SAME: %[[X:.*]]: tensor<2x8xf32>
// CHECK-NEXT: %[[Y:.*]] = graph.gelu tanh %[[X]] : tensor<2x8xf32>
// CHECK-NEXT: return %[[Y]]
func.func @gpt2(%x: tensor<2x8xf32>) -> tensor<2x8xf32> {
  %half = graph.constant dense<0.5> : tensor<f32>
  %one = graph.constant dense<1.0> : tensor<f32>
  %three = graph.constant dense<3.0> : tensor<f32>
  %a = graph.constant dense<4.471500e-02> : tensor<f32>
  %c = graph.constant dense<0.797884583> : tensor<f32>
  %hx = graph.mul %x, %half : tensor<2x8xf32>, tensor<f32>
  %x3 = graph.pow %x, %three : tensor<2x8xf32>, tensor<f32>
  %ax3 = graph.mul %x3, %a : tensor<2x8xf32>, tensor<f32>
  %inner = graph.add %x, %ax3 : tensor<2x8xf32>, tensor<2x8xf32>
  %u = graph.mul %inner, %c : tensor<2x8xf32>, tensor<f32>
  %t = graph.tanh %u : tensor<2x8xf32>
  %t1 = graph.add %t, %one : tensor<2x8xf32>, tensor<f32>
  %y = graph.mul %hx, %t1 : tensor<2x8xf32>, tensor<2x8xf32>
  return %y : tensor<2x8xf32>
}

// As FastGELUActivation: x/2 (1 + tanh(x c (1 + a x x))); x itself is a sum.
// CHECK-LABEL: @fast
// CHECK-NEXT: %[[S:.*]] = graph.add
// CHECK-NEXT: %[[Y:.*]] = graph.gelu tanh %[[S]]
// CHECK-NEXT: return %[[Y]]
func.func @fast(%p: tensor<2x8xf32>, %q: tensor<2x8xf32>) -> tensor<2x8xf32> {
  %half = graph.constant dense<0.5> : tensor<f32>
  %one = graph.constant dense<1.0> : tensor<f32>
  %a = graph.constant dense<4.471500e-02> : tensor<f32>
  %c = graph.constant dense<0.797884583> : tensor<f32>
  %x = graph.add %p, %q : tensor<2x8xf32>, tensor<2x8xf32>
  %hx = graph.mul %half, %x : tensor<f32>, tensor<2x8xf32>
  %xc = graph.mul %x, %c : tensor<2x8xf32>, tensor<f32>
  %ax = graph.mul %a, %x : tensor<f32>, tensor<2x8xf32>
  %ax2 = graph.mul %ax, %x : tensor<2x8xf32>, tensor<2x8xf32>
  %s = graph.add %one, %ax2 : tensor<f32>, tensor<2x8xf32>
  %u = graph.mul %xc, %s : tensor<2x8xf32>, tensor<2x8xf32>
  %t = graph.tanh %u : tensor<2x8xf32>
  %t1 = graph.add %one, %t : tensor<f32>, tensor<2x8xf32>
  %y = graph.mul %hx, %t1 : tensor<2x8xf32>, tensor<2x8xf32>
  return %y : tensor<2x8xf32>
}

// x (0.5 (1 + erf(x / sqrt 2))), with a divisor and a splat of the full shape.
// CHECK-LABEL: @exact
// CHECK-NEXT: %[[Y:.*]] = graph.gelu %arg0
// CHECK-NEXT: return %[[Y]]
func.func @exact(%x: tensor<2x8xf32>) -> tensor<2x8xf32> {
  %half = graph.constant dense<0.5> : tensor<2x8xf32>
  %one = graph.constant dense<1.0> : tensor<f64>
  %one32 = graph.convert %one : tensor<f64> to tensor<f32>
  %root = graph.constant dense<1.41421354> : tensor<f32>
  %u = graph.div %x, %root : tensor<2x8xf32>, tensor<f32>
  %e = graph.erf %u : tensor<2x8xf32>
  %e1 = graph.add %e, %one32 : tensor<2x8xf32>, tensor<f32>
  %h = graph.mul %half, %e1 : tensor<2x8xf32>, tensor<2x8xf32>
  %y = graph.mul %h, %x : tensor<2x8xf32>, tensor<2x8xf32>
  return %y : tensor<2x8xf32>
}

// Another constant is another function.
// CHECK-LABEL: @other_constant
// CHECK-NOT: graph.gelu
// CHECK: return
func.func @other_constant(%x: tensor<2x8xf32>) -> tensor<2x8xf32> {
  %half = graph.constant dense<0.5> : tensor<f32>
  %one = graph.constant dense<1.0> : tensor<f32>
  %c = graph.constant dense<0.7071> : tensor<f32>
  %u = graph.mul %x, %c : tensor<2x8xf32>, tensor<f32>
  %e = graph.erf %u : tensor<2x8xf32>
  %e1 = graph.add %e, %one : tensor<2x8xf32>, tensor<f32>
  %hx = graph.mul %x, %half : tensor<2x8xf32>, tensor<f32>
  %y = graph.mul %hx, %e1 : tensor<2x8xf32>, tensor<2x8xf32>
  return %y : tensor<2x8xf32>
}

// So is the product with another value than the one inside.
// CHECK-LABEL: @other_value
// CHECK-NOT: graph.gelu
// CHECK: return
func.func @other_value(%x: tensor<2x8xf32>, %z: tensor<2x8xf32>) -> tensor<2x8xf32> {
  %half = graph.constant dense<0.5> : tensor<f32>
  %one = graph.constant dense<1.0> : tensor<f32>
  %c = graph.constant dense<0.707106769> : tensor<f32>
  %u = graph.mul %x, %c : tensor<2x8xf32>, tensor<f32>
  %e = graph.erf %u : tensor<2x8xf32>
  %e1 = graph.add %e, %one : tensor<2x8xf32>, tensor<f32>
  %hz = graph.mul %z, %half : tensor<2x8xf32>, tensor<f32>
  %y = graph.mul %hz, %e1 : tensor<2x8xf32>, tensor<2x8xf32>
  return %y : tensor<2x8xf32>
}
