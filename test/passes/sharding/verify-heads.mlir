// RUN: ds-opt %s -split-input-file -verify-diagnostics --pass-pipeline='builtin.module(func.func(verify-heads))'

// A fused projection of 3 heads for each of queries, keys and values; its 18 columns divide. Layers that are alike are
// reported once.

sharding.mesh @mesh ["tensor" = 2]

func.func @fused(%x: tensor<1x4x6xf32>, %w: tensor<6x18xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {"tensor"}]>}) -> (tensor<1x3x4x2xf32>, tensor<1x3x4x2xf32>) {
  %0 = graph.linear %x, %w : tensor<1x4x6xf32>, tensor<6x18xf32>
  %q = graph.slice %0 [0, 0, 0] to [1, 4, 6] by [1, 1, 1] : tensor<1x4x18xf32>
  %k = graph.slice %0 [0, 0, 6] to [1, 4, 12] by [1, 1, 1] : tensor<1x4x18xf32>
  %v = graph.slice %0 [0, 0, 12] to [1, 4, 18] by [1, 1, 1] : tensor<1x4x18xf32>
  %q1 = graph.reshape %q : tensor<1x4x6xf32> to tensor<1x4x3x2xf32>
  %k1 = graph.reshape %k : tensor<1x4x6xf32> to tensor<1x4x3x2xf32>
  %v1 = graph.reshape %v : tensor<1x4x6xf32> to tensor<1x4x3x2xf32>
  %q2 = graph.transpose %q1 [0, 2, 1, 3] : tensor<1x4x3x2xf32>
  %k2 = graph.transpose %k1 [0, 2, 1, 3] : tensor<1x4x3x2xf32>
  %v2 = graph.transpose %v1 [0, 2, 1, 3] : tensor<1x4x3x2xf32>
  // expected-error @+1 {{3 heads do not split over {"tensor"} of size 2; choose a size that divides them: 1, 3}}
  %o, %l = graph.attention %q2, %k2, %v2 scale 1.0 : tensor<1x3x4x2xf32>, tensor<1x3x4x2xf32>, tensor<1x3x4x2xf32>
  %p, %m = graph.attention %k2, %q2, %v2 scale 1.0 : tensor<1x3x4x2xf32>, tensor<1x3x4x2xf32>, tensor<1x3x4x2xf32>
  return %o, %p : tensor<1x3x4x2xf32>, tensor<1x3x4x2xf32>
}

// -----

// 4 heads of queries divide, 2 of keys, rotated and repeated, do not. Values are not pinned.

sharding.mesh @mesh ["tensor" = 4]

func.func @grouped(%x: tensor<1x4x8xf32>, %c: tensor<4x2xf32>,
                   %wq: tensor<8x8xf32> {sharding.layout = #sharding.layout<@mesh, [{"tensor"}, {}]>},
                   %wk: tensor<4x8xf32> {sharding.layout = #sharding.layout<@mesh, [{"tensor"}, {}]>},
                   %wv: tensor<8x8xf32>) -> tensor<1x4x4x2xf32> {
  %q = graph.linear %x, %wq transpose_weight : tensor<1x4x8xf32>, tensor<8x8xf32>
  %k = graph.linear %x, %wk transpose_weight : tensor<1x4x8xf32>, tensor<4x8xf32>
  %v = graph.linear %x, %wv transpose_weight : tensor<1x4x8xf32>, tensor<8x8xf32>
  %q1 = graph.reshape %q : tensor<1x4x8xf32> to tensor<1x4x4x2xf32>
  %k1 = graph.reshape %k : tensor<1x4x4xf32> to tensor<1x4x2x2xf32>
  %v1 = graph.reshape %v : tensor<1x4x8xf32> to tensor<1x4x4x2xf32>
  %q2 = graph.transpose %q1 [0, 2, 1, 3] : tensor<1x4x4x2xf32>
  %k2 = graph.transpose %k1 [0, 2, 1, 3] : tensor<1x4x2x2xf32>
  %v2 = graph.transpose %v1 [0, 2, 1, 3] : tensor<1x4x4x2xf32>
  %k3 = graph.mul %k2, %c : tensor<1x2x4x2xf32>, tensor<4x2xf32>
  %k4 = graph.concat %k3, %k3 dim 1 : tensor<1x2x4x2xf32>, tensor<1x2x4x2xf32>
  // expected-error @+1 {{4 heads with 2 key/value heads do not split over {"tensor"} of size 4; choose a size that divides them: 1, 2}}
  %o, %l = graph.attention %q2, %k4, %v2 scale 1.0 : tensor<1x4x4x2xf32>, tensor<1x4x4x2xf32>, tensor<1x4x4x2xf32>
  return %o : tensor<1x4x4x2xf32>
}

// -----

// Two ranks divide both, and rows of a projection are no heads.

sharding.mesh @mesh ["tensor" = 2]

func.func @divides(%x: tensor<1x4x6xf32>, %w: tensor<6x6xf32> {sharding.layout = #sharding.layout<@mesh, [{"tensor"}, {}]>},
                   %u: tensor<6x4xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {"tensor"}]>}) -> (tensor<1x3x4x2xf32>, tensor<1x2x4x2xf32>) {
  %0 = graph.linear %x, %w : tensor<1x4x6xf32>, tensor<6x6xf32>
  %1 = graph.reshape %0 : tensor<1x4x6xf32> to tensor<1x4x3x2xf32>
  %2 = graph.transpose %1 [0, 2, 1, 3] : tensor<1x4x3x2xf32>
  %o, %l = graph.attention %2, %2, %2 scale 1.0 : tensor<1x3x4x2xf32>, tensor<1x3x4x2xf32>, tensor<1x3x4x2xf32>
  %3 = graph.linear %x, %u : tensor<1x4x6xf32>, tensor<6x4xf32>
  %4 = graph.reshape %3 : tensor<1x4x4xf32> to tensor<1x4x2x2xf32>
  %5 = graph.transpose %4 [0, 2, 1, 3] : tensor<1x4x2x2xf32>
  %p, %m = graph.attention %5, %5, %5 scale 1.0 : tensor<1x2x4x2xf32>, tensor<1x2x4x2xf32>, tensor<1x2x4x2xf32>
  return %o, %p : tensor<1x3x4x2xf32>, tensor<1x2x4x2xf32>
}
