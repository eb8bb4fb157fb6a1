// RUN: ds-opt %s --simplify | FileCheck %s

// Attention of a transformer block as an importer leaves it: positions and mask computed, views, products with views.
// CHECK-LABEL: @forward
// CHECK-SAME: %[[WTE:[a-z0-9_]+]]: tensor<32x8xf32>
// CHECK-SAME: %[[WPE:[a-z0-9_]+]]: tensor<4x8xf32>
// CHECK-SAME: %[[W:[a-z0-9_]+]]: tensor<8x24xf32>
// CHECK-SAME: %[[B:[a-z0-9_]+]]: tensor<24xf32>
// CHECK-SAME: %[[IDS:[a-z0-9_]+]]: tensor<2x4xi64>
// CHECK-NEXT: %[[TOKENS:.*]] = graph.embedding %[[WTE]], %[[IDS]]
// CHECK-NEXT: %[[POSITIONS:.*]] = graph.reshape %[[WPE]] : tensor<4x8xf32> to tensor<1x4x8xf32>
// CHECK-NEXT: %[[X:.*]] = graph.add %[[TOKENS]], %[[POSITIONS]]
// CHECK-NEXT: %[[QKV:.*]] = graph.linear %[[X]], %[[W]], %[[B]]
// CHECK-DAG: graph.slice %[[QKV]] [0, 0, 0]
// CHECK-DAG: graph.slice %[[QKV]] [0, 0, 8]
// CHECK-DAG: graph.slice %[[QKV]] [0, 0, 16]
// CHECK-DAG: %[[Q:.*]] = graph.transpose %{{.*}} [0, 2, 1, 3]
// CHECK-DAG: %[[K:.*]] = graph.transpose %{{.*}} [0, 2, 1, 3]
// CHECK-DAG: %[[V:.*]] = graph.transpose %{{.*}} [0, 2, 1, 3]
// CHECK: %[[O:.*]], %{{.*}} = graph.attention %[[Q]], %[[K]], %[[V]] scale 5.000000e-01 causal :
// CHECK-NEXT: %[[T:.*]] = graph.transpose %[[O]] [0, 2, 1, 3]
// CHECK-NEXT: %[[Y:.*]] = graph.reshape %[[T]] : tensor<2x4x2x4xf32> to tensor<2x4x8xf32>
// CHECK-NEXT: return %[[Y]]
func.func @forward(%wte: tensor<32x8xf32> {graph.parameter = "wte"}, %wpe: tensor<4x8xf32> {graph.parameter = "wpe"},
                   %w: tensor<8x24xf32> {graph.parameter = "w"}, %b: tensor<24xf32> {graph.parameter = "b"},
                   %ids: tensor<2x4xi64> {graph.input = "ids", graph.batch_dimension = 0 : i64})
    -> (tensor<2x4x8xf32> {graph.output = "y"}) {
  %tokens = graph.embedding %wte, %ids : tensor<32x8xf32>, tensor<2x4xi64>
  %count = graph.iota 0 : tensor<4xi64>
  %row_ids = graph.reshape %count : tensor<4xi64> to tensor<1x4xi64>
  %positions = graph.embedding %wpe, %row_ids : tensor<4x8xf32>, tensor<1x4xi64>
  %x = graph.add %tokens, %positions : tensor<2x4x8xf32>, tensor<1x4x8xf32>

  %batched_ids = graph.broadcast %row_ids [0, 1] : tensor<1x4xi64> to tensor<2x4xi64>
  %query_ids = graph.reshape %batched_ids : tensor<2x4xi64> to tensor<2x1x4x1xi64>
  %key_ids = graph.reshape %batched_ids : tensor<2x4xi64> to tensor<2x1x1x4xi64>
  %seen = graph.compare "le" %key_ids, %query_ids : tensor<2x1x1x4xi64>, tensor<2x1x4x1xi64>
  %zero = graph.constant dense<0.0> : tensor<f32>
  %low = graph.constant dense<-3.40282347E+38> : tensor<f32>
  %mask = graph.select %seen, %zero, %low : tensor<2x1x4x4xi1>, tensor<f32>, tensor<f32>

  %rows = graph.reshape %x : tensor<2x4x8xf32> to tensor<8x8xf32>
  %product = graph.matmul %rows, %w batch [] x [] contract [1] x [0] : tensor<8x8xf32>, tensor<8x24xf32>
  %biased = graph.add %product, %b : tensor<8x24xf32>, tensor<24xf32>
  %qkv = graph.reshape %biased : tensor<8x24xf32> to tensor<2x4x24xf32>
  %qs = graph.slice %qkv [0, 0, 0] to [2, 4, 8] by [1, 1, 1] : tensor<2x4x24xf32>
  %ks = graph.slice %qkv [0, 0, 8] to [2, 4, 16] by [1, 1, 1] : tensor<2x4x24xf32>
  %vs = graph.slice %qkv [0, 0, 16] to [2, 4, 24] by [1, 1, 1] : tensor<2x4x24xf32>
  %qh = graph.reshape %qs : tensor<2x4x8xf32> to tensor<2x4x2x4xf32>
  %kh = graph.reshape %ks : tensor<2x4x8xf32> to tensor<2x4x2x4xf32>
  %vh = graph.reshape %vs : tensor<2x4x8xf32> to tensor<2x4x2x4xf32>
  %q = graph.transpose %qh [0, 2, 1, 3] : tensor<2x4x2x4xf32>
  %k = graph.transpose %kh [0, 2, 1, 3] : tensor<2x4x2x4xf32>
  %v = graph.transpose %vh [0, 2, 1, 3] : tensor<2x4x2x4xf32>
  %kt = graph.transpose %k [0, 1, 3, 2] : tensor<2x2x4x4xf32>
  %scores = graph.matmul %q, %kt batch [0, 1] x [0, 1] contract [3] x [2] : tensor<2x2x4x4xf32>, tensor<2x2x4x4xf32>
  %two = graph.constant dense<2.0> : tensor<f32>
  %scaled = graph.div %scores, %two : tensor<2x2x4x4xf32>, tensor<f32>
  %masked = graph.add %scaled, %mask : tensor<2x2x4x4xf32>, tensor<2x1x4x4xf32>
  %p = graph.softmax %masked dim 3 : tensor<2x2x4x4xf32>
  %o = graph.matmul %p, %v batch [0, 1] x [0, 1] contract [3] x [2] : tensor<2x2x4x4xf32>, tensor<2x2x4x4xf32>
  %ot = graph.transpose %o [0, 2, 1, 3] : tensor<2x2x4x4xf32>
  %y = graph.reshape %ot : tensor<2x4x2x4xf32> to tensor<2x4x8xf32>
  return %y : tensor<2x4x8xf32>
}
