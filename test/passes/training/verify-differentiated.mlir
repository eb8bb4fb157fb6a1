// RUN: ds-opt %s --split-input-file --verify-diagnostics --verify-differentiated

// The whole is valid.
func.func @micro_batch(
    %w: tensor<4xf32> {graph.parameter = "w", graph.member = #graph.member<kind = "parameter", index = 0, offset = 0>},
    %l: tensor<f32> {graph.state = "loss"})
    -> (tensor<f32> {graph.metric = "loss", graph.state = "loss"},
        tensor<4xf32> {graph.gradient = "w", graph.member = #graph.member<kind = "gradient", index = 0, offset = 0>}) {
  %c = graph.constant dense<1.0> : tensor<4xf32>
  %0 = graph.reduce_sum %w dims [0] {graph.phase = "forward"} : tensor<4xf32>
  %1 = graph.add %l, %0 {graph.phase = "backward"} : tensor<f32>, tensor<f32>
  return %1, %c : tensor<f32>, tensor<4xf32>
}

// -----

// 1
func.func @micro_batch(%x: tensor<4xf32> {graph.input = "x"}) {
  // expected-error @+1 {{'graph.exp' is in phase ''; expected forward, backward or update}}
  %0 = graph.exp %x : tensor<4xf32>
  return
}

// -----

// 2
// expected-error @+1 {{@micro_batch mixes ops of phase update with ops of other phases}}
func.func @micro_batch(%x: tensor<4xf32> {graph.input = "x"}) {
  %0 = graph.exp %x {graph.phase = "backward"} : tensor<4xf32>
  // expected-error @+1 {{a forward op reads the result of a backward op, 'graph.exp'}}
  %1 = graph.log %0 {graph.phase = "forward"} : tensor<4xf32>
  %2 = graph.log %1 {graph.phase = "update"} : tensor<4xf32>
  return
}

// -----

// 3
// expected-error @+4 {{the gradient of 'a' is of 'tensor<2xf32>'; expected 'tensor<f32>', the type of the parameter or of its master}}
// expected-error @+3 {{a gradient names parameter 'z', which is no argument}}
// expected-error @+2 {{parameter 'b' has 0 gradients; expected one}}
// expected-error @+1 {{parameter 'c' has 2 gradients; expected one}}
func.func @micro_batch(%a: tensor<f32> {graph.parameter = "a"}, %b: tensor<2xf32> {graph.parameter = "b"},
                       %c: tensor<f32> {graph.parameter = "c"})
    -> (tensor<2xf32> {graph.gradient = "a"}, tensor<f32> {graph.gradient = "c"}, tensor<f32> {graph.gradient = "c"},
        tensor<f32> {graph.gradient = "z"}, tensor<f32> {graph.metric = "loss"}) {
  return %b, %c, %c, %a, %a : tensor<2xf32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>
}

// -----

// 4
// expected-error @+1 {{@micro_batch has 0 results marked 'graph.metric' = "loss"; expected one}}
func.func @micro_batch(%a: tensor<f32> {graph.parameter = "a"}) -> (tensor<f32> {graph.gradient = "a"}) {
  return %a : tensor<f32>
}

// -----

// 5
// expected-error @+1 {{state 'cache' marks 1 arguments and 0 results; expected one of each}}
func.func @micro_batch(%a: tensor<f32> {graph.state = "cache"}) {
  return
}

// -----

// 6, 7
// expected-error @+2 {{members of bucket parameter 0 overlap: elements 0 to 20 and 16 to 20}}
// expected-error @+1 {{parameter 'b' and its gradient lie at different places of their buckets}}
func.func @micro_batch(
    %a: tensor<20xf32> {graph.parameter = "a", graph.member = #graph.member<kind = "parameter", index = 0, offset = 0>},
    %b: tensor<4xf32> {graph.parameter = "b", graph.member = #graph.member<kind = "parameter", index = 0, offset = 16>},
    %l: tensor<f32> {graph.input = "x"})
    -> (tensor<f32> {graph.metric = "loss"},
        tensor<20xf32> {graph.gradient = "a", graph.member = #graph.member<kind = "gradient", index = 0, offset = 0>},
        tensor<4xf32> {graph.gradient = "b", graph.member = #graph.member<kind = "gradient", index = 0, offset = 32>}) {
  return %l, %a, %b : tensor<f32>, tensor<20xf32>, tensor<4xf32>
}
