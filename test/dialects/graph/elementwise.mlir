// RUN: ds-opt %s | ds-opt - | FileCheck %s --check-prefix=SAME
// RUN: ds-opt %s -canonicalize | FileCheck %s --check-prefix=FOLD

// SAME-LABEL: @broadcast_shape
// SAME: graph.add %{{.*}}, %{{.*}} : tensor<4x1x3xf32>, tensor<2x1xf32>
// SAME: return %{{.*}} : tensor<4x2x3xf32>
func.func @broadcast_shape(%a: tensor<4x1x3xf32>, %b: tensor<2x1xf32>) -> tensor<4x2x3xf32> {
  %r = graph.add %a, %b : tensor<4x1x3xf32>, tensor<2x1xf32>
  return %r : tensor<4x2x3xf32>
}

// SAME-LABEL: @other_forms
// SAME: graph.compare "le" %{{.*}}, %{{.*}} : tensor<4x1xi64>, tensor<1x4xi64>
// SAME: graph.select %{{.*}}, %{{.*}}, %{{.*}} : tensor<4x4xi1>, tensor<4x4xf32>, tensor<f32>
// SAME: graph.gelu tanh %{{.*}} : tensor<4x4xf32>
// SAME: graph.gelu_grad %{{.*}}, %{{.*}} : tensor<4x4xf32>
// SAME: graph.convert %{{.*}} : tensor<4x4xf32> to tensor<4x4xbf16>
func.func @other_forms(%i: tensor<4x1xi64>, %j: tensor<1x4xi64>, %x: tensor<4x4xf32>, %s: tensor<f32>)
    -> tensor<4x4xbf16> {
  %m = graph.compare "le" %i, %j : tensor<4x1xi64>, tensor<1x4xi64>
  %y = graph.select %m, %x, %s : tensor<4x4xi1>, tensor<4x4xf32>, tensor<f32>
  %z = graph.gelu tanh %y : tensor<4x4xf32>
  %w = graph.gelu_grad %z, %x : tensor<4x4xf32>
  %c = graph.convert %w : tensor<4x4xf32> to tensor<4x4xbf16>
  return %c : tensor<4x4xbf16>
}

// FOLD-LABEL: @neutral_elements
// FOLD-SAME: %[[X:.*]]: tensor<2x3xf32>
// FOLD-NEXT: return %[[X]]
func.func @neutral_elements(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %zero = graph.constant dense<0.0> : tensor<f32>
  %one = graph.constant dense<1.0> : tensor<3xf32>
  %a = graph.add %zero, %x : tensor<f32>, tensor<2x3xf32>
  %b = graph.mul %a, %one : tensor<2x3xf32>, tensor<3xf32>
  %c = graph.sub %b, %zero : tensor<2x3xf32>, tensor<f32>
  %d = graph.div %c, %one : tensor<2x3xf32>, tensor<3xf32>
  return %d : tensor<2x3xf32>
}

// A neutral element that broadcasts the other operand stays.
// FOLD-LABEL: @neutral_but_larger
// FOLD: graph.add
func.func @neutral_but_larger(%x: tensor<3xf32>) -> tensor<2x3xf32> {
  %zero = graph.constant dense<0.0> : tensor<2x3xf32>
  %a = graph.add %x, %zero : tensor<3xf32>, tensor<2x3xf32>
  return %a : tensor<2x3xf32>
}

// x * 0 and x - x are NaN for infinite x.
// FOLD-LABEL: @not_for_floats
// FOLD: graph.mul
// FOLD: graph.sub
func.func @not_for_floats(%x: tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
  %zero = graph.constant dense<0.0> : tensor<f32>
  %a = graph.mul %x, %zero : tensor<3xf32>, tensor<f32>
  %b = graph.sub %x, %x : tensor<3xf32>, tensor<3xf32>
  return %a, %b : tensor<3xf32>, tensor<3xf32>
}

// FOLD-LABEL: @for_integers
// FOLD: %[[ZERO:.*]] = graph.constant dense<0> : tensor<3xi64>
// FOLD-NEXT: return %[[ZERO]], %[[ZERO]]
func.func @for_integers(%x: tensor<3xi64>) -> (tensor<3xi64>, tensor<3xi64>) {
  %zero = graph.constant dense<0> : tensor<i64>
  %a = graph.mul %x, %zero : tensor<3xi64>, tensor<i64>
  %b = graph.sub %x, %x : tensor<3xi64>, tensor<3xi64>
  return %a, %b : tensor<3xi64>, tensor<3xi64>
}

// FOLD-LABEL: @conversions
// FOLD-SAME: %[[X:.*]]: tensor<3xf32>, %[[Y:.*]]: tensor<3xi64>
// FOLD-NEXT: %[[F:.*]] = graph.convert %[[Y]]
// FOLD-NEXT: %[[I:.*]] = graph.convert %[[F]]
// FOLD-NEXT: return %[[X]], %[[I]]
func.func @conversions(%x: tensor<3xf32>, %y: tensor<3xi64>) -> (tensor<3xf32>, tensor<3xi64>) {
  %same = graph.convert %x : tensor<3xf32> to tensor<3xf32>
  %wide = graph.convert %same : tensor<3xf32> to tensor<3xf64>
  %back = graph.convert %wide : tensor<3xf64> to tensor<3xf32>
  // f32 does not hold every i64.
  %float = graph.convert %y : tensor<3xi64> to tensor<3xf32>
  %int = graph.convert %float : tensor<3xf32> to tensor<3xi64>
  return %back, %int : tensor<3xf32>, tensor<3xi64>
}

// FOLD-LABEL: @known_predicate
// FOLD-SAME: %[[P:.*]]: tensor<3xi1>, %[[X:.*]]: tensor<3xf32>, %[[Y:.*]]: tensor<3xf32>
// FOLD-NEXT: return %[[X]], %[[Y]], %[[Y]]
func.func @known_predicate(%p: tensor<3xi1>, %x: tensor<3xf32>, %y: tensor<3xf32>)
    -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) {
  %true = graph.constant dense<true> : tensor<i1>
  %false = graph.constant dense<false> : tensor<3xi1>
  %a = graph.select %true, %x, %y : tensor<i1>, tensor<3xf32>, tensor<3xf32>
  %b = graph.select %false, %x, %y : tensor<3xi1>, tensor<3xf32>, tensor<3xf32>
  %c = graph.select %p, %y, %y : tensor<3xi1>, tensor<3xf32>, tensor<3xf32>
  return %a, %b, %c : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
}

// FOLD-LABEL: @powers
// FOLD-SAME: %[[X:.*]]: tensor<3xf32>
// FOLD-NEXT: %[[SECOND:.*]] = graph.mul %[[X]], %[[X]]
// FOLD-NEXT: %[[SQUARE:.*]] = graph.mul %[[X]], %[[X]]
// FOLD-NEXT: %[[THIRD:.*]] = graph.mul %[[SQUARE]], %[[X]]
// FOLD-NEXT: %[[SQRT:.*]] = graph.sqrt %[[X]]
// FOLD-NEXT: %[[RSQRT:.*]] = graph.rsqrt %[[X]]
// FOLD-NEXT: %[[INVERSE:.*]] = graph.reciprocal %[[X]]
// FOLD-NEXT: return %[[X]], %[[SECOND]], %[[THIRD]], %[[SQRT]], %[[RSQRT]], %[[INVERSE]]
func.func @powers(%x: tensor<3xf32>)
    -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) {
  %c1 = graph.constant dense<1.0> : tensor<f32>
  %c2 = graph.constant dense<2.0> : tensor<f32>
  %c3 = graph.constant dense<3.0> : tensor<f32>
  %half = graph.constant dense<0.5> : tensor<f32>
  %mhalf = graph.constant dense<-0.5> : tensor<f32>
  %m1 = graph.constant dense<-1.0> : tensor<f32>
  %a = graph.pow %x, %c1 : tensor<3xf32>, tensor<f32>
  %b = graph.pow %a, %c2 : tensor<3xf32>, tensor<f32>
  %c = graph.pow %a, %c3 : tensor<3xf32>, tensor<f32>
  %d = graph.pow %a, %half : tensor<3xf32>, tensor<f32>
  %e = graph.pow %a, %mhalf : tensor<3xf32>, tensor<f32>
  %f = graph.pow %a, %m1 : tensor<3xf32>, tensor<f32>
  return %a, %b, %c, %d, %e, %f
      : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
}
