// RUN: ds-opt %s --split-input-file --verify-diagnostics --verify-annotated

// The whole is valid: columns then rows, of which the second leaves summands that the next op gets added up.
sharding.mesh @mesh ["data" = 2, "tensor" = 2]
func.func @f(%x: tensor<4x8xf32> {sharding.layout = #sharding.layout<@mesh, [{"data"}, {"tensor"}]>},
             %w: tensor<8x6xf32> {sharding.layout = #sharding.layout<@mesh, [{"tensor"}, {}]>})
    -> (tensor<4x6xf32> {sharding.layout = #sharding.layout<@mesh, [{"data"}, {}]>}) {
  %y = graph.linear %x, %w {sharding.factors = #sharding.factors<[{"data"}, {}, {"tensor"}]>,
                            sharding.layouts = [#sharding.layout<@mesh, [{"data"}, {}], partial = sum {"tensor"}>]}
      : tensor<4x8xf32>, tensor<8x6xf32>
  %z = graph.tanh %y {sharding.factors = #sharding.factors<[{"data"}, {}]>,
                      sharding.layouts = [#sharding.layout<@mesh, [{"data"}, {}]>]} : tensor<4x6xf32>
  return %z : tensor<4x6xf32>
}

// -----

// Without a mesh there is nothing to say.
func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = graph.tanh %x : tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

// 1
sharding.mesh @mesh ["data" = 2]
// expected-error @+2 {{argument 0 of @f has no layout}}
// expected-error @+1 {{result 0 of @f: dimension 0 of size 3 does not split over {"data"}}}
func.func @f(%x: tensor<3xf32>) -> (tensor<3xf32> {sharding.layout = #sharding.layout<@mesh, [{"data"}]>}) {
  return %x : tensor<3xf32>
}

// -----

// 2
sharding.mesh @mesh ["data" = 2]
func.func @f(%x: tensor<4xf32> {sharding.layout = #sharding.layout<@mesh, [{}]>})
    -> (tensor<4xf32> {sharding.layout = #sharding.layout<@mesh, [{}]>}) {
  // expected-error @+1 {{'graph.tanh' has 0 layouts for 1 results}}
  %y = graph.tanh %x : tensor<4xf32>
  // expected-error @+1 {{'graph.exp' has axes for 2 factors; its rule has 1: ([i])->([i]) {i=4}}}
  %z = graph.exp %x {sharding.factors = #sharding.factors<[{}, {}]>, sharding.layouts = [#sharding.layout<@mesh, [{}]>]}
      : tensor<4xf32>
  return %z : tensor<4xf32>
}

// -----

// 3
sharding.mesh @mesh ["a" = 2, "b" = 3]
func.func @f(%x: tensor<4x4xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {}]>})
    -> (tensor<4x4xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {}]>}) {
  // expected-error @+1 {{factor 1 of size 4 is split over {"b"}, which does not divide it}}
  %y = graph.tanh %x {sharding.factors = #sharding.factors<[{}, {"b"}]>, sharding.layouts = [#sharding.layout<@mesh, [{}, {"b"}]>]}
      : tensor<4x4xf32>
  // expected-error @+1 {{factor 1 of size 4 is split over {"a"}, but has to be whole}}
  %s = graph.softmax %x dim 1 {sharding.factors = #sharding.factors<[{}, {"a"}]>, sharding.layouts = [#sharding.layout<@mesh, [{}, {}]>]}
      : tensor<4x4xf32>
  return %y : tensor<4x4xf32>
}

// -----

// 4
sharding.mesh @mesh ["data" = 2]
func.func @f(%x: tensor<4xf32> {sharding.layout = #sharding.layout<@mesh, [{}]>})
    -> (tensor<4xf32> {sharding.layout = #sharding.layout<@mesh, [{}]>}) {
  // expected-error @+1 {{result 0 is declared to lie as #sharding.layout<@mesh, [{}], partial = sum {"data"}>; its factors give #sharding.layout<@mesh, [{"data"}]>, which cannot be moved there}}
  %y = graph.tanh %x {sharding.factors = #sharding.factors<[{"data"}]>, sharding.layouts = [#sharding.layout<@mesh, [{}], partial = sum {"data"}>]}
      : tensor<4xf32>
  return %y : tensor<4xf32>
}
