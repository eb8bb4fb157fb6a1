// RUN: ds-opt %s -verify-diagnostics --choose-layouts

// Heads that do not divide are refused by the search as by propagation, once for all that are alike.

module attributes {sharding.attention = "ulysses"} {
  sharding.mesh @mesh ["context" = 2, "tensor" = 2]

  func.func @refused(%q: tensor<2x6x8x16xf32> {graph.input = "q", sharding.layout = #sharding.layout<@mesh, [{}, {}, {"context"}, {}]>},
                     %k: tensor<2x3x8x16xf32> {graph.input = "k", sharding.layout = #sharding.layout<@mesh, [{}, {}, {"context"}, {}]>})
      -> (tensor<2x6x8x16xf32>, tensor<2x6x8x16xf32>) {
    // expected-error @below {{3 key/value heads do not split over {"context"} of size 2 as deepshard.attention "ulysses" asks}}
    %o, %l = graph.attention %q, %k, %k scale 0.25 causal : tensor<2x6x8x16xf32>, tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
    %p, %m = graph.attention %o, %k, %k scale 0.25 causal : tensor<2x6x8x16xf32>, tensor<2x3x8x16xf32>, tensor<2x3x8x16xf32>
    return %o, %p : tensor<2x6x8x16xf32>, tensor<2x6x8x16xf32>
  }
}
