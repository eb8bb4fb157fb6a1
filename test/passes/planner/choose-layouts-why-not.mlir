// DEFINE: %{machine} = tflops=0.001 memory-gb-per-s=1000000 tier-sizes=2 tier-latency-us=1 tier-gb-per-s=1
// RUN: ds-opt %s -mlir-print-op-on-diagnostic=false \
// RUN:   --choose-layouts='%{machine} why-not=tensor.h.0.mlp=row,mlp=column,h.0=whole,down=row,*.weight=column,mlp.up=column' 2>&1 >/dev/null | FileCheck %s
// RUN: not ds-opt %s --choose-layouts='why-not=lp=row' 2>&1 | FileCheck %s --check-prefix=NAME
// RUN: not ds-opt %s --choose-layouts='why-not="[mlp]{1}=row"' 2>&1 | FileCheck %s --check-prefix=LITERAL
// RUN: not ds-opt %s --choose-layouts='why-not=mlp=rows' 2>&1 | FileCheck %s --check-prefix=WORD

// Questions in Megatron's terms. By hand: two products of 2 x 64 x 32 x 128 operations take 1,048.58 us, split over two ranks
// half of that. Chosen is to split the rows of x and to gather half of the result, 4,096 bytes, 5.10 us. `up` lies as the
// model of Linear stores it, output features first, and is read through a transpose of 4,096 elements, 4.10 us, or 2.05 us if
// it is split.
//
// Megatron's own way, columns of `up` and rows of `down`, sums the result: 8,192 bytes, 4.10 us more for moves and 2.05 us less
// for the transpose. Both by rows, or both by columns: `up` is gathered, half of 16,384 bytes, 9.19 us, less those 2.05 us;
// `down` follows in the other direction or is gathered instead.

// CHECK: remark: why not tensor.h.0.mlp=row: a micro-batch would take 7.14 us (1.34 %) more
// CHECK: remark: why not mlp=column: a micro-batch would take 7.14 us (1.34 %) more
// CHECK: remark: why not h.0=whole: it costs the same
// CHECK: remark: why not down=row: a micro-batch would take 2.05 us (0.38 %) more
// CHECK: note: h.0.mlp.up.weight would be [{"tensor"}, {}], not [{}, {}]
// CHECK: remark: why not *.weight=column: a micro-batch would take 7.14 us (1.34 %) more
// CHECK: remark: why not mlp.up=column: a micro-batch would take 2.05 us (0.38 %) more
// CHECK: note: h.0.mlp.down.weight would be [{"tensor"}, {}], not [{}, {}]

// A name is a part of the path between dots; brackets are characters like any other.

// NAME: error: why not lp=row: no parameter has such a name
// LITERAL: error: why not [mlp]{1}=row: no parameter has such a name
// WORD: error: cannot read the question "mlp=rows"

sharding.mesh @mesh ["tensor" = 2]

func.func @product(%x: tensor<64x32xf32>, %u: tensor<128x32xf32> {graph.parameter = "h.0.mlp.up.weight"},
                   %d: tensor<128x32xf32> {graph.parameter = "h.0.mlp.down.weight"}) -> tensor<64x32xf32> {
  %t = graph.transpose %u [1, 0] : tensor<128x32xf32>
  %0 = graph.linear %x, %t : tensor<64x32xf32>, tensor<32x128xf32>
  %1 = graph.linear %0, %d : tensor<64x128xf32>, tensor<128x32xf32>
  return %1 : tensor<64x32xf32>
}
