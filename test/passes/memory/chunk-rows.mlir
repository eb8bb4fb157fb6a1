// RUN: ds-opt %s -split-input-file --pass-pipeline='builtin.module(func.func(chunk-rows{chunks=2}))' | FileCheck %s
// RUN: ds-opt %s -split-input-file --pass-pipeline='builtin.module(func.func(chunk-rows))' | FileCheck %s --check-prefix=AUTO
// RUN: ds-opt %s -split-input-file --pass-pipeline='builtin.module(func.func(chunk-rows{chunks=2}))' 2>&1 >/dev/null | FileCheck %s --check-prefix=SAID

// Logits, loss and gradients. Half of the rows go forward and backward before the others; the gradient of the weights is added
// up, that of the rows joined. How many labels count does not depend on logits and is known first; the mean of the loss comes last.

// CHECK-LABEL: func @loss
// CHECK-SAME: ([[X:%.*]]: tensor<4x2xf32>, [[W:%.*]]: tensor<9x2xf32>, [[T:%.*]]: tensor<4xi64>)
// AUTO-LABEL: func @loss
// AUTO: graph.linear {{.*}} {graph.phase = "forward"} : tensor<4x2xf32>
// AUTO-NOT: graph.slice
func.func @loss(%x: tensor<4x2xf32>, %w: tensor<9x2xf32>, %t: tensor<4xi64>) -> (tensor<f32>, tensor<4x2xf32>, tensor<9x2xf32>, tensor<f32>) {
  // CHECK: [[COUNT:%.*]] = graph.reduce_sum {{.*}} dims [0]
  // CHECK: [[SHARE:%.*]] = graph.div {{.*}}, [[COUNT]]
  // CHECK: [[X0:%.*]] = graph.slice [[X]] [0, 0] to [2, 2] {{.*}} {graph.chunk = 0 : i64, graph.phase = "backward"}
  // CHECK-NEXT: [[L0:%.*]] = graph.linear [[X0]], [[W]] transpose_weight {graph.chunk = 0 : i64, graph.phase = "backward"} : tensor<2x2xf32>, tensor<9x2xf32>
  // CHECK-NEXT: [[T0:%.*]] = graph.slice [[T]] [0] to [2]
  // CHECK-NEXT: [[SUM0:%.*]], {{%.*}}, [[LSE0:%.*]] = graph.cross_entropy [[L0]], [[T0]] ignore_index -100
  // CHECK-NEXT: graph.slice [[T]] [0] to [2]
  // CHECK-NEXT: [[D0:%.*]] = graph.cross_entropy_grad [[L0]], {{%.*}}, [[LSE0]], [[SHARE]] ignore_index -100
  // CHECK-NEXT: [[DX0:%.*]] = graph.matmul [[D0]], [[W]]
  // CHECK-NEXT: [[AGAIN0:%.*]] = graph.slice [[X]] [0, 0] to [2, 2]
  // CHECK-NEXT: [[DW0:%.*]] = graph.matmul [[D0]], [[AGAIN0]]
  // CHECK-NEXT: [[X1:%.*]] = graph.slice [[X]] [2, 0] to [4, 2] {{.*}} {graph.chunk = 1 : i64, graph.phase = "backward"}
  // CHECK-NEXT: [[L1:%.*]] = graph.linear [[X1]], [[W]]
  // CHECK: [[SUM1:%.*]], {{%.*}}, [[LSE1:%.*]] = graph.cross_entropy [[L1]]
  // CHECK-NEXT: [[SUM:%.*]] = graph.add [[SUM0]], [[SUM1]] {graph.chunk = 1 : i64
  // CHECK: [[D1:%.*]] = graph.cross_entropy_grad [[L1]], {{%.*}}, [[LSE1]], [[SHARE]]
  // CHECK-NEXT: [[DX1:%.*]] = graph.matmul [[D1]], [[W]]
  // CHECK-NEXT: graph.slice
  // CHECK-NEXT: [[PART:%.*]] = graph.matmul [[D1]]
  // CHECK-NEXT: [[DW:%.*]] = graph.add [[DW0]], [[PART]]
  // CHECK-NEXT: [[DX:%.*]] = graph.concat [[DX0]], [[DX1]] dim 0 {graph.phase = "backward"} : tensor<2x2xf32>, tensor<2x2xf32>
  // CHECK-NEXT: [[LOSS:%.*]] = graph.div [[SUM]], [[COUNT]] {graph.phase = "backward"}
  // CHECK-NEXT: [[NEG:%.*]] = graph.neg [[LOSS]] {graph.phase = "backward"}
  // CHECK-NEXT: [[SCALED:%.*]] = graph.mul [[NEG]], [[LOSS]] {graph.phase = "backward"}
  // CHECK-NEXT: return [[LOSS]], [[DX]], [[DW]], [[SCALED]]
  %one = graph.constant {graph.phase = "backward"} dense<1.0> : tensor<f32>
  %logits = graph.linear %x, %w transpose_weight {graph.phase = "forward"} : tensor<4x2xf32>, tensor<9x2xf32>
  %sum, %count, %lse = graph.cross_entropy %logits, %t ignore_index -100 {graph.phase = "forward"} : tensor<4x9xf32>, tensor<4xi64>
  %loss = graph.div %sum, %count {graph.phase = "forward"} : tensor<f32>, tensor<f32>
  %neg = graph.neg %loss {graph.phase = "forward"} : tensor<f32>
  %scaled = graph.mul %neg, %loss {graph.phase = "forward"} : tensor<f32>, tensor<f32>
  %share = graph.div %one, %count {graph.phase = "backward"} : tensor<f32>, tensor<f32>
  %d = graph.cross_entropy_grad %logits, %t, %lse, %share ignore_index -100 {graph.phase = "backward"} : tensor<4x9xf32>, tensor<4xi64>, tensor<4xf32>, tensor<f32>
  %dx = graph.matmul %d, %w batch [] x [] contract [1] x [0] {graph.phase = "backward"} : tensor<4x9xf32>, tensor<9x2xf32>
  %dw = graph.matmul %d, %x batch [] x [] contract [0] x [0] {graph.phase = "backward"} : tensor<4x9xf32>, tensor<4x2xf32>
  return %loss, %dx, %dw, %scaled : tensor<f32>, tensor<4x2xf32>, tensor<9x2xf32>, tensor<f32>
}

// -----

// Five samples in two chunks: the last is smaller. Rows are counted in one dimension behind the reshape. What is read per row
// and once for all rows (a bias and its gradient) is told apart, and what has rows and is read outside is joined.

// CHECK-LABEL: func @uneven
// AUTO-LABEL: func @uneven
func.func @uneven(%x: tensor<5x3x2xf32>, %w: tensor<9x2xf32>, %b: tensor<9xf32>, %t: tensor<15xi64>)
    -> (tensor<f32>, tensor<15xf32>, tensor<5x3x2xf32>, tensor<9xf32>) {
  // CHECK: graph.slice %arg0 [0, 0, 0] to [3, 3, 2]
  // CHECK: graph.linear {{.*}}, %arg1, %arg2 transpose_weight {{.*}} : tensor<3x3x2xf32>
  // CHECK-NEXT: [[R0:%.*]] = graph.reshape {{.*}} : tensor<3x3x9xf32> to tensor<9x9xf32>
  // CHECK-NEXT: graph.slice %arg3 [0] to [9]
  // CHECK-NEXT: {{%.*}}, {{%.*}}, [[LSE0:%.*]] = graph.cross_entropy [[R0]]
  // CHECK: [[DX0:%.*]] = graph.matmul {{.*}} : tensor<3x3x9xf32>, tensor<9x2xf32>
  // CHECK: [[DB0:%.*]] = graph.reduce_sum {{.*}} dims [0, 1] {graph.chunk = 0
  // CHECK: graph.slice %arg0 [3, 0, 0] to [5, 3, 2]
  // CHECK: graph.reshape {{.*}} : tensor<2x3x9xf32> to tensor<6x9xf32>
  // CHECK-NEXT: graph.slice %arg3 [9] to [15]
  // CHECK-NEXT: {{%.*}}, {{%.*}}, [[LSE1:%.*]] = graph.cross_entropy
  // CHECK: [[DB1:%.*]] = graph.reduce_sum {{.*}} dims [0, 1] {graph.chunk = 1
  // CHECK-NEXT: [[DB:%.*]] = graph.add [[DB0]], [[DB1]]
  // CHECK-DAG: [[LSE:%.*]] = graph.concat [[LSE0]], [[LSE1]] dim 0 {{.*}} : tensor<9xf32>, tensor<6xf32>
  // CHECK-DAG: [[DX:%.*]] = graph.concat [[DX0]], {{%.*}} dim 0 {{.*}} : tensor<3x3x2xf32>, tensor<2x3x2xf32>
  // CHECK: return {{%.*}}, [[LSE]], [[DX]], [[DB]]
  %one = graph.constant dense<1.0> : tensor<f32>
  %logits = graph.linear %x, %w, %b transpose_weight {graph.phase = "forward"} : tensor<5x3x2xf32>, tensor<9x2xf32>, tensor<9xf32>
  %rows = graph.reshape %logits {graph.phase = "forward"} : tensor<5x3x9xf32> to tensor<15x9xf32>
  %sum, %count, %lse = graph.cross_entropy %rows, %t ignore_index -100 {graph.phase = "forward"} : tensor<15x9xf32>, tensor<15xi64>
  %d = graph.cross_entropy_grad %rows, %t, %lse, %one ignore_index -100 {graph.phase = "backward"} : tensor<15x9xf32>, tensor<15xi64>, tensor<15xf32>, tensor<f32>
  %dlogits = graph.reshape %d {graph.phase = "backward"} : tensor<15x9xf32> to tensor<5x3x9xf32>
  %dx = graph.matmul %dlogits, %w batch [] x [] contract [2] x [0] {graph.phase = "backward"} : tensor<5x3x9xf32>, tensor<9x2xf32>
  %db = graph.reduce_sum %dlogits dims [0, 1] {graph.phase = "backward"} : tensor<5x3x9xf32>
  return %sum, %lse, %dx, %db : tensor<f32>, tensor<15xf32>, tensor<5x3x2xf32>, tensor<9xf32>
}

// -----

// One sample: its sequence is cut. A loss that is written out works as well; the targets as wide as logits are made in chunks,
// and constants are as large as they have to be.

// CHECK-LABEL: func @written_out
// AUTO-LABEL: func @written_out
func.func @written_out(%x: tensor<1x6x2xf32>, %w: tensor<2x9xf32>, %t: tensor<1x6xi64>) -> (tensor<f32>, tensor<1x6x2xf32>) {
  // CHECK-NOT: tensor<1x6x9x
  // CHECK: graph.linear {{.*}} : tensor<1x3x2xf32>
  // CHECK: graph.compare "eq" {{.*}} {graph.chunk = 0
  // CHECK: graph.constant {graph.chunk = 0 : i64, graph.phase = "backward"} dense<5.000000e-01> : tensor<1x3x9xf32>
  // CHECK: graph.matmul {{.*}} {graph.chunk = 0
  // CHECK: graph.linear {{.*}} : tensor<1x3x2xf32>
  // CHECK-NOT: tensor<1x6x9x
  // CHECK: graph.concat {{.*}} dim 1 {graph.phase = "backward"}
  // CHECK: return
  %logits = graph.linear %x, %w {graph.phase = "forward"} : tensor<1x6x2xf32>, tensor<2x9xf32>
  %max = graph.reduce_max %logits dims [2] keep_dims {graph.phase = "forward"} : tensor<1x6x9xf32>
  %shifted = graph.sub %logits, %max {graph.phase = "forward"} : tensor<1x6x9xf32>, tensor<1x6x1xf32>
  %exp = graph.exp %shifted {graph.phase = "forward"} : tensor<1x6x9xf32>
  %norm = graph.reduce_sum %exp dims [2] keep_dims {graph.phase = "forward"} : tensor<1x6x9xf32>
  %log = graph.log %norm {graph.phase = "forward"} : tensor<1x6x1xf32>
  %iota = graph.iota 0 {graph.phase = "forward"} : tensor<9xi64>
  %column = graph.reshape %t {graph.phase = "forward"} : tensor<1x6xi64> to tensor<1x6x1xi64>
  %is = graph.compare "eq" %iota, %column {graph.phase = "forward"} : tensor<9xi64>, tensor<1x6x1xi64>
  %hot = graph.convert %is {graph.phase = "forward"} : tensor<1x6x9xi1> to tensor<1x6x9xf32>
  %nll = graph.sub %log, %shifted {graph.phase = "forward"} : tensor<1x6x1xf32>, tensor<1x6x9xf32>
  %chosen = graph.mul %nll, %hot {graph.phase = "forward"} : tensor<1x6x9xf32>, tensor<1x6x9xf32>
  %loss = graph.reduce_sum %chosen dims [0, 1, 2] {graph.phase = "forward"} : tensor<1x6x9xf32>
  %p = graph.div %exp, %norm {graph.phase = "backward"} : tensor<1x6x9xf32>, tensor<1x6x1xf32>
  %difference = graph.sub %p, %hot {graph.phase = "backward"} : tensor<1x6x9xf32>, tensor<1x6x9xf32>
  %half = graph.constant {graph.phase = "backward"} dense<0.5> : tensor<1x6x9xf32>
  %d = graph.mul %difference, %half {graph.phase = "backward"} : tensor<1x6x9xf32>, tensor<1x6x9xf32>
  %dx = graph.matmul %d, %w batch [] x [] contract [2] x [1] {graph.phase = "backward"} : tensor<1x6x9xf32>, tensor<2x9xf32>
  return %loss, %dx : tensor<f32>, tensor<1x6x2xf32>
}

// -----

// The gradient is scaled by the loss of all rows.

// CHECK-LABEL: func @needs_all_rows
// CHECK-NOT: graph.slice
// CHECK: return
// AUTO-LABEL: func @needs_all_rows
func.func @needs_all_rows(%x: tensor<4x2xf32>, %w: tensor<9x2xf32>, %t: tensor<4xi64>) -> (tensor<f32>, tensor<4x2xf32>) {
  %logits = graph.linear %x, %w transpose_weight {graph.phase = "forward"} : tensor<4x2xf32>, tensor<9x2xf32>
  %sum, %count, %lse = graph.cross_entropy %logits, %t ignore_index -100 {graph.phase = "forward"} : tensor<4x9xf32>, tensor<4xi64>
  %share = graph.div %sum, %count {graph.phase = "backward"} : tensor<f32>, tensor<f32>
  %d = graph.cross_entropy_grad %logits, %t, %lse, %share ignore_index -100 {graph.phase = "backward"} : tensor<4x9xf32>, tensor<4xi64>, tensor<4xf32>, tensor<f32>
  %dx = graph.matmul %d, %w batch [] x [] contract [1] x [0] {graph.phase = "backward"} : tensor<4x9xf32>, tensor<9x2xf32>
  return %sum, %dx : tensor<f32>, tensor<4x2xf32>
}

// -----

// Logits are an output of the model.

// CHECK-LABEL: func @returned
// CHECK-NOT: graph.slice
// CHECK: return
// AUTO-LABEL: func @returned
func.func @returned(%x: tensor<4x2xf32>, %w: tensor<9x2xf32>) -> (tensor<4x9xf32>, tensor<9x2xf32>) {
  %logits = graph.linear %x, %w transpose_weight {graph.phase = "forward"} : tensor<4x2xf32>, tensor<9x2xf32>
  %dw = graph.matmul %logits, %x batch [] x [] contract [0] x [0] {graph.phase = "backward"} : tensor<4x9xf32>, tensor<4x2xf32>
  return %logits, %dw : tensor<4x9xf32>, tensor<9x2xf32>
}

// -----

// Rows of a sample need each other: samples are cut, also where they are counted together with positions. All rows need each
// other: nothing is cut.

// CHECK-LABEL: func @over_the_sequence
// CHECK: graph.slice %arg2 [0] to [10]
// CHECK: graph.cross_entropy {{.*}} : tensor<10x9xf32>, tensor<10xi64>
// CHECK: graph.slice %arg2 [10] to [20]
// CHECK: graph.cross_entropy {{.*}} : tensor<10x9xf32>, tensor<10xi64>
// CHECK-LABEL: func @over_the_samples
// CHECK-NOT: graph.slice
// CHECK: return
// AUTO-LABEL: func @over_the_sequence
func.func @over_the_sequence(%x: tensor<4x6x2xf32>, %w: tensor<9x2xf32>, %t: tensor<20xi64>) -> (tensor<f32>, tensor<9x2xf32>) {
  %logits = graph.linear %x, %w transpose_weight {graph.phase = "forward"} : tensor<4x6x2xf32>, tensor<9x2xf32>
  %y = graph.softmax %logits dim 1 {graph.phase = "forward"} : tensor<4x6x9xf32>
  %shifted = graph.slice %y [0, 0, 0] to [4, 5, 9] by [1, 1, 1] {graph.phase = "forward"} : tensor<4x6x9xf32>
  %rows = graph.reshape %shifted {graph.phase = "forward"} : tensor<4x5x9xf32> to tensor<20x9xf32>
  %sum, %count, %lse = graph.cross_entropy %rows, %t ignore_index -100 {graph.phase = "forward"} : tensor<20x9xf32>, tensor<20xi64>
  %dw = graph.matmul %y, %x batch [] x [] contract [0, 1] x [0, 1] {graph.phase = "backward"} : tensor<4x6x9xf32>, tensor<4x6x2xf32>
  return %sum, %dw : tensor<f32>, tensor<9x2xf32>
}
func.func @over_the_samples(%x: tensor<4x6x2xf32>, %w: tensor<9x2xf32>) -> tensor<9x2xf32> {
  %logits = graph.linear %x, %w transpose_weight {graph.phase = "forward"} : tensor<4x6x2xf32>, tensor<9x2xf32>
  %y = graph.softmax %logits dim 0 {graph.phase = "forward"} : tensor<4x6x9xf32>
  %dw = graph.matmul %y, %x batch [] x [] contract [0, 1] x [0, 1] {graph.phase = "backward"} : tensor<4x6x9xf32>, tensor<4x6x2xf32>
  return %dw : tensor<9x2xf32>
}

// -----

// Ranks share the vocabulary: what they reduce over each other in between is not local to rows. Who asked for chunks hears of it.

// SAID: chunk-rows.mlir:[[#@LINE+8]]:1: warning: nothing is computed in 2 chunks
// SAID-NOT: warning

// CHECK-LABEL: func @split_vocabulary
// CHECK-NOT: graph.slice
// CHECK: return
// AUTO-LABEL: func @split_vocabulary
sharding.mesh @mesh ["tensor" = 2]
func.func @split_vocabulary(%x: tensor<4x2xf32>, %w: tensor<9x2xf32>) -> (tensor<f32>, tensor<4x2xf32>) {
  %logits = graph.linear %x, %w transpose_weight {graph.phase = "forward"} : tensor<4x2xf32>, tensor<9x2xf32>
  %exp = graph.exp %logits {graph.phase = "forward"} : tensor<4x9xf32>
  %own = graph.reduce_sum %exp dims [1] keep_dims {graph.phase = "forward"} : tensor<4x9xf32>
  %all = sharding.all_reduce sum %own over @mesh {"tensor"} {graph.phase = "forward"} : tensor<4x1xf32>
  %loss = graph.reduce_sum %all dims [0, 1] {graph.phase = "forward"} : tensor<4x1xf32>
  %d = graph.div %exp, %all {graph.phase = "backward"} : tensor<4x9xf32>, tensor<4x1xf32>
  %dx = graph.matmul %d, %w batch [] x [] contract [1] x [0] {graph.phase = "backward"} : tensor<4x9xf32>, tensor<9x2xf32>
  return %loss, %dx : tensor<f32>, tensor<4x2xf32>
}

// -----

// 160 MiB of logits are cut by themselves, 5 x 32 MiB; 124 MiB are not.

// CHECK-LABEL: func @large
// AUTO-LABEL: func @large
// AUTO-COUNT-5: graph.linear {{.*}} : tensor<256x64xf32>, tensor<32768x64xf32>
// AUTO-NOT: graph.linear
// AUTO-LABEL: func @not_large
// AUTO: graph.linear
// AUTO-NOT: graph.linear
func.func @large(%x: tensor<1280x64xf32>, %w: tensor<32768x64xf32>, %t: tensor<1280xi64>) -> (tensor<f32>, tensor<32768x64xf32>) {
  %one = graph.constant dense<1.0> : tensor<f32>
  %logits = graph.linear %x, %w transpose_weight {graph.phase = "forward"} : tensor<1280x64xf32>, tensor<32768x64xf32>
  %sum, %count, %lse = graph.cross_entropy %logits, %t ignore_index -100 {graph.phase = "forward"} : tensor<1280x32768xf32>, tensor<1280xi64>
  %d = graph.cross_entropy_grad %logits, %t, %lse, %one ignore_index -100 {graph.phase = "backward"} : tensor<1280x32768xf32>, tensor<1280xi64>, tensor<1280xf32>, tensor<f32>
  %dw = graph.matmul %d, %x batch [] x [] contract [0] x [0] {graph.phase = "backward"} : tensor<1280x32768xf32>, tensor<1280x64xf32>
  return %sum, %dw : tensor<f32>, tensor<32768x64xf32>
}
func.func @not_large(%x: tensor<992x64xf32>, %w: tensor<32768x64xf32>, %t: tensor<992xi64>) -> (tensor<f32>, tensor<32768x64xf32>) {
  %one = graph.constant dense<1.0> : tensor<f32>
  %logits = graph.linear %x, %w transpose_weight {graph.phase = "forward"} : tensor<992x64xf32>, tensor<32768x64xf32>
  %sum, %count, %lse = graph.cross_entropy %logits, %t ignore_index -100 {graph.phase = "forward"} : tensor<992x32768xf32>, tensor<992xi64>
  %d = graph.cross_entropy_grad %logits, %t, %lse, %one ignore_index -100 {graph.phase = "backward"} : tensor<992x32768xf32>, tensor<992xi64>, tensor<992xf32>, tensor<f32>
  %dw = graph.matmul %d, %x batch [] x [] contract [0] x [0] {graph.phase = "backward"} : tensor<992x32768xf32>, tensor<992x64xf32>
  return %sum, %dw : tensor<f32>, tensor<32768x64xf32>
}
