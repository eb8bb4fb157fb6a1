// RUN: ds-opt %s --split-input-file --create-update=bucket-size=64 | FileCheck %s

#adamw = #graph.adamw<learning_rate = 1.0e-03 : f64, beta1 = 9.0e-01 : f64, beta2 = 9.5e-01 : f64, eps = 1.0e-08 : f64,
                      weight_decay = 1.0e-01 : f64, bias_correction = true, adam_w_mode = true>

// Members start at multiples of 16 floats. "a" takes 32 elements, "b" 16, so "c" with its 20 opens a second bucket;
// "d" is larger than a bucket may be and has its own.
// CHECK-LABEL: module @buckets
module @buckets attributes {graph.optimizer = #adamw, graph.gradient_clipping = 5.0e-01 : f64} {
  // CHECK: func.func @micro_batch(
  // CHECK-SAME: tensor<3x7xf32> {graph.member = #graph.member<kind = "parameter", index = 0, offset = 0>, graph.parameter = "a"}
  // CHECK-SAME: tensor<10xf32> {graph.member = #graph.member<kind = "parameter", index = 0, offset = 32>, graph.parameter = "b"}
  // CHECK-SAME: tensor<20xf32> {graph.member = #graph.member<kind = "parameter", index = 1, offset = 0>, graph.parameter = "c"}
  // CHECK-SAME: tensor<65xf32> {graph.member = #graph.member<kind = "parameter", index = 2, offset = 0>, graph.parameter = "d"}
  // CHECK-SAME: tensor<10xf32> {graph.member = #graph.member<kind = "gradient", index = 0, offset = 32>, graph.state = "gradient.b"}
  // CHECK-SAME: -> (tensor<f32> {graph.metric = "loss"},
  // CHECK-SAME: tensor<3x7xf32> {graph.gradient = "a", graph.member = #graph.member<kind = "gradient", index = 0, offset = 0>}
  // CHECK-SAME: tensor<10xf32> {graph.gradient = "b", graph.member = #graph.member<kind = "gradient", index = 0, offset = 32>, graph.state = "gradient.b"}
  func.func @forward(%loss: tensor<f32> {graph.input = "x"},
      %a: tensor<3x7xf32> {graph.parameter = "a"}, %b: tensor<10xf32> {graph.parameter = "b"},
      %c: tensor<20xf32> {graph.parameter = "c"}, %d: tensor<65xf32> {graph.parameter = "d"},
      %g: tensor<10xf32> {graph.state = "gradient.b"})
      -> (tensor<f32> {graph.metric = "loss"}, tensor<3x7xf32> {graph.gradient = "a"},
          tensor<10xf32> {graph.gradient = "b", graph.state = "gradient.b"}, tensor<20xf32> {graph.gradient = "c"},
          tensor<65xf32> {graph.gradient = "d"}) {
    return %loss, %a, %g, %c, %d : tensor<f32>, tensor<3x7xf32>, tensor<10xf32>, tensor<20xf32>, tensor<65xf32>
  }
  // CHECK: func.func @update(
  // CHECK-SAME: %[[P0:.*]]: tensor<48xf32> {graph.bucket = #graph.bucket<kind = "parameter", index = 0>, graph.state = "parameter.0"},
  // CHECK-SAME: %[[G0:.*]]: tensor<48xf32> {graph.bucket = #graph.bucket<kind = "gradient", index = 0>},
  // CHECK-SAME: %[[M0:.*]]: tensor<48xf32> {graph.bucket = #graph.bucket<kind = "exp_avg", index = 0>, graph.state = "exp_avg.0"},
  // CHECK-SAME: %[[V0:.*]]: tensor<48xf32> {graph.bucket = #graph.bucket<kind = "exp_avg_sq", index = 0>, graph.state = "exp_avg_sq.0"},
  // CHECK-SAME: %[[G1:[a-z0-9]+]]: tensor<32xf32> {graph.bucket = #graph.bucket<kind = "gradient", index = 1>}
  // CHECK-SAME: %[[G2:[a-z0-9]+]]: tensor<80xf32> {graph.bucket = #graph.bucket<kind = "gradient", index = 2>}
  // CHECK-SAME: %[[LR:[a-z0-9]+]]: tensor<f64> {graph.run_state = "learning_rate"}, %[[T:[a-z0-9]+]]: tensor<i64> {graph.run_state = "update_step"})
  // CHECK-SAME: -> (tensor<48xf32> {graph.bucket = #graph.bucket<kind = "parameter", index = 0>, graph.state = "parameter.0"}
  // CHECK-SAME: tensor<80xf32> {graph.bucket = #graph.bucket<kind = "exp_avg_sq", index = 2>, graph.state = "exp_avg_sq.2"}, tensor<f64> {graph.metric = "grad_norm"}) {
  // CHECK-NEXT: %[[S0:.*]] = graph.sum_squares %[[G0]] {graph.phase = "update"}
  // CHECK-NEXT: %[[S1:.*]] = graph.sum_squares %[[G1]] {graph.phase = "update"}
  // CHECK-NEXT: %[[S01:.*]] = graph.add %[[S0]], %[[S1]] {graph.phase = "update"}
  // CHECK-NEXT: %[[S2:.*]] = graph.sum_squares %[[G2]] {graph.phase = "update"}
  // CHECK-NEXT: %[[S:.*]] = graph.add %[[S01]], %[[S2]] {graph.phase = "update"}
  // CHECK-NEXT: %[[NORM:.*]] = graph.sqrt %[[S]] {graph.phase = "update"}
  // CHECK-NEXT: %[[ONE:.*]] = graph.constant {graph.phase = "update"} dense<1.000000e+00> : tensor<f64>
  // CHECK-NEXT: %[[EPS:.*]] = graph.constant {graph.phase = "update"} dense<9.9999999999999995E-7> : tensor<f64>
  // CHECK-NEXT: %[[ABOVE:.*]] = graph.add %[[NORM]], %[[EPS]] {graph.phase = "update"}
  // CHECK-NEXT: %[[LIMIT:.*]] = graph.constant {graph.phase = "update"} dense<5.000000e-01> : tensor<f64>
  // CHECK-NEXT: %[[RATIO:.*]] = graph.div %[[LIMIT]], %[[ABOVE]] {graph.phase = "update"}
  // CHECK-NEXT: %[[CLIP:.*]] = graph.minimum %[[ONE]], %[[RATIO]] {graph.phase = "update"}
  // CHECK-NEXT: %[[P:.*]], %[[M:.*]], %[[V:.*]] = graph.adamw %[[P0]], %[[G0]], %[[M0]], %[[V0]], %[[LR]], %[[T]], %[[CLIP]]
  // CHECK-SAME: {adam_w_mode = true, beta1 = 9.000000e-01 : f64, beta2 = 0.9{{.*}} : f64, bias_correction = true, eps = 1.000000e-08 : f64, graph.phase = "update", weight_decay = 1.000000e-01 : f64}
  // CHECK: graph.adamw
  // CHECK: graph.adamw
  // CHECK-NEXT: return %[[P]], %[[M]], %[[V]], {{.*}}, %[[NORM]]
}

// -----

#adamw = #graph.adamw<learning_rate = 1.0e-03 : f64, beta1 = 9.0e-01 : f64, beta2 = 9.5e-01 : f64, eps = 1.0e-08 : f64,
                      weight_decay = 0.0 : f64, bias_correction = true, adam_w_mode = true>

// f64 members start at multiples of 8; without clipping the coefficient is 1.
// CHECK-LABEL: module @unclipped
module @unclipped attributes {graph.optimizer = #adamw, graph.gradient_clipping = 0.0 : f64} {
  // CHECK: #graph.member<kind = "parameter", index = 0, offset = 8>
  func.func @forward(%a: tensor<f64> {graph.parameter = "a"}, %b: tensor<9xf64> {graph.parameter = "b"})
      -> (tensor<f64> {graph.gradient = "a", graph.metric = "loss"}, tensor<9xf64> {graph.gradient = "b"}) {
    return %a, %b : tensor<f64>, tensor<9xf64>
  }
  // CHECK: func.func @update(%{{.*}}: tensor<24xf64>
  // CHECK-NOT: graph.minimum
  // CHECK: %[[ONE:.*]] = graph.constant {graph.phase = "update"} dense<1.000000e+00>
  // CHECK-NEXT: graph.adamw {{.*}}, %[[ONE]]
}

// -----

#adamw = #graph.adamw<learning_rate = 1.0e-03 : f64, beta1 = 9.0e-01 : f64, beta2 = 9.5e-01 : f64, eps = 1.0e-08 : f64,
                      weight_decay = 0.0 : f64, bias_correction = true, adam_w_mode = true>

// Gradients carry the loss scale: the norm is divided by it, and so is the clip coefficient. The step applies where the
// sum of squares is finite (an infinity or a NaN in any gradient makes it one), and so does the next scale.
// CHECK-LABEL: module @loss_scale
module @loss_scale attributes {graph.optimizer = #adamw, graph.gradient_clipping = 5.0e-01 : f64,
                               graph.loss_scale = #graph.loss_scale<initial = 1.6e+01 : f64, window = 20, hysteresis = 3,
                                                                    consecutive_hysteresis = true, minimum = 2.0 : f64>} {
  func.func @forward(%loss: tensor<f32> {graph.input = "x"}, %a: tensor<16xf32> {graph.parameter = "a"},
      %s: tensor<f64> {graph.member = #graph.member<kind = "loss_scale", index = 0, offset = 0>})
      -> (tensor<f32> {graph.metric = "loss"}, tensor<16xf32> {graph.gradient = "a"}) {
    return %loss, %a : tensor<f32>, tensor<16xf32>
  }
  // CHECK: func.func @update(
  // CHECK-SAME: %[[STATE:[a-z0-9]+]]: tensor<4xf64> {graph.bucket = #graph.bucket<kind = "loss_scale", index = 0>, graph.state = "loss_scale.0"})
  // CHECK-SAME: tensor<f64> {graph.metric = "grad_norm"}, tensor<4xf64> {graph.bucket = #graph.bucket<kind = "loss_scale", index = 0>, graph.state = "loss_scale.0"}
  // CHECK-SAME: tensor<f64> {graph.metric = "loss_scale"}, tensor<f64> {graph.metric = "overflow"}, tensor<f64> {graph.metric = "skipped_steps"})
  // CHECK: %[[SQUARES:.*]] = graph.sum_squares
  // CHECK-DAG: %[[ROOT:.*]] = graph.sqrt %[[SQUARES]]
  // CHECK-DAG: %[[FIRST:.*]] = graph.slice %[[STATE]] [0] to [1] by [1]
  // CHECK-DAG: %[[SCALE:.*]] = graph.reshape %[[FIRST]]
  // CHECK-DAG: %[[INF:.*]] = graph.constant {{.*}}dense<0x7FF0000000000000> : tensor<f64>
  // CHECK: %[[FINITE:.*]] = graph.compare "lt" %[[SQUARES]], %[[INF]]
  // CHECK: %[[NORM:.*]] = graph.div %[[ROOT]], %[[SCALE]]
  // CHECK: graph.add %[[NORM]]
  // CHECK: %[[COEFFICIENT:.*]] = graph.minimum
  // CHECK: %[[CLIP:.*]] = graph.div %[[COEFFICIENT]], %[[SCALE]]
  // CHECK: graph.adamw {{.*}}, %[[CLIP]], %[[FINITE]] {
  // CHECK: %[[NEXT:.*]] = graph.update_loss_scale %[[STATE]], %[[FINITE]] {consecutive_hysteresis = true, {{.*}}hysteresis = 3 : i64, minimum = 2.000000e+00 : f64, window = 20 : i64}
  // CHECK: %[[OVER:.*]] = graph.not %[[FINITE]]
  // CHECK: graph.convert %[[OVER]]
  // CHECK: return {{.*}}, %[[NORM]], %[[NEXT]],
}
