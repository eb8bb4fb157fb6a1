// RUN: ds-opt %s --split-input-file --differentiate --cse 2>/dev/null | FileCheck %s

// Gradients of the elementwise ops; broadcasting is undone by a sum.
// Each loss is the sum of y * dy, so that the cotangent of y is 1 * %dy.

// CHECK-LABEL: module @neg {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.neg %[[V5]] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V6]]

module @neg {
  func.func @forward(%x: tensor<4xf32> {graph.parameter = "x"},
                     %dy: tensor<4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.neg %x : tensor<4xf32>
    %p = graph.mul %y, %dy : tensor<4xf32>, tensor<4xf32>
    %loss = graph.reduce_sum %p dims [0] : tensor<4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @abs {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.sign %arg0 {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.mul %[[V5]], %[[V6]] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V7]]

module @abs {
  func.func @forward(%x: tensor<4xf32> {graph.parameter = "x"},
                     %dy: tensor<4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.abs %x : tensor<4xf32>
    %p = graph.mul %y, %dy : tensor<4xf32>, tensor<4xf32>
    %loss = graph.reduce_sum %p dims [0] : tensor<4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @sign {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<0.000000e+00> : tensor<4xf32>
// CHECK-NEXT: return %[[V2]], %[[V3]]

module @sign {
  func.func @forward(%x: tensor<4xf32> {graph.parameter = "x"},
                     %dy: tensor<4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.sign %x : tensor<4xf32>
    %p = graph.mul %y, %dy : tensor<4xf32>, tensor<4xf32>
    %loss = graph.reduce_sum %p dims [0] : tensor<4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @floor {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<0.000000e+00> : tensor<4xf32>
// CHECK-NEXT: return %[[V2]], %[[V3]]

module @floor {
  func.func @forward(%x: tensor<4xf32> {graph.parameter = "x"},
                     %dy: tensor<4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.floor %x : tensor<4xf32>
    %p = graph.mul %y, %dy : tensor<4xf32>, tensor<4xf32>
    %loss = graph.reduce_sum %p dims [0] : tensor<4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @exp {
// CHECK: %[[V0:.*]] = graph.exp %arg0 {{.*}}"forward"
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.mul %[[V5]], %[[V0]] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V6]]

module @exp {
  func.func @forward(%x: tensor<4xf32> {graph.parameter = "x"},
                     %dy: tensor<4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.exp %x : tensor<4xf32>
    %p = graph.mul %y, %dy : tensor<4xf32>, tensor<4xf32>
    %loss = graph.reduce_sum %p dims [0] : tensor<4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @log {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.div %[[V5]], %arg0 {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V6]]

module @log {
  func.func @forward(%x: tensor<4xf32> {graph.parameter = "x"},
                     %dy: tensor<4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.log %x : tensor<4xf32>
    %p = graph.mul %y, %dy : tensor<4xf32>, tensor<4xf32>
    %loss = graph.reduce_sum %p dims [0] : tensor<4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @sqrt {
// CHECK: %[[V0:.*]] = graph.sqrt %arg0 {{.*}}"forward"
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.constant {graph.phase = "backward"} dense<2.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V7:.*]] = graph.mul %[[V0]], %[[V6]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V8:.*]] = graph.div %[[V5]], %[[V7]] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V8]]

module @sqrt {
  func.func @forward(%x: tensor<4xf32> {graph.parameter = "x"},
                     %dy: tensor<4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.sqrt %x : tensor<4xf32>
    %p = graph.mul %y, %dy : tensor<4xf32>, tensor<4xf32>
    %loss = graph.reduce_sum %p dims [0] : tensor<4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @rsqrt {
// CHECK: %[[V0:.*]] = graph.rsqrt %arg0 {{.*}}"forward"
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.mul %[[V0]], %[[V0]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.mul %[[V6]], %[[V0]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V8:.*]] = graph.constant {graph.phase = "backward"} dense<-5.000000e-01> : tensor<f32>
// CHECK-NEXT: %[[V9:.*]] = graph.mul %[[V5]], %[[V8]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V10:.*]] = graph.mul %[[V9]], %[[V7]] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V10]]

module @rsqrt {
  func.func @forward(%x: tensor<4xf32> {graph.parameter = "x"},
                     %dy: tensor<4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.rsqrt %x : tensor<4xf32>
    %p = graph.mul %y, %dy : tensor<4xf32>, tensor<4xf32>
    %loss = graph.reduce_sum %p dims [0] : tensor<4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @reciprocal {
// CHECK: %[[V0:.*]] = graph.reciprocal %arg0 {{.*}}"forward"
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.mul %[[V0]], %[[V0]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.neg %[[V5]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V8:.*]] = graph.mul %[[V7]], %[[V6]] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V8]]

module @reciprocal {
  func.func @forward(%x: tensor<4xf32> {graph.parameter = "x"},
                     %dy: tensor<4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.reciprocal %x : tensor<4xf32>
    %p = graph.mul %y, %dy : tensor<4xf32>, tensor<4xf32>
    %loss = graph.reduce_sum %p dims [0] : tensor<4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @sin {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.cos %arg0 {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.mul %[[V5]], %[[V6]] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V7]]

module @sin {
  func.func @forward(%x: tensor<4xf32> {graph.parameter = "x"},
                     %dy: tensor<4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.sin %x : tensor<4xf32>
    %p = graph.mul %y, %dy : tensor<4xf32>, tensor<4xf32>
    %loss = graph.reduce_sum %p dims [0] : tensor<4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @cos {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.sin %arg0 {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.neg %[[V6]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V8:.*]] = graph.mul %[[V5]], %[[V7]] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V8]]

module @cos {
  func.func @forward(%x: tensor<4xf32> {graph.parameter = "x"},
                     %dy: tensor<4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.cos %x : tensor<4xf32>
    %p = graph.mul %y, %dy : tensor<4xf32>, tensor<4xf32>
    %loss = graph.reduce_sum %p dims [0] : tensor<4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @tanh {
// CHECK: %[[V0:.*]] = graph.tanh %arg0 {{.*}}"forward"
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.mul %[[V0]], %[[V0]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.sub %[[V3]], %[[V6]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V8:.*]] = graph.mul %[[V5]], %[[V7]] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V8]]

module @tanh {
  func.func @forward(%x: tensor<4xf32> {graph.parameter = "x"},
                     %dy: tensor<4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.tanh %x : tensor<4xf32>
    %p = graph.mul %y, %dy : tensor<4xf32>, tensor<4xf32>
    %loss = graph.reduce_sum %p dims [0] : tensor<4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @erf {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.mul %arg0, %arg0 {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.neg %[[V6]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V8:.*]] = graph.exp %[[V7]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V9:.*]] = graph.constant {graph.phase = "backward"} dense<1.12837923> : tensor<f32>
// CHECK-NEXT: %[[V10:.*]] = graph.mul %[[V8]], %[[V9]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V11:.*]] = graph.mul %[[V5]], %[[V10]] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V11]]

module @erf {
  func.func @forward(%x: tensor<4xf32> {graph.parameter = "x"},
                     %dy: tensor<4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.erf %x : tensor<4xf32>
    %p = graph.mul %y, %dy : tensor<4xf32>, tensor<4xf32>
    %loss = graph.reduce_sum %p dims [0] : tensor<4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// The density of the normal distribution.
// CHECK-LABEL: module @ndtr {
// CHECK: %[[DY:.*]] = graph.mul %{{.*}}, %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[MINUS_HALF:.*]] = graph.constant {graph.phase = "backward"} dense<-5.000000e-01> : tensor<f32>
// CHECK-NEXT: %[[HALF:.*]] = graph.mul %arg0, %[[MINUS_HALF]] {graph.phase = "backward"}
// CHECK-NEXT: %[[EXPONENT:.*]] = graph.mul %[[HALF]], %arg0 {graph.phase = "backward"}
// CHECK-NEXT: %[[BELL:.*]] = graph.exp %[[EXPONENT]] {graph.phase = "backward"}
// CHECK-NEXT: %[[PEAK:.*]] = graph.constant {graph.phase = "backward"} dense<0.398942292> : tensor<f32>
// CHECK-NEXT: %[[SLOPE:.*]] = graph.mul %[[BELL]], %[[PEAK]] {graph.phase = "backward"}
// CHECK-NEXT: %[[DX:.*]] = graph.mul %[[DY]], %[[SLOPE]] {graph.phase = "backward"}
// CHECK-NEXT: return %{{.*}}, %[[DX]]

module @ndtr {
  func.func @forward(%x: tensor<4xf32> {graph.parameter = "x"},
                     %dy: tensor<4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.ndtr %x : tensor<4xf32>
    %p = graph.mul %y, %dy : tensor<4xf32>, tensor<4xf32>
    %loss = graph.reduce_sum %p dims [0] : tensor<4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @sigmoid {
// CHECK: %[[V0:.*]] = graph.sigmoid %arg0 {{.*}}"forward"
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.sub %[[V3]], %[[V0]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.mul %[[V0]], %[[V6]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V8:.*]] = graph.mul %[[V5]], %[[V7]] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V8]]

module @sigmoid {
  func.func @forward(%x: tensor<4xf32> {graph.parameter = "x"},
                     %dy: tensor<4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.sigmoid %x : tensor<4xf32>
    %p = graph.mul %y, %dy : tensor<4xf32>, tensor<4xf32>
    %loss = graph.reduce_sum %p dims [0] : tensor<4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @gelu {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.gelu_grad %[[V5]], %arg0 {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V6]]

module @gelu {
  func.func @forward(%x: tensor<4xf32> {graph.parameter = "x"},
                     %dy: tensor<4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.gelu %x : tensor<4xf32>
    %p = graph.mul %y, %dy : tensor<4xf32>, tensor<4xf32>
    %loss = graph.reduce_sum %p dims [0] : tensor<4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @gelu_tanh {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.gelu_grad tanh %[[V5]], %arg0 {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V6]]

module @gelu_tanh {
  func.func @forward(%x: tensor<4xf32> {graph.parameter = "x"},
                     %dy: tensor<4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.gelu tanh %x : tensor<4xf32>
    %p = graph.mul %y, %dy : tensor<4xf32>, tensor<4xf32>
    %loss = graph.reduce_sum %p dims [0] : tensor<4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @convert {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.convert %[[V5]] {graph.phase = "backward"} : tensor<4xf32> to tensor<4xbf16>
// CHECK-NEXT: return %[[V2]], %[[V6]]

module @convert {
  func.func @forward(%x: tensor<4xbf16> {graph.parameter = "x"},
                     %dy: tensor<4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.convert %x : tensor<4xbf16> to tensor<4xf32>
    %p = graph.mul %y, %dy : tensor<4xf32>, tensor<4xf32>
    %loss = graph.reduce_sum %p dims [0] : tensor<4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @add {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg2 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.reduce_sum %[[V5]] dims [1] {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.reshape %[[V6]] {graph.phase = "backward"} : tensor<2xf32> to tensor<2x1xf32>
// CHECK-NEXT: return %[[V2]], %[[V5]], %[[V7]]

module @add {
  func.func @forward(%a: tensor<2x4xf32> {graph.parameter = "a"}, %b: tensor<2x1xf32> {graph.parameter = "b"},
                     %dy: tensor<2x4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.add %a, %b : tensor<2x4xf32>, tensor<2x1xf32>
    %p = graph.mul %y, %dy : tensor<2x4xf32>, tensor<2x4xf32>
    %loss = graph.reduce_sum %p dims [0, 1] : tensor<2x4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @sub {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg2 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.neg %[[V5]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.reduce_sum %[[V6]] dims [1] {graph.phase = "backward"}
// CHECK-NEXT: %[[V8:.*]] = graph.reshape %[[V7]] {graph.phase = "backward"} : tensor<2xf32> to tensor<2x1xf32>
// CHECK-NEXT: return %[[V2]], %[[V5]], %[[V8]]

module @sub {
  func.func @forward(%a: tensor<2x4xf32> {graph.parameter = "a"}, %b: tensor<2x1xf32> {graph.parameter = "b"},
                     %dy: tensor<2x4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.sub %a, %b : tensor<2x4xf32>, tensor<2x1xf32>
    %p = graph.mul %y, %dy : tensor<2x4xf32>, tensor<2x4xf32>
    %loss = graph.reduce_sum %p dims [0, 1] : tensor<2x4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @mul {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg2 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.mul %[[V5]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.mul %[[V5]], %arg0 {graph.phase = "backward"}
// CHECK-NEXT: %[[V8:.*]] = graph.reduce_sum %[[V7]] dims [1] {graph.phase = "backward"}
// CHECK-NEXT: %[[V9:.*]] = graph.reshape %[[V8]] {graph.phase = "backward"} : tensor<2xf32> to tensor<2x1xf32>
// CHECK-NEXT: return %[[V2]], %[[V6]], %[[V9]]

module @mul {
  func.func @forward(%a: tensor<2x4xf32> {graph.parameter = "a"}, %b: tensor<2x1xf32> {graph.parameter = "b"},
                     %dy: tensor<2x4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.mul %a, %b : tensor<2x4xf32>, tensor<2x1xf32>
    %p = graph.mul %y, %dy : tensor<2x4xf32>, tensor<2x4xf32>
    %loss = graph.reduce_sum %p dims [0, 1] : tensor<2x4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @div {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg2 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.div %[[V5]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V7:.*]] = graph.div %arg0, %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V8:.*]] = graph.div %[[V7]], %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V9:.*]] = graph.neg %[[V5]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V10:.*]] = graph.mul %[[V9]], %[[V8]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V11:.*]] = graph.reduce_sum %[[V10]] dims [1] {graph.phase = "backward"}
// CHECK-NEXT: %[[V12:.*]] = graph.reshape %[[V11]] {graph.phase = "backward"} : tensor<2xf32> to tensor<2x1xf32>
// CHECK-NEXT: return %[[V2]], %[[V6]], %[[V12]]

module @div {
  func.func @forward(%a: tensor<2x4xf32> {graph.parameter = "a"}, %b: tensor<2x1xf32> {graph.parameter = "b"},
                     %dy: tensor<2x4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.div %a, %b : tensor<2x4xf32>, tensor<2x1xf32>
    %p = graph.mul %y, %dy : tensor<2x4xf32>, tensor<2x4xf32>
    %loss = graph.reduce_sum %p dims [0, 1] : tensor<2x4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @pow {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg2 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.constant {graph.phase = "backward"} dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V7:.*]] = graph.sub %arg1, %[[V3]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V8:.*]] = graph.pow %arg0, %[[V7]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V9:.*]] = graph.mul %arg1, %[[V8]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V10:.*]] = graph.compare "eq" %arg1, %[[V6]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V11:.*]] = graph.select %[[V10]], %[[V6]], %[[V9]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V12:.*]] = graph.mul %[[V5]], %[[V11]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V13:.*]] = graph.log %arg0 {graph.phase = "backward"}
// CHECK-NEXT: %[[V14:.*]] = graph.pow %arg0, %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V15:.*]] = graph.mul %[[V14]], %[[V13]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V16:.*]] = graph.compare "ge" %arg1, %[[V6]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V17:.*]] = graph.compare "eq" %arg0, %[[V6]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V18:.*]] = graph.and %[[V17]], %[[V16]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V19:.*]] = graph.select %[[V18]], %[[V6]], %[[V15]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V20:.*]] = graph.mul %[[V5]], %[[V19]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V21:.*]] = graph.reduce_sum %[[V20]] dims [1] {graph.phase = "backward"}
// CHECK-NEXT: %[[V22:.*]] = graph.reshape %[[V21]] {graph.phase = "backward"} : tensor<2xf32> to tensor<2x1xf32>
// CHECK-NEXT: return %[[V2]], %[[V12]], %[[V22]]

module @pow {
  func.func @forward(%a: tensor<2x4xf32> {graph.parameter = "a"}, %b: tensor<2x1xf32> {graph.parameter = "b"},
                     %dy: tensor<2x4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.pow %a, %b : tensor<2x4xf32>, tensor<2x1xf32>
    %p = graph.mul %y, %dy : tensor<2x4xf32>, tensor<2x4xf32>
    %loss = graph.reduce_sum %p dims [0, 1] : tensor<2x4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @maximum {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg2 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.constant {graph.phase = "backward"} dense<5.000000e-01> : tensor<f32>
// CHECK-NEXT: %[[V7:.*]] = graph.mul %[[V5]], %[[V6]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V8:.*]] = graph.compare "eq" %arg0, %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V9:.*]] = graph.select %[[V8]], %[[V7]], %[[V5]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V10:.*]] = graph.constant {graph.phase = "backward"} dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V11:.*]] = graph.compare "lt" %arg0, %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V12:.*]] = graph.select %[[V11]], %[[V10]], %[[V9]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V13:.*]] = graph.compare "eq" %arg1, %arg0 {graph.phase = "backward"}
// CHECK-NEXT: %[[V14:.*]] = graph.select %[[V13]], %[[V7]], %[[V5]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V15:.*]] = graph.compare "lt" %arg1, %arg0 {graph.phase = "backward"}
// CHECK-NEXT: %[[V16:.*]] = graph.select %[[V15]], %[[V10]], %[[V14]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V17:.*]] = graph.reduce_sum %[[V16]] dims [1] {graph.phase = "backward"}
// CHECK-NEXT: %[[V18:.*]] = graph.reshape %[[V17]] {graph.phase = "backward"} : tensor<2xf32> to tensor<2x1xf32>
// CHECK-NEXT: return %[[V2]], %[[V12]], %[[V18]]

module @maximum {
  func.func @forward(%a: tensor<2x4xf32> {graph.parameter = "a"}, %b: tensor<2x1xf32> {graph.parameter = "b"},
                     %dy: tensor<2x4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.maximum %a, %b : tensor<2x4xf32>, tensor<2x1xf32>
    %p = graph.mul %y, %dy : tensor<2x4xf32>, tensor<2x4xf32>
    %loss = graph.reduce_sum %p dims [0, 1] : tensor<2x4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @minimum {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg2 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.constant {graph.phase = "backward"} dense<5.000000e-01> : tensor<f32>
// CHECK-NEXT: %[[V7:.*]] = graph.mul %[[V5]], %[[V6]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V8:.*]] = graph.compare "eq" %arg0, %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V9:.*]] = graph.select %[[V8]], %[[V7]], %[[V5]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V10:.*]] = graph.constant {graph.phase = "backward"} dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V11:.*]] = graph.compare "gt" %arg0, %arg1 {graph.phase = "backward"}
// CHECK-NEXT: %[[V12:.*]] = graph.select %[[V11]], %[[V10]], %[[V9]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V13:.*]] = graph.compare "eq" %arg1, %arg0 {graph.phase = "backward"}
// CHECK-NEXT: %[[V14:.*]] = graph.select %[[V13]], %[[V7]], %[[V5]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V15:.*]] = graph.compare "gt" %arg1, %arg0 {graph.phase = "backward"}
// CHECK-NEXT: %[[V16:.*]] = graph.select %[[V15]], %[[V10]], %[[V14]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V17:.*]] = graph.reduce_sum %[[V16]] dims [1] {graph.phase = "backward"}
// CHECK-NEXT: %[[V18:.*]] = graph.reshape %[[V17]] {graph.phase = "backward"} : tensor<2xf32> to tensor<2x1xf32>
// CHECK-NEXT: return %[[V2]], %[[V12]], %[[V18]]

module @minimum {
  func.func @forward(%a: tensor<2x4xf32> {graph.parameter = "a"}, %b: tensor<2x1xf32> {graph.parameter = "b"},
                     %dy: tensor<2x4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.minimum %a, %b : tensor<2x4xf32>, tensor<2x1xf32>
    %p = graph.mul %y, %dy : tensor<2x4xf32>, tensor<2x4xf32>
    %loss = graph.reduce_sum %p dims [0, 1] : tensor<2x4xf32>
    return %loss : tensor<f32>
  }
}

// -----

// CHECK-LABEL: module @select {
// CHECK: %[[V2:.*]] = graph.reduce_sum %{{.*}} dims [0, 1] {{.*}}"forward"
// CHECK-NEXT: %[[V3:.*]] = graph.constant {graph.phase = "backward"} dense<1.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V4:.*]] = graph.broadcast %[[V3]] [] {graph.phase = "backward"} : tensor<f32> to tensor<2x4xf32>
// CHECK-NEXT: %[[V5:.*]] = graph.mul %[[V4]], %arg3 {graph.phase = "backward"}
// CHECK-NEXT: %[[V6:.*]] = graph.constant {graph.phase = "backward"} dense<0.000000e+00> : tensor<f32>
// CHECK-NEXT: %[[V7:.*]] = graph.select %arg0, %[[V5]], %[[V6]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V8:.*]] = graph.select %arg0, %[[V6]], %[[V5]] {graph.phase = "backward"}
// CHECK-NEXT: %[[V9:.*]] = graph.reduce_sum %[[V8]] dims [0, 1] {graph.phase = "backward"}
// CHECK-NEXT: return %[[V2]], %[[V7]], %[[V9]]

module @select {
  func.func @forward(%c: tensor<4xi1> {graph.input = "c"}, %a: tensor<2x4xf32> {graph.parameter = "a"}, %b: tensor<f32> {graph.parameter = "b"},
                     %dy: tensor<2x4xf32> {graph.input = "dy"}) -> (tensor<f32> {graph.output = "loss"}) {
    %y = graph.select %c, %a, %b : tensor<4xi1>, tensor<2x4xf32>, tensor<f32>
    %p = graph.mul %y, %dy : tensor<2x4xf32>, tensor<2x4xf32>
    %loss = graph.reduce_sum %p dims [0, 1] : tensor<2x4xf32>
    return %loss : tensor<f32>
  }
}
