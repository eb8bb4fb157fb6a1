// RUN: ds-opt %s --split-input-file --verify-diagnostics --verify-partitioned

// The whole is valid.
sharding.mesh @mesh ["data" = 2]
func.func @micro_batch(%x: tensor<4xf32> {graph.input = "x", sharding.layout = #sharding.layout<@mesh, [{"data"}]>},
                       %l: tensor<f32> {graph.state = "loss", sharding.layout = #sharding.layout<@mesh, []>})
    -> (tensor<f32> {graph.metric = "loss", graph.state = "loss", sharding.layout = #sharding.layout<@mesh, []>},
        tensor<4xf32> {graph.bucket = #graph.bucket<kind = "gradient", index = 0>}) {
  %0 = graph.reduce_sum %x dims [0] : tensor<4xf32>
  %1 = sharding.all_reduce sum %0 over @mesh {"data"} : tensor<f32>
  %2 = graph.add %l, %1 : tensor<f32>, tensor<f32>
  return %2, %x : tensor<f32>, tensor<4xf32>
}
func.func @update(%g: tensor<4xf32> {graph.bucket = #graph.bucket<kind = "gradient", index = 0>}) {
  return
}

// -----

// 1
sharding.mesh @mesh ["data" = 2]
func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'graph.tanh' still has 'sharding.factors'}}
  %y = graph.tanh %x {sharding.factors = #sharding.factors<[{}]>} : tensor<4xf32>
  // expected-error @+1 {{'graph.exp' still has 'sharding.layouts'}}
  %z = graph.exp %y {sharding.layouts = [#sharding.layout<@mesh, [{}]>]} : tensor<4xf32>
  // expected-error @+1 {{'graph.neg' still has 'graph.recompute'}}
  %n = graph.neg %y {graph.phase = "forward", graph.recompute = "full"} : tensor<4xf32>
  // expected-error @+1 {{'sharding.constraint' is left; partition replaces it by collectives}}
  %c = sharding.constraint %z : tensor<4xf32> to <@mesh, [{"data"}]>
  return %c : tensor<4xf32>
}

// -----

// 2, 3
sharding.mesh @mesh ["data" = 2]
// expected-error @+2 {{metric 'loss' lies as #sharding.layout<@mesh, [], partial = sum {"data"}>; expected it whole on every rank}}
// expected-error @+1 {{state loss is tensor<f32> of #sharding.layout<@mesh, []> in one place and tensor<f32> of #sharding.layout<@mesh, [], partial = sum {"data"}> in another}}
func.func @micro_batch(%l: tensor<f32> {graph.state = "loss", sharding.layout = #sharding.layout<@mesh, []>})
    -> (tensor<f32> {graph.metric = "loss", graph.state = "loss",
                     sharding.layout = #sharding.layout<@mesh, [], partial = sum {"data"}>}) {
  return %l : tensor<f32>
}

// -----

// 4
sharding.mesh @mesh ["data" = 2]
func.func @micro_batch(%x: tensor<4xf32> {graph.input = "x"})
    -> (tensor<4xf32> {graph.bucket = #graph.bucket<kind = "gradient", index = 0>}) {
  return %x : tensor<4xf32>
}
// expected-error @+1 {{bucket gradient.0 is tensor<4xf32> in one place and tensor<2xf32> in another}}
func.func @update(%g: tensor<2xf32> {graph.bucket = #graph.bucket<kind = "gradient", index = 0>}) {
  return
}
