// RUN: ds-opt %s -split-input-file --choose-layouts='tflops=1000 memory-gb-per-s=100000 tier-sizes=2 tier-latency-us=0 tier-gb-per-s=1' | FileCheck %s --check-prefixes=CHECK,LINKS
// RUN: ds-opt %s -split-input-file --choose-layouts='tflops=0.001 memory-gb-per-s=100000 tier-sizes=2 tier-latency-us=0 tier-gb-per-s=1000' | FileCheck %s --check-prefixes=CHECK,ARITHMETIC
// RUN: ds-opt %s -split-input-file --remarks-filter=search --remark-format=emitRemark --choose-layouts='tflops=1000 memory-gb-per-s=100000 tier-sizes=2 tier-latency-us=0 tier-gb-per-s=1' 2>&1 >/dev/null | FileCheck %s --check-prefix=SAID

// RUN: not ds-opt %s -split-input-file --choose-layouts='why-not=q=row' 2>&1 | FileCheck %s --check-prefix=WHY

// WHY: error: why not q=row: no mesh axis is free to split parameters

// SAID: attention: keys and values go round; to split heads instead takes {{[0-9.]+}} us ({{[0-9.]+}} %) more
// SAID-NOT: attention:

// Attention over a split sequence. Where links are slow, what is sent decides: the blocks of two key/value heads, once
// round, are less than eight heads of queries and results, there and back. Where arithmetic is, the causal ring loses: its
// last rank works 1.5 times as long as one of two with half of the heads each.

sharding.mesh @mesh ["context" = 2]

// CHECK-LABEL: func.func @grouped
// LINKS: graph.attention
// LINKS-SAME: sharding.factors = #sharding.factors<[{}, {}, {}, {"context"}, {}, {}]>
// ARITHMETIC: graph.attention
// ARITHMETIC-SAME: sharding.factors = #sharding.factors<[{}, {"context"}, {}, {}, {}, {}]>
func.func @grouped(%q: tensor<3x8x64x16xf32> {graph.input = "q", graph.sequence_dimension = 2 : i64, sharding.layout = #sharding.layout<@mesh, [{}, {}, {"context"}, {}]>},
                   %k: tensor<3x2x64x16xf32> {graph.input = "k", graph.sequence_dimension = 2 : i64, sharding.layout = #sharding.layout<@mesh, [{}, {}, {"context"}, {}]>},
                   %v: tensor<3x2x64x16xf32> {graph.input = "v", graph.sequence_dimension = 2 : i64, sharding.layout = #sharding.layout<@mesh, [{}, {}, {"context"}, {}]>})
    -> tensor<3x8x64x16xf32> {
  %o, %l = graph.attention %q, %k, %v scale 0.25 causal : tensor<3x8x64x16xf32>, tensor<3x2x64x16xf32>, tensor<3x2x64x16xf32>
  %e = graph.exp %o : tensor<3x8x64x16xf32>
  return %e : tensor<3x8x64x16xf32>
}

// -----

// What the configuration asks for is not chosen.

module attributes {sharding.attention = "ulysses"} {
  sharding.mesh @mesh ["context" = 2]

  // CHECK-LABEL: func.func @asked
  // CHECK-NOT: sharding.factors
  func.func @asked(%q: tensor<3x8x64x16xf32> {graph.input = "q", graph.sequence_dimension = 2 : i64, sharding.layout = #sharding.layout<@mesh, [{}, {}, {"context"}, {}]>})
      -> tensor<3x8x64x16xf32> {
    %o, %l = graph.attention %q, %q, %q scale 0.25 causal : tensor<3x8x64x16xf32>, tensor<3x8x64x16xf32>, tensor<3x8x64x16xf32>
    return %o : tensor<3x8x64x16xf32>
  }
}
