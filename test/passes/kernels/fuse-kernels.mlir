// RUN: ds-opt %s -split-input-file -verify-diagnostics --choose-kernels --cse --fuse-kernels | FileCheck %s

// Two ops of a chain are one kernel; what lies between them has no buffer.

// CHECK-LABEL: func.func @chain
// CHECK-SAME: (%[[X:.*]]: tensor<4x8xf32>, %[[Y:.*]]: tensor<8xf32>)
// CHECK-NEXT: %[[R:.*]] = call @kernel_0(%[[X]], %[[Y]]) {graph.phase = "forward", graph.provider = "generated"} : (tensor<4x8xf32>, tensor<8xf32>) -> tensor<4x8xf32>
// CHECK-NEXT: return %[[R]]
// CHECK: func.func private @kernel_0(%[[X:.*]]: tensor<4x8xf32>, %[[Y:.*]]: tensor<8xf32>) -> tensor<4x8xf32> attributes {graph.holds = "exp_add"} {
// CHECK-NEXT: %[[E:.*]] = graph.exp %[[X]] : tensor<4x8xf32>
// CHECK-NEXT: %[[A:.*]] = graph.add %[[E]], %[[Y]] : tensor<4x8xf32>, tensor<8xf32>
// CHECK-NEXT: return %[[A]]
func.func @chain(%x: tensor<4x8xf32>, %y: tensor<8xf32>) -> tensor<4x8xf32> {
  %0 = graph.exp %x {graph.phase = "forward"} : tensor<4x8xf32>
  %1 = graph.add %0, %y {graph.phase = "forward"} : tensor<4x8xf32>, tensor<8xf32>
  return %1 : tensor<4x8xf32>
}

// -----

// Residual and layer norm. The statistics are kept as they are computed, of size 1 along the columns; large results come
// first. The kernel is called after the composite, not after what that consists of.

// CHECK-LABEL: func.func @residual_layer_norm
// CHECK-SAME: (%[[X:.*]]: tensor<4x8xf32>, %[[A:.*]]: tensor<4x8xf32>, %[[W:.*]]: tensor<8xf32>, %[[B:.*]]: tensor<8xf32>)
// CHECK-NEXT: %[[R:.*]]:4 = call @kernel_0(%[[X]], %[[A]], %[[W]], %[[B]])
// CHECK-SAME: -> (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x1xf32>, tensor<4x1xf32>)
// CHECK-DAG: %[[MEAN:.*]] = graph.reshape %[[R]]#2 : tensor<4x1xf32> to tensor<4xf32>
// CHECK-DAG: %[[RSTD:.*]] = graph.reshape %[[R]]#3 : tensor<4x1xf32> to tensor<4xf32>
// CHECK-NEXT: return %[[R]]#0, %[[R]]#1, %[[MEAN]], %[[RSTD]]
// CHECK: func.func private @kernel_0({{.*}} attributes {graph.holds = "add_layer_norm"}
func.func @residual_layer_norm(%x: tensor<4x8xf32>, %a: tensor<4x8xf32>, %w: tensor<8xf32>, %b: tensor<8xf32>)
    -> (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>) {
  %h = graph.add %x, %a : tensor<4x8xf32>, tensor<4x8xf32>
  %y, %mean, %rstd = graph.layer_norm %h, %w, %b eps 1.0e-5 : tensor<4x8xf32>, tensor<8xf32>, tensor<8xf32>
  return %h, %y, %mean, %rstd : tensor<4x8xf32>, tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>
}

// -----

// The gradient of layer norm with what is added to it, and with all sums over rows that are accumulated.

// CHECK-LABEL: func.func @layer_norm_grad
// CHECK-COUNT-2: graph.reshape
// CHECK-NEXT: %[[R:.*]]:4 = call @kernel_0(
// CHECK-SAME: -> (tensor<4x8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>)
// CHECK-NEXT: return %[[R]]#0, %[[R]]#1, %[[R]]#2, %[[R]]#3
// CHECK: func.func private @kernel_0({{.*}} attributes {graph.holds = "layer_norm_grad_add_reduce_sum"}
func.func @layer_norm_grad(%dy: tensor<4x8xf32>, %x: tensor<4x8xf32>, %w: tensor<8xf32>, %mean: tensor<4xf32>,
                           %rstd: tensor<4xf32>, %dh: tensor<4x8xf32>, %gw: tensor<8xf32>, %gb: tensor<8xf32>,
                           %gc: tensor<8xf32>) -> (tensor<4x8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) {
  %dx, %dw, %db = graph.layer_norm_grad %dy, %x, %w, %mean, %rstd
      : tensor<4x8xf32>, tensor<4x8xf32>, tensor<8xf32>, tensor<4xf32>, tensor<4xf32>
  %total = graph.add %dh, %dx : tensor<4x8xf32>, tensor<4x8xf32>
  %dc = graph.reduce_sum %total dims [0] : tensor<4x8xf32>
  %0 = graph.add %gw, %dw : tensor<8xf32>, tensor<8xf32>
  %1 = graph.add %gb, %db : tensor<8xf32>, tensor<8xf32>
  %2 = graph.add %gc, %dc : tensor<8xf32>, tensor<8xf32>
  return %total, %0, %1, %2 : tensor<4x8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
}

// -----

// The same of RMS norm, which models write out: row sums and sums over rows are one kernel.

// CHECK-LABEL: func.func @rms_norm_grad
// CHECK-NEXT: %[[R:.*]]:2 = call @kernel_0(
// CHECK-SAME: -> (tensor<4x8xf32>, tensor<8xf32>)
// CHECK-NEXT: return %[[R]]#0, %[[R]]#1
func.func @rms_norm_grad(%dy: tensor<4x8xf32>, %x: tensor<4x8xf32>, %w: tensor<8xf32>, %rms: tensor<4x1xf32>,
                         %normal: tensor<4x8xf32>, %dh: tensor<4x8xf32>, %gw: tensor<8xf32>)
    -> (tensor<4x8xf32>, tensor<8xf32>) {
  %factor = graph.constant dense<-0.125> : tensor<f32>
  %dnormal = graph.mul %dy, %w : tensor<4x8xf32>, tensor<8xf32>
  %direct = graph.mul %dnormal, %rms : tensor<4x8xf32>, tensor<4x1xf32>
  %products = graph.mul %dnormal, %x : tensor<4x8xf32>, tensor<4x8xf32>
  %row = graph.reduce_sum %products dims [1] keep_dims : tensor<4x8xf32>
  %square = graph.mul %rms, %rms : tensor<4x1xf32>, tensor<4x1xf32>
  %cube = graph.mul %square, %rms : tensor<4x1xf32>, tensor<4x1xf32>
  %drms = graph.mul %row, %cube : tensor<4x1xf32>, tensor<4x1xf32>
  %scaled = graph.mul %drms, %factor : tensor<4x1xf32>, tensor<f32>
  %through = graph.mul %scaled, %x : tensor<4x1xf32>, tensor<4x8xf32>
  %dx = graph.add %direct, %through : tensor<4x8xf32>, tensor<4x8xf32>
  %total = graph.add %dh, %dx : tensor<4x8xf32>, tensor<4x8xf32>
  %dws = graph.mul %dy, %normal : tensor<4x8xf32>, tensor<4x8xf32>
  %dw = graph.reduce_sum %dws dims [0] : tensor<4x8xf32>
  %0 = graph.add %gw, %dw : tensor<8xf32>, tensor<8xf32>
  return %total, %0 : tensor<4x8xf32>, tensor<8xf32>
}

// -----

// Both gradients of a gated SiLU, from one reading of the operands.

// CHECK-LABEL: func.func @gated_silu_grad
// CHECK-NEXT: %[[R:.*]]:2 = call @kernel_0({{.*}} -> (tensor<4x8xf32>, tensor<4x8xf32>)
// CHECK-NEXT: return %[[R]]#{{[01]}}, %[[R]]#{{[01]}}
// CHECK: func.func private @kernel_0
// CHECK-COUNT-1: graph.sigmoid
// CHECK-NOT: graph.sigmoid
func.func @gated_silu_grad(%dy: tensor<4x8xf32>, %gate: tensor<4x8xf32>, %up: tensor<4x8xf32>)
    -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %one = graph.constant dense<1.0> : tensor<f32>
  %s = graph.sigmoid %gate : tensor<4x8xf32>
  %silu = graph.mul %gate, %s : tensor<4x8xf32>, tensor<4x8xf32>
  %dup = graph.mul %dy, %silu : tensor<4x8xf32>, tensor<4x8xf32>
  %dsilu = graph.mul %dy, %up : tensor<4x8xf32>, tensor<4x8xf32>
  %direct = graph.mul %dsilu, %s : tensor<4x8xf32>, tensor<4x8xf32>
  %ds = graph.mul %dsilu, %gate : tensor<4x8xf32>, tensor<4x8xf32>
  %rest = graph.sub %one, %s : tensor<f32>, tensor<4x8xf32>
  %slope = graph.mul %s, %rest : tensor<4x8xf32>, tensor<4x8xf32>
  %through = graph.mul %ds, %slope : tensor<4x8xf32>, tensor<4x8xf32>
  %dgate = graph.add %direct, %through : tensor<4x8xf32>, tensor<4x8xf32>
  return %dup, %dgate : tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// CHECK-LABEL: func.func @bias_gelu
// CHECK-SAME: (%[[X:.*]]: tensor<4x8xf32>, %[[B:.*]]: tensor<8xf32>)
// CHECK-NEXT: %[[R:.*]] = call @kernel_0(%[[X]], %[[B]])
// CHECK-NEXT: return %[[R]]
func.func @bias_gelu(%x: tensor<4x8xf32>, %b: tensor<8xf32>) -> tensor<4x8xf32> {
  %h = graph.add %x, %b : tensor<4x8xf32>, tensor<8xf32>
  %y = graph.gelu tanh %h : tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}

// -----

// The gradient of the bias is summed on the way.

// CHECK-LABEL: func.func @bias_gelu_grad
// CHECK-NEXT: %[[R:.*]]:2 = call @kernel_0(
// CHECK-SAME: -> (tensor<4x8xf32>, tensor<8xf32>)
// CHECK-NEXT: return %[[R]]#0, %[[R]]#1
func.func @bias_gelu_grad(%dy: tensor<4x8xf32>, %x: tensor<4x8xf32>, %b: tensor<8xf32>)
    -> (tensor<4x8xf32>, tensor<8xf32>) {
  %h = graph.add %x, %b : tensor<4x8xf32>, tensor<8xf32>
  %dh = graph.gelu_grad %dy, %h : tensor<4x8xf32>
  %db = graph.reduce_sum %dh dims [0] : tensor<4x8xf32>
  return %dh, %db : tensor<4x8xf32>, tensor<8xf32>
}

// -----

// CHECK-LABEL: func.func @softmax
// CHECK-SAME: (%[[X:.*]]: tensor<2x4x8xf32>)
// CHECK-NEXT: %[[R:.*]] = call @kernel_0(%[[X]])
// CHECK-NEXT: return %[[R]]
func.func @softmax(%x: tensor<2x4x8xf32>) -> tensor<2x4x8xf32> {
  %y = graph.softmax %x dim 2 : tensor<2x4x8xf32>
  return %y : tensor<2x4x8xf32>
}

// -----

// CHECK-LABEL: func.func @softmax_grad
// CHECK-SAME: (%[[DY:.*]]: tensor<2x4x8xf32>, %[[Y:.*]]: tensor<2x4x8xf32>)
// CHECK-NEXT: %[[R:.*]] = call @kernel_0(%[[DY]], %[[Y]])
// CHECK-NEXT: return %[[R]]
func.func @softmax_grad(%dy: tensor<2x4x8xf32>, %y: tensor<2x4x8xf32>) -> tensor<2x4x8xf32> {
  %dx = graph.softmax_grad %dy, %y dim 2 : tensor<2x4x8xf32>
  return %dx : tensor<2x4x8xf32>
}

// -----

// Dropouts that differ in their ids only are one kernel: the id is an argument.

// CHECK-LABEL: func.func @dropouts
// CHECK-SAME: (%[[X:.*]]: tensor<4x8xf32>, %[[A:.*]]: tensor<4x8xf32>, %[[B:.*]]: tensor<4x8xf32>, %[[W:.*]]: tensor<8x8xf32>, %[[COUNTER:.*]]: tensor<3xi64>)
// CHECK: %[[THREE:.*]] = graph.constant dense<3> : tensor<i64>
// CHECK: %[[FIRST:.*]] = call @kernel_0(%[[X]], %[[COUNTER]], %[[A]], %[[THREE]])
// CHECK: %[[M:.*]] = graph.matmul %[[FIRST]], %[[W]]
// CHECK: %[[FIVE:.*]] = graph.constant dense<5> : tensor<i64>
// CHECK: %[[SECOND:.*]] = call @kernel_0(%[[M]], %[[COUNTER]], %[[B]], %[[FIVE]])
// CHECK-NEXT: return %[[SECOND]]
// CHECK: func.func private @kernel_0
// CHECK: graph.dropout %{{.*}}, %{{.*}} p 1.000000e-01 id 0 {graph.id_argument = 3 : i64}
// CHECK-NOT: func.func
func.func @dropouts(%x: tensor<4x8xf32>, %a: tensor<4x8xf32>, %b: tensor<4x8xf32>, %w: tensor<8x8xf32>,
                    %counter: tensor<3xi64>) -> tensor<4x8xf32> {
  %0 = graph.dropout %x, %counter p 0.1 id 3 : tensor<4x8xf32>, tensor<3xi64>
  %1 = graph.add %0, %a : tensor<4x8xf32>, tensor<4x8xf32>
  %2 = graph.matmul %1, %w batch [] x [] contract [1] x [0] : tensor<4x8xf32>, tensor<8x8xf32>
  %3 = graph.dropout %2, %counter p 0.1 id 5 : tensor<4x8xf32>, tensor<3xi64>
  %4 = graph.add %3, %b : tensor<4x8xf32>, tensor<4x8xf32>
  return %4 : tensor<4x8xf32>
}

// -----

// The norm by the root of the mean square.

// CHECK-LABEL: func.func @rms_norm
// CHECK-SAME: (%[[X:.*]]: tensor<4x8xf32>, %[[G:.*]]: tensor<8xf32>)
// CHECK-NEXT: %[[R:.*]] = call @kernel_0(%[[X]], %[[G]])
// CHECK-NEXT: return %[[R]]
func.func @rms_norm(%x: tensor<4x8xf32>, %g: tensor<8xf32>) -> tensor<4x8xf32> {
  %square = graph.mul %x, %x : tensor<4x8xf32>, tensor<4x8xf32>
  %sum = graph.reduce_sum %square dims [1] keep_dims : tensor<4x8xf32>
  %count = graph.constant dense<8.0> : tensor<f32>
  %mean = graph.div %sum, %count : tensor<4x1xf32>, tensor<f32>
  %eps = graph.constant dense<1.0e-5> : tensor<f32>
  %shifted = graph.add %mean, %eps : tensor<4x1xf32>, tensor<f32>
  %rstd = graph.rsqrt %shifted : tensor<4x1xf32>
  %n = graph.mul %x, %rstd : tensor<4x8xf32>, tensor<4x1xf32>
  %y = graph.mul %n, %g : tensor<4x8xf32>, tensor<8xf32>
  return %y : tensor<4x8xf32>
}

// -----

// Slices and concatenations end groups: columns would run from one place to another. The rotary embedding negates half
// of the columns, then joins the halves, then does the rest.

// CHECK-LABEL: func.func @rotary
// CHECK-SAME: (%[[X:.*]]: tensor<4x8xf32>, %[[COS:.*]]: tensor<4x8xf32>, %[[SIN:.*]]: tensor<4x8xf32>)
// CHECK-DAG: %[[LOW:.*]] = graph.slice %[[X]] [0, 0] to [4, 4] by [1, 1]
// CHECK-DAG: %[[HIGH:.*]] = graph.slice %[[X]] [0, 4] to [4, 8] by [1, 1]
// CHECK: %[[NEG:.*]] = call @[[FIRST:.*]](%[[HIGH]]) {{.*}} : (tensor<4x4xf32>) -> tensor<4x4xf32>
// CHECK: %[[ROTATED:.*]] = graph.concat %[[NEG]], %[[LOW]] dim 1
// CHECK: %[[Y:.*]] = call @[[SECOND:.*]](%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {{.*}} -> tensor<4x8xf32>
// CHECK-NEXT: return %[[Y]]
func.func @rotary(%x: tensor<4x8xf32>, %cos: tensor<4x8xf32>, %sin: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %low = graph.slice %x [0, 0] to [4, 4] by [1, 1] : tensor<4x8xf32>
  %high = graph.slice %x [0, 4] to [4, 8] by [1, 1] : tensor<4x8xf32>
  %neg = graph.neg %high : tensor<4x4xf32>
  %rotated = graph.concat %neg, %low dim 1 : tensor<4x4xf32>, tensor<4x4xf32>
  %0 = graph.mul %x, %cos : tensor<4x8xf32>, tensor<4x8xf32>
  %1 = graph.mul %rotated, %sin : tensor<4x8xf32>, tensor<4x8xf32>
  %2 = graph.add %0, %1 : tensor<4x8xf32>, tensor<4x8xf32>
  return %2 : tensor<4x8xf32>
}

// -----

// Conversions happen in registers.

// CHECK-LABEL: func.func @converts
// CHECK-SAME: (%[[X:.*]]: tensor<4x8xbf16>, %[[W:.*]]: tensor<8xf32>)
// CHECK-NEXT: %[[R:.*]] = call @kernel_0(%[[X]], %[[W]]) {{.*}} : (tensor<4x8xbf16>, tensor<8xf32>) -> tensor<4x8xbf16>
// CHECK-NEXT: return %[[R]]
func.func @converts(%x: tensor<4x8xbf16>, %w: tensor<8xf32>) -> tensor<4x8xbf16> {
  %0 = graph.convert %x : tensor<4x8xbf16> to tensor<4x8xf32>
  %1 = graph.mul %0, %w : tensor<4x8xf32>, tensor<8xf32>
  %2 = graph.convert %1 : tensor<4x8xf32> to tensor<4x8xbf16>
  return %2 : tensor<4x8xbf16>
}

// -----

// What only renames is cloned into the kernel between ops of a group; around the group it stays.

// CHECK-LABEL: func.func @renamings
// CHECK-SAME: (%[[X:.*]]: tensor<8x4xf32>, %[[W:.*]]: tensor<4x1x8xf32>)
// CHECK-NEXT: %[[T:.*]] = graph.transpose %[[X]] [1, 0]
// CHECK-NEXT: %[[R:.*]] = call @kernel_0(%[[T]], %[[W]]) {{.*}} : (tensor<4x8xf32>, tensor<4x1x8xf32>) -> tensor<4x1x8xf32>
// CHECK-NEXT: %[[U:.*]] = graph.reshape %[[R]] : tensor<4x1x8xf32> to tensor<32xf32>
// CHECK-NEXT: return %[[U]]
// CHECK: func.func private @kernel_0
// CHECK-NEXT: graph.exp
// CHECK-NEXT: graph.reshape
// CHECK-NEXT: graph.mul
func.func @renamings(%x: tensor<8x4xf32>, %w: tensor<4x1x8xf32>) -> tensor<32xf32> {
  %0 = graph.transpose %x [1, 0] : tensor<8x4xf32>
  %1 = graph.exp %0 : tensor<4x8xf32>
  %2 = graph.reshape %1 : tensor<4x8xf32> to tensor<4x1x8xf32>
  %3 = graph.mul %2, %w : tensor<4x1x8xf32>, tensor<4x1x8xf32>
  %4 = graph.reshape %3 : tensor<4x1x8xf32> to tensor<32xf32>
  return %4 : tensor<32xf32>
}

// -----

// Ops that read the same stand side by side: it is read once.

// CHECK-LABEL: func.func @siblings
// CHECK-NEXT: %[[R:.*]]:2 = call @kernel_0(%arg0)
// CHECK-NEXT: return %[[R]]#0, %[[R]]#1
func.func @siblings(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %0 = graph.exp %x : tensor<4x8xf32>
  %1 = graph.neg %x : tensor<4x8xf32>
  return %0, %1 : tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// A path leads from the first op by way of the product to the last: they are two kernels.

// CHECK-LABEL: func.func @out_and_back_in
// CHECK: %[[E:.*]] = call @{{.*}}(%arg0) {{.*}} : (tensor<4x4xf32>) -> tensor<4x4xf32>
// CHECK-NEXT: %[[M:.*]] = graph.matmul %[[E]], %[[E]]
// CHECK-NEXT: %[[R:.*]] = call @{{.*}}(%[[E]], %[[M]])
// CHECK-NEXT: return %[[R]]
func.func @out_and_back_in(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %0 = graph.exp %x : tensor<4x4xf32>
  %1 = graph.matmul %0, %0 batch [] x [] contract [1] x [0] : tensor<4x4xf32>, tensor<4x4xf32>
  %2 = graph.add %0, %1 : tensor<4x4xf32>, tensor<4x4xf32>
  return %2 : tensor<4x4xf32>
}

// -----

// The same by way of another group, whose ops stand on both sides of the first: the sigmoid cannot wait for the last
// sum, which waits for the product, which waits for the kernel of %0 and %3, which waits for the sigmoid.

// CHECK-LABEL: func.func @by_way_of_a_group
// CHECK: %[[S:.*]] = call @{{.*}}(%{{.*}}) {graph.phase = "forward"
// CHECK-NEXT: %[[B:.*]]:2 = call @{{.*}} {graph.phase = "backward"
// CHECK-NEXT: %[[M:.*]] = graph.matmul %[[B]]#0
// CHECK-NEXT: %[[F:.*]] = call @{{.*}}(%[[M]], %[[S]]) {graph.phase = "forward"
// CHECK-NEXT: return %[[B]]#1, %[[F]]
func.func @by_way_of_a_group(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>, %w: tensor<8x8xf32>)
    -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %0 = graph.exp %x {graph.phase = "backward"} : tensor<4x8xf32>
  %1 = graph.matmul %0, %w batch [] x [] contract [1] x [0] {graph.phase = "backward"} : tensor<4x8xf32>, tensor<8x8xf32>
  %2 = graph.sigmoid %y {graph.phase = "forward"} : tensor<4x8xf32>
  %3 = graph.add %0, %2 {graph.phase = "backward"} : tensor<4x8xf32>, tensor<4x8xf32>
  %4 = graph.add %1, %2 {graph.phase = "forward"} : tensor<4x8xf32>, tensor<4x8xf32>
  return %3, %4 : tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// A constant that ops of the group and ops on the way to it read is no path: every kernel has its own.

// CHECK-LABEL: func.func @shared_constant
// CHECK: %[[M:.*]] = graph.matmul
// CHECK: %[[R:.*]]:2 = call @{{.*}}(%{{.*}}, %{{.*}}) {{.*}} -> (tensor<4x8xf32>, tensor<4x8xf32>)
// CHECK: return %[[R]]#0, %[[R]]#1
func.func @shared_constant(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>, %w: tensor<8x8xf32>)
    -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %two = graph.constant dense<2.0> : tensor<f32>
  %0 = graph.mul %x, %two {graph.phase = "forward"} : tensor<4x8xf32>, tensor<f32>
  %1 = graph.mul %y, %two {graph.phase = "backward"} : tensor<4x8xf32>, tensor<f32>
  %2 = graph.matmul %1, %w batch [] x [] contract [1] x [0] : tensor<4x8xf32>, tensor<8x8xf32>
  %3 = graph.add %0, %2 {graph.phase = "forward"} : tensor<4x8xf32>, tensor<4x8xf32>
  return %0, %3 : tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// Every kernel that reads an iota counts by itself, whatever lies between; what else reads it has it from a kernel for it.

// CHECK-LABEL: func.func @counts
// CHECK-SAME: (%[[X:.*]]: tensor<4x8xf32>, %[[W:.*]]: tensor<8x8xf32>, %[[T:.*]]: tensor<4x1xi64>, %[[U:.*]]: tensor<4x1xi64>)
// CHECK-NEXT: %[[I:.*]] = graph.iota 1 {{.*}} : tensor<1x8xi64>
// CHECK-NEXT: %[[A:.*]] = call @kernel_0(%[[T]], %[[X]])
// CHECK-NEXT: %[[P:.*]] = graph.matmul %[[A]], %[[W]]
// CHECK-NEXT: %[[R:.*]] = call @kernel_1(%[[U]], %[[P]])
// CHECK-NEXT: return %[[R]], %[[I]]
// CHECK: func.func private @kernel_0({{.*}} {graph.holds = "compare_select"} {
// CHECK: graph.iota 1 : tensor<1x8xi64>
// CHECK: func.func private @kernel_1({{.*}} {graph.holds = "compare_select_exp"} {
// CHECK: graph.iota 1 : tensor<1x8xi64>
func.func @counts(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %t: tensor<4x1xi64>, %u: tensor<4x1xi64>)
    -> (tensor<4x8xf32>, tensor<1x8xi64>) {
  %none = graph.constant dense<0.0> : tensor<f32>
  %i = graph.iota 1 : tensor<1x8xi64>
  %hit = graph.compare "eq" %i, %t : tensor<1x8xi64>, tensor<4x1xi64>
  %a = graph.select %hit, %x, %none : tensor<4x8xi1>, tensor<4x8xf32>, tensor<f32>
  %p = graph.matmul %a, %w batch [] x [] contract [1] x [0] : tensor<4x8xf32>, tensor<8x8xf32>
  %before = graph.compare "lt" %i, %u : tensor<1x8xi64>, tensor<4x1xi64>
  %b = graph.select %before, %p, %none : tensor<4x8xi1>, tensor<4x8xf32>, tensor<f32>
  %r = graph.exp %b : tensor<4x8xf32>
  return %r, %i : tensor<4x8xf32>, tensor<1x8xi64>
}

// -----

// Numbers that run along the first of two dimensions of columns are nothing that one loop counts: the sum, of which both are
// columns, is a kernel of its own.

// CHECK-LABEL: func.func @inner_counts
// CHECK-NEXT: %[[Y:.*]] = call @kernel_0
// CHECK-NEXT: %[[S:.*]] = call @kernel_1(%[[Y]])
// CHECK-NEXT: return %[[Y]], %[[S]]
// CHECK: func.func private @kernel_0({{.*}} {graph.holds = "mul"}
func.func @inner_counts(%x: tensor<4x8x2xf32>) -> (tensor<4x8x2xf32>, tensor<4xf32>) {
  %i = graph.iota 1 : tensor<1x8x1xf32>
  %y = graph.mul %x, %i : tensor<4x8x2xf32>, tensor<1x8x1xf32>
  %s = graph.reduce_sum %y dims [1, 2] : tensor<4x8x2xf32>
  return %y, %s : tensor<4x8x2xf32>, tensor<4xf32>
}

// -----

// Numbers along two dimensions at once, or along one of two that are one loop, are read from memory: no loops count them.

// CHECK-LABEL: func.func @distances
// CHECK: %[[I:.*]] = graph.iota
// CHECK: call @kernel_0({{.*}}) {graph.provider = "generated"} : ({{.*}}) -> tensor<8x8xi64>
// CHECK: call @kernel_1({{.*}}) {graph.provider = "generated"} : ({{.*}}) -> tensor<4xf32>
// CHECK-NOT: graph.provider = "generated"
// CHECK: func.func private @kernel_0
// CHECK-NOT: graph.iota
// CHECK: func.func private @kernel_1
// CHECK-NOT: graph.iota
func.func @distances() -> (tensor<8x8xi64>, tensor<4xf32>) {
  %i = graph.iota 0 : tensor<8xi64>
  %row = graph.reshape %i : tensor<8xi64> to tensor<1x8xi64>
  %column = graph.reshape %i : tensor<8xi64> to tensor<8x1xi64>
  %d = graph.sub %column, %row : tensor<8x1xi64>, tensor<1x8xi64>
  %f = graph.iota 0 : tensor<8xf32>
  %b = graph.broadcast %f [1] : tensor<8xf32> to tensor<4x8x2xf32>
  %s = graph.reduce_sum %b dims [1, 2] : tensor<4x8x2xf32>
  return %d, %s : tensor<8x8xi64>, tensor<4xf32>
}

// -----

// Ops of different phases are timed apart and stay apart.

// CHECK-LABEL: func.func @phases
// CHECK-NEXT: %[[F:.*]] = call @{{.*}}(%arg0) {graph.phase = "forward", graph.provider = "generated"}
// CHECK-NEXT: %[[B:.*]] = call @{{.*}}(%[[F]]) {graph.phase = "backward", graph.provider = "generated"}
// CHECK-NEXT: return %[[B]]
func.func @phases(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = graph.exp %x {graph.phase = "forward"} : tensor<4x8xf32>
  %1 = graph.neg %0 {graph.phase = "backward"} : tensor<4x8xf32>
  return %1 : tensor<4x8xf32>
}

// -----

// The kernel stands behind the product that its last op reads and before the product that reads what its first op
// computes; the other product stays where it was.

// CHECK-LABEL: func.func @order
// CHECK-SAME: (%[[X:.*]]: tensor<4x4xf32>, %[[Y:.*]]: tensor<4x4xf32>)
// CHECK-NEXT: %[[LAST:.*]] = graph.matmul %[[Y]], %[[Y]]
// CHECK-NEXT: %[[R:.*]]:2 = call @kernel_0(%[[X]], %[[LAST]])
// CHECK-NEXT: %[[FIRST:.*]] = graph.matmul %[[R]]#0, %[[X]]
// CHECK-NEXT: return %[[FIRST]], %[[R]]#1
func.func @order(%x: tensor<4x4xf32>, %y: tensor<4x4xf32>) -> (tensor<4x4xf32>, tensor<4x4xf32>) {
  %0 = graph.exp %x : tensor<4x4xf32>
  %1 = graph.matmul %0, %x batch [] x [] contract [1] x [0] : tensor<4x4xf32>, tensor<4x4xf32>
  %2 = graph.matmul %y, %y batch [] x [] contract [1] x [0] : tensor<4x4xf32>, tensor<4x4xf32>
  %3 = graph.add %0, %2 : tensor<4x4xf32>, tensor<4x4xf32>
  return %1, %3 : tensor<4x4xf32>, tensor<4x4xf32>
}

// -----

// What a row needs from all rows is another kernel.

// CHECK-LABEL: func.func @centre_columns
// CHECK-NEXT: %[[S:.*]] = call @{{.*}}(%arg0) {{.*}} : (tensor<4x8xf32>) -> tensor<8xf32>
// CHECK-NEXT: %[[R:.*]] = call @{{.*}}(%arg0, %[[S]]) {{.*}} : (tensor<4x8xf32>, tensor<8xf32>) -> tensor<4x8xf32>
// CHECK-NEXT: return %[[R]]
func.func @centre_columns(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %s = graph.reduce_sum %x dims [0] : tensor<4x8xf32>
  %y = graph.sub %x, %s : tensor<4x8xf32>, tensor<8xf32>
  return %y : tensor<4x8xf32>
}

// -----

// Functions of the program may be called as kernels would be.

// CHECK: func.func private @kernel_0
// CHECK: func.func @taken
// CHECK: call @[[NAME:kernel_[0-9_]+]]
// CHECK: func.func private @[[NAME]]
func.func private @kernel_0(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
func.func @taken(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = graph.exp %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
