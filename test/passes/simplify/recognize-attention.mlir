// RUN: ds-opt %s --pass-pipeline='builtin.module(func.func(recognize-attention))' | FileCheck %s

// CHECK-LABEL: @eager
// CHECK-SAME: %[[Q:.*]]: tensor<2x4x3x8xf32>, %[[K:.*]]: tensor<2x4x3x8xf32>, %[[V:.*]]: tensor<2x4x3x8xf32>
// CHECK-NEXT: %[[O:.*]], %{{.*}} = graph.attention %[[Q]], %[[K]], %[[V]] scale 0.35355339059327{{[0-9]*}} causal :
// CHECK-NEXT: return %[[O]]
func.func @eager(%q: tensor<2x4x3x8xf32>, %k: tensor<2x4x3x8xf32>, %v: tensor<2x4x3x8xf32>)
    -> tensor<2x4x3x8xf32> {
  %mask = graph.constant dense<[[0.0, -3.40282347E+38, -3.40282347E+38], [0.0, 0.0, -3.40282347E+38],
                                [0.0, 0.0, 0.0]]> : tensor<3x3xf32>
  %scale = graph.constant dense<0.353553385> : tensor<f32>
  %qk = graph.matmul %q, %k batch [0, 1] x [0, 1] contract [3] x [3]
      : tensor<2x4x3x8xf32>, tensor<2x4x3x8xf32>
  %scaled = graph.mul %qk, %scale : tensor<2x4x3x3xf32>, tensor<f32>
  %masked = graph.add %scaled, %mask : tensor<2x4x3x3xf32>, tensor<3x3xf32>
  %p = graph.softmax %masked dim 3 : tensor<2x4x3x3xf32>
  %o = graph.matmul %p, %v batch [0, 1] x [0, 1] contract [3] x [2]
      : tensor<2x4x3x3xf32>, tensor<2x4x3x8xf32>
  return %o : tensor<2x4x3x8xf32>
}

// Operands b s h d, a division, a selection, dropout: id, counter and probability go along.
// CHECK-LABEL: @selected_and_dropped
// CHECK-SAME: %[[Q:.*]]: tensor<2x3x4x8xf32>, %[[K:.*]]: tensor<2x3x4x8xf32>, %[[V:.*]]: tensor<2x3x4x8xf32>, %[[C:.*]]: tensor<3xi64>
// CHECK-DAG: %[[QT:.*]] = graph.transpose %[[Q]] [0, 2, 1, 3]
// CHECK-DAG: %[[KT:.*]] = graph.transpose %[[K]] [0, 2, 1, 3]
// CHECK-DAG: %[[VT:.*]] = graph.transpose %[[V]] [0, 2, 1, 3]
// CHECK: %[[O:.*]], %{{.*}} = graph.attention %[[QT]], %[[KT]], %[[VT]] counter %[[C]] scale 5.000000e-01 causal {dropout = 1.000000e-01 : f64, id = 7 : i64}
// CHECK-NEXT: return %[[O]]
func.func @selected_and_dropped(%q: tensor<2x3x4x8xf32>, %k: tensor<2x3x4x8xf32>, %v: tensor<2x3x4x8xf32>,
                                %counter: tensor<3xi64>) -> tensor<2x4x3x8xf32> {
  %seen = graph.constant dense<[[[[true, false, false], [true, true, false], [true, true, true]]]]> : tensor<1x1x3x3xi1>
  %infinite = graph.constant dense<0xFF800000> : tensor<f32>
  %two = graph.constant dense<2.0> : tensor<f32>
  %qk = graph.matmul %q, %k batch [0, 2] x [0, 2] contract [3] x [3] : tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>
  %scaled = graph.div %qk, %two : tensor<2x4x3x3xf32>, tensor<f32>
  %masked = graph.select %seen, %scaled, %infinite : tensor<1x1x3x3xi1>, tensor<2x4x3x3xf32>, tensor<f32>
  %p = graph.softmax %masked dim 3 : tensor<2x4x3x3xf32>
  %d = graph.dropout %p, %counter p 0.1 id 7 : tensor<2x4x3x3xf32>, tensor<3xi64>
  %o = graph.matmul %d, %v batch [0, 1] x [0, 2] contract [3] x [1] : tensor<2x4x3x3xf32>, tensor<2x3x4x8xf32>
  return %o : tensor<2x4x3x8xf32>
}

// Scaled queries, keys and values of two heads repeated for four, a padding mask from data.
// CHECK-LABEL: @grouped_heads
// CHECK-SAME: %[[Q:.*]]: tensor<2x4x3x8xf32>, %[[K:.*]]: tensor<2x2x5x8xf32>, %[[V:.*]]: tensor<2x2x5x8xf32>, %[[M:.*]]: tensor<2x1x1x5xf32>
// CHECK-NEXT: %[[O:.*]], %{{.*}} = graph.attention %[[Q]], %[[K]], %[[V]] mask %[[M]] scale 2.500000e-01 :
// CHECK-NEXT: return %[[O]]
func.func @grouped_heads(%q: tensor<2x4x3x8xf32>, %k: tensor<2x2x5x8xf32>, %v: tensor<2x2x5x8xf32>,
                         %mask: tensor<2x1x1x5xf32>) -> tensor<2x4x3x8xf32> {
  %quarter = graph.constant dense<0.25> : tensor<f32>
  %qs = graph.mul %q, %quarter : tensor<2x4x3x8xf32>, tensor<f32>
  %kb = graph.broadcast %k [0, 1, 3, 4] : tensor<2x2x5x8xf32> to tensor<2x2x2x5x8xf32>
  %kr = graph.reshape %kb : tensor<2x2x2x5x8xf32> to tensor<2x4x5x8xf32>
  %vb = graph.broadcast %v [0, 1, 3, 4] : tensor<2x2x5x8xf32> to tensor<2x2x2x5x8xf32>
  %vr = graph.reshape %vb : tensor<2x2x2x5x8xf32> to tensor<2x4x5x8xf32>
  %kt = graph.transpose %kr [0, 1, 3, 2] : tensor<2x4x5x8xf32>
  %qk = graph.matmul %qs, %kt batch [0, 1] x [0, 1] contract [3] x [2] : tensor<2x4x3x8xf32>, tensor<2x4x8x5xf32>
  %masked = graph.add %qk, %mask : tensor<2x4x3x5xf32>, tensor<2x1x1x5xf32>
  %p = graph.softmax %masked dim 3 : tensor<2x4x3x5xf32>
  %o = graph.matmul %p, %vr batch [0, 1] x [0, 1] contract [3] x [2] : tensor<2x4x3x5xf32>, tensor<2x4x5x8xf32>
  return %o : tensor<2x4x3x8xf32>
}

// Products over one batch dimension b h, scores viewed as b x h x s x t for the mask (OPT, BLOOM).
// CHECK-LABEL: @batched_products
// CHECK: graph.attention %{{.*}}, %{{.*}}, %{{.*}} mask %{{.*}} scale 1.000000e+00 : tensor<2x4x3x8xf32>, tensor<2x4x5x8xf32>, tensor<2x4x5x8xf32>, tensor<2x1x3x5xf32>
// CHECK-NEXT: graph.reshape %{{.*}} : tensor<2x4x3x8xf32> to tensor<8x3x8xf32>
func.func @batched_products(%q: tensor<8x3x8xf32>, %k: tensor<8x5x8xf32>, %v: tensor<8x5x8xf32>,
                            %mask: tensor<2x1x3x5xf32>) -> tensor<8x3x8xf32> {
  %qk = graph.matmul %q, %k batch [0] x [0] contract [2] x [2] : tensor<8x3x8xf32>, tensor<8x5x8xf32>
  %four = graph.reshape %qk : tensor<8x3x5xf32> to tensor<2x4x3x5xf32>
  %masked = graph.add %mask, %four : tensor<2x1x3x5xf32>, tensor<2x4x3x5xf32>
  %three = graph.reshape %masked : tensor<2x4x3x5xf32> to tensor<8x3x5xf32>
  %p = graph.softmax %three dim 2 : tensor<8x3x5xf32>
  %o = graph.matmul %p, %v batch [0] x [0] contract [2] x [1] : tensor<8x3x5xf32>, tensor<8x5x8xf32>
  return %o : tensor<8x3x8xf32>
}

// A softmax in f32 between products in bf16.
// CHECK-LABEL: @widened_softmax
// CHECK-NEXT: graph.attention %{{.*}} scale 1.000000e+00 : tensor<1x1x3x8xbf16>
func.func @widened_softmax(%q: tensor<1x1x3x8xbf16>, %k: tensor<1x1x3x8xbf16>, %v: tensor<1x1x3x8xbf16>)
    -> tensor<1x1x3x8xbf16> {
  %qk = graph.matmul %q, %k batch [0, 1] x [0, 1] contract [3] x [3] : tensor<1x1x3x8xbf16>, tensor<1x1x3x8xbf16>
  %wide = graph.convert %qk : tensor<1x1x3x3xbf16> to tensor<1x1x3x3xf32>
  %p = graph.softmax %wide dim 3 : tensor<1x1x3x3xf32>
  %narrow = graph.convert %p : tensor<1x1x3x3xf32> to tensor<1x1x3x3xbf16>
  %o = graph.matmul %narrow, %v batch [0, 1] x [0, 1] contract [3] x [2]
      : tensor<1x1x3x3xbf16>, tensor<1x1x3x8xbf16>
  return %o : tensor<1x1x3x8xbf16>
}

// A selection of a finite number by data: a query that sees nothing gets the mean of v, as a sum does.
// CHECK-LABEL: @selected_by_data
// CHECK: %[[M:.*]] = graph.select %arg3, %{{.*}}, %{{.*}} : tensor<2x1x1x5xi1>, tensor<f32>, tensor<f32>
// CHECK: graph.attention %arg0, %arg1, %arg2 mask %[[M]] scale
func.func @selected_by_data(%q: tensor<2x4x3x8xf32>, %k: tensor<2x4x5x8xf32>, %v: tensor<2x4x5x8xf32>,
                            %seen: tensor<2x1x1x5xi1>) -> tensor<2x4x3x8xf32> {
  %low = graph.constant dense<-3.40282347E+38> : tensor<f32>
  %qk = graph.matmul %q, %k batch [0, 1] x [0, 1] contract [3] x [3] : tensor<2x4x3x8xf32>, tensor<2x4x5x8xf32>
  %masked = graph.select %seen, %qk, %low : tensor<2x1x1x5xi1>, tensor<2x4x3x5xf32>, tensor<f32>
  %p = graph.softmax %masked dim 3 : tensor<2x4x3x5xf32>
  %o = graph.matmul %p, %v batch [0, 1] x [0, 1] contract [3] x [2] : tensor<2x4x3x5xf32>, tensor<2x4x5x8xf32>
  return %o : tensor<2x4x3x8xf32>
}

// Probabilities that are an output need the score matrix anyway.
// CHECK-LABEL: @probabilities_are_read
// CHECK-NOT: graph.attention
// CHECK: return
func.func @probabilities_are_read(%q: tensor<1x1x3x8xf32>, %k: tensor<1x1x3x8xf32>, %v: tensor<1x1x3x8xf32>)
    -> (tensor<1x1x3x8xf32>, tensor<1x1x3x3xf32>) {
  %qk = graph.matmul %q, %k batch [0, 1] x [0, 1] contract [3] x [3] : tensor<1x1x3x8xf32>, tensor<1x1x3x8xf32>
  %p = graph.softmax %qk dim 3 : tensor<1x1x3x3xf32>
  %o = graph.matmul %p, %v batch [0, 1] x [0, 1] contract [3] x [2] : tensor<1x1x3x3xf32>, tensor<1x1x3x8xf32>
  return %o, %p : tensor<1x1x3x8xf32>, tensor<1x1x3x3xf32>
}

// A softmax over queries is none over keys.
// CHECK-LABEL: @over_queries
// CHECK-NOT: graph.attention
// CHECK: return
func.func @over_queries(%q: tensor<1x1x3x8xf32>, %k: tensor<1x1x3x8xf32>, %v: tensor<1x1x3x8xf32>)
    -> tensor<1x1x3x8xf32> {
  %qk = graph.matmul %q, %k batch [0, 1] x [0, 1] contract [3] x [3] : tensor<1x1x3x8xf32>, tensor<1x1x3x8xf32>
  %p = graph.softmax %qk dim 2 : tensor<1x1x3x3xf32>
  %o = graph.matmul %p, %v batch [0, 1] x [0, 1] contract [3] x [2] : tensor<1x1x3x3xf32>, tensor<1x1x3x8xf32>
  return %o : tensor<1x1x3x8xf32>
}

// A bias that is learned needs a gradient, which attention does not give.
// CHECK-LABEL: @learned_bias
// CHECK-NOT: graph.attention
// CHECK: return
func.func @learned_bias(%q: tensor<1x1x3x8xf32>, %k: tensor<1x1x3x8xf32>, %v: tensor<1x1x3x8xf32>,
                        %bias: tensor<1x1x3x3xf32> {graph.parameter = "bias"}) -> tensor<1x1x3x8xf32> {
  %qk = graph.matmul %q, %k batch [0, 1] x [0, 1] contract [3] x [3] : tensor<1x1x3x8xf32>, tensor<1x1x3x8xf32>
  %biased = graph.add %qk, %bias : tensor<1x1x3x3xf32>, tensor<1x1x3x3xf32>
  %p = graph.softmax %biased dim 3 : tensor<1x1x3x3xf32>
  %o = graph.matmul %p, %v batch [0, 1] x [0, 1] contract [3] x [2] : tensor<1x1x3x3xf32>, tensor<1x1x3x8xf32>
  return %o : tensor<1x1x3x8xf32>
}

// A mask that is scaled with the scores is another mask.
// CHECK-LABEL: @scaled_mask
// CHECK-NOT: graph.attention
// CHECK: return
func.func @scaled_mask(%q: tensor<1x1x3x8xf32>, %k: tensor<1x1x3x8xf32>, %v: tensor<1x1x3x8xf32>,
                       %mask: tensor<1x1x3x3xf32>) -> tensor<1x1x3x8xf32> {
  %half = graph.constant dense<0.5> : tensor<f32>
  %qk = graph.matmul %q, %k batch [0, 1] x [0, 1] contract [3] x [3] : tensor<1x1x3x8xf32>, tensor<1x1x3x8xf32>
  %masked = graph.add %qk, %mask : tensor<1x1x3x3xf32>, tensor<1x1x3x3xf32>
  %scaled = graph.mul %masked, %half : tensor<1x1x3x3xf32>, tensor<f32>
  %p = graph.softmax %scaled dim 3 : tensor<1x1x3x3xf32>
  %o = graph.matmul %p, %v batch [0, 1] x [0, 1] contract [3] x [2] : tensor<1x1x3x3xf32>, tensor<1x1x3x8xf32>
  return %o : tensor<1x1x3x8xf32>
}

// The masks of attention ops that an importer made: with a cache of one key, two queries see keys j <= i + 1.
// CHECK-LABEL: @constant_masks
// CHECK-NEXT: graph.attention %arg0, %arg1, %arg1 scale 1.000000e+00 causal : tensor<1x1x2x8xf32>, tensor<1x1x3x8xf32>, tensor<1x1x3x8xf32>
// CHECK-NEXT: graph.attention %arg0, %arg1, %arg1 scale 1.000000e+00 : tensor<1x1x2x8xf32>, tensor<1x1x3x8xf32>, tensor<1x1x3x8xf32>
// CHECK-NEXT: return
func.func @constant_masks(%q: tensor<1x1x2x8xf32>, %k: tensor<1x1x3x8xf32>)
    -> (tensor<1x1x2x8xf32>, tensor<1x1x2x8xf32>) {
  %causal = graph.constant dense<[[[[true, true, false], [true, true, true]]]]> : tensor<1x1x2x3xi1>
  %a, %lse = graph.attention %q, %k, %k mask %causal scale 1.0
      : tensor<1x1x2x8xf32>, tensor<1x1x3x8xf32>, tensor<1x1x3x8xf32>, tensor<1x1x2x3xi1>
  %zeros = graph.constant dense<0.0> : tensor<1x1x2x3xf32>
  %b, %lse_b = graph.attention %q, %k, %k mask %zeros scale 1.0
      : tensor<1x1x2x8xf32>, tensor<1x1x3x8xf32>, tensor<1x1x3x8xf32>, tensor<1x1x2x3xf32>
  return %a, %b : tensor<1x1x2x8xf32>, tensor<1x1x2x8xf32>
}

// A large mask that was left unfolded: zeros or -1e38 by a constant triangle, repeated over the batch.
// CHECK-LABEL: @unfolded_mask
// CHECK-NEXT: graph.attention %arg0, %arg0, %arg0 scale 1.000000e+00 causal : tensor<2x1x2x8xf32>
func.func @unfolded_mask(%q: tensor<2x1x2x8xf32>) -> tensor<2x1x2x8xf32> {
  %hidden = graph.constant dense<[[false, true], [false, false]]> : tensor<2x2xi1>
  %wide = graph.broadcast %hidden [2, 3] : tensor<2x2xi1> to tensor<2x1x2x2xi1>
  %zero = graph.constant dense<0.0> : tensor<f32>
  %low = graph.constant dense<-1.0e38> : tensor<f32>
  %mask = graph.select %wide, %low, %zero : tensor<2x1x2x2xi1>, tensor<f32>, tensor<f32>
  %a, %lse = graph.attention %q, %q, %q mask %mask scale 1.0
      : tensor<2x1x2x8xf32>, tensor<2x1x2x8xf32>, tensor<2x1x2x8xf32>, tensor<2x1x2x2xf32>
  return %a : tensor<2x1x2x8xf32>
}

// Three queries for two keys: the first sees none. By booleans that gives 0, as the flag does; by a finite number the
// mean of v, which no flag gives.
// CHECK-LABEL: @hidden_row
// CHECK: %[[M:.*]] = graph.constant {{.*}} : tensor<1x1x3x2xf32>
// CHECK: graph.attention %arg0, %arg1, %arg1 scale 1.000000e+00 causal :
// CHECK: graph.attention %arg0, %arg1, %arg1 mask %[[M]] scale 1.000000e+00 :
func.func @hidden_row(%q: tensor<1x1x3x8xf32>, %k: tensor<1x1x2x8xf32>)
    -> (tensor<1x1x3x8xf32>, tensor<1x1x3x8xf32>) {
  %bools = graph.constant dense<[[[[false, false], [true, false], [true, true]]]]> : tensor<1x1x3x2xi1>
  %numbers = graph.constant dense<[[[[-1.0e38, -1.0e38], [0.0, -1.0e38], [0.0, 0.0]]]]> : tensor<1x1x3x2xf32>
  %a, %lse = graph.attention %q, %k, %k mask %bools scale 1.0
      : tensor<1x1x3x8xf32>, tensor<1x1x2x8xf32>, tensor<1x1x2x8xf32>, tensor<1x1x3x2xi1>
  %b, %lse_b = graph.attention %q, %k, %k mask %numbers scale 1.0
      : tensor<1x1x3x8xf32>, tensor<1x1x2x8xf32>, tensor<1x1x2x8xf32>, tensor<1x1x3x2xf32>
  return %a, %b : tensor<1x1x3x8xf32>, tensor<1x1x3x8xf32>
}

// Neither a sliding window nor a bias of moderate numbers is causal.
// CHECK-LABEL: @other_masks
// CHECK: graph.attention {{.*}} mask %{{.*}} scale 1.000000e+00 :
// CHECK: graph.attention {{.*}} mask %{{.*}} scale 1.000000e+00 :
func.func @other_masks(%q: tensor<1x1x3x8xf32>) -> (tensor<1x1x3x8xf32>, tensor<1x1x3x8xf32>) {
  %window = graph.constant dense<[[[[true, false, false], [true, true, false], [false, true, true]]]]> : tensor<1x1x3x3xi1>
  %bias = graph.constant dense<[[[[0.0, -1.0, -2.0], [-1.0, 0.0, -1.0], [-2.0, -1.0, 0.0]]]]> : tensor<1x1x3x3xf32>
  %a, %lse = graph.attention %q, %q, %q mask %window scale 1.0
      : tensor<1x1x3x8xf32>, tensor<1x1x3x8xf32>, tensor<1x1x3x8xf32>, tensor<1x1x3x3xi1>
  %b, %lse_b = graph.attention %q, %q, %q mask %bias scale 1.0
      : tensor<1x1x3x8xf32>, tensor<1x1x3x8xf32>, tensor<1x1x3x8xf32>, tensor<1x1x3x3xf32>
  return %a, %b : tensor<1x1x3x8xf32>, tensor<1x1x3x8xf32>
}

// Heads that are repeated in front of an attention are shared inside it, if those of keys and values are alike.
// CHECK-LABEL: @repeated_heads
// CHECK-SAME: %[[Q:.*]]: tensor<2x4x3x8xf32>, %[[K:.*]]: tensor<2x2x3x8xf32>, %[[V:.*]]: tensor<2x2x3x8xf32>, %[[W:.*]]: tensor<2x4x3x8xf32>
// CHECK: graph.attention %[[Q]], %[[K]], %[[V]] scale 1.000000e+00 causal : tensor<2x4x3x8xf32>, tensor<2x2x3x8xf32>, tensor<2x2x3x8xf32>
// CHECK: graph.attention %[[Q]], %{{.*}}, %[[W]] scale 1.000000e+00 causal : tensor<2x4x3x8xf32>, tensor<2x4x3x8xf32>, tensor<2x4x3x8xf32>
func.func @repeated_heads(%q: tensor<2x4x3x8xf32>, %k: tensor<2x2x3x8xf32>, %v: tensor<2x2x3x8xf32>, %w: tensor<2x4x3x8xf32>)
    -> (tensor<2x4x3x8xf32>, tensor<2x4x3x8xf32>) {
  %k5 = graph.broadcast %k [0, 1, 3, 4] : tensor<2x2x3x8xf32> to tensor<2x2x2x3x8xf32>
  %v5 = graph.broadcast %v [0, 1, 3, 4] : tensor<2x2x3x8xf32> to tensor<2x2x2x3x8xf32>
  %k4 = graph.reshape %k5 : tensor<2x2x2x3x8xf32> to tensor<2x4x3x8xf32>
  %v4 = graph.reshape %v5 : tensor<2x2x2x3x8xf32> to tensor<2x4x3x8xf32>
  %a, %lse = graph.attention %q, %k4, %v4 scale 1.0 causal : tensor<2x4x3x8xf32>, tensor<2x4x3x8xf32>, tensor<2x4x3x8xf32>
  %b, %lse_b = graph.attention %q, %k4, %w scale 1.0 causal : tensor<2x4x3x8xf32>, tensor<2x4x3x8xf32>, tensor<2x4x3x8xf32>
  return %a, %b : tensor<2x4x3x8xf32>, tensor<2x4x3x8xf32>
}
