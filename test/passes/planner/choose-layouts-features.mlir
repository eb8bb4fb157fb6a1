// RUN: not ds-opt %s --choose-layouts='why-not=table=row' 2>&1 | FileCheck %s --check-prefix=TABLE
// RUN: not ds-opt %s --choose-layouts='why-not=wide.weight=column' 2>&1 | FileCheck %s --check-prefix=WEIGHT
// RUN: not ds-opt %s --choose-layouts='why-not=wide.bias=column' 2>&1 | FileCheck %s --check-prefix=BIAS
// RUN: not ds-opt %s --choose-layouts='why-not=wide.bias=row' 2>&1 | FileCheck %s --check-prefix=BIAS-ROW
// RUN: not ds-opt %s --choose-layouts='why-not=scale=row' 2>&1 | FileCheck %s --check-prefix=SCALE
// RUN: not ds-opt %s --choose-layouts='why-not=scale=column' 2>&1 | FileCheck %s --check-prefix=SCALE
// RUN: not ds-opt %s --choose-layouts='why-not=head=row' 2>&1 | FileCheck %s --check-prefix=ALIAS

// Which dimensions are input and output features. Those that do not divide tell which one was meant: the rows of a table are its
// indices; a weight that is stored output features first is read through a transpose; a bias has output features alone, a scale
// those of what it multiplies and none of its own. A parameter that has several names answers to all of them.

// TABLE: error: why not table=row: table cannot have this layout with the size that it has; those it can have are {{\[\[\], \[\]\]; \[\[\], "tensor"\]$}}
// ALIAS: error: why not head=row: table cannot have this layout
// WEIGHT: error: why not wide.weight=column: wide.weight cannot have this layout with the size that it has; those it can have are {{\[\[\], \[\]\]; \[\[\], "tensor"\]$}}
// BIAS: error: why not wide.bias=column: wide.bias cannot have this layout
// BIAS-ROW: error: why not wide.bias=row: no parameter of that name is a weight with such features
// SCALE: error: why not scale={{row|column}}: no parameter of that name is a weight with such features

sharding.mesh @mesh ["tensor" = 2]

func.func @features(%i: tensor<64xi64>, %t: tensor<63x32xf32> {graph.aliases = ["head.weight"], graph.parameter = "table"}, %s: tensor<32xf32> {graph.parameter = "scale"},
                    %w: tensor<15x32xf32> {graph.parameter = "wide.weight"}, %b: tensor<15xf32> {graph.parameter = "wide.bias"})
    -> tensor<64x15xf32> {
  %x = graph.embedding %t, %i : tensor<63x32xf32>, tensor<64xi64>
  %y = graph.mul %x, %s : tensor<64x32xf32>, tensor<32xf32>
  %v = graph.transpose %w [1, 0] : tensor<15x32xf32>
  %z = graph.linear %y, %v, %b : tensor<64x32xf32>, tensor<32x15xf32>, tensor<15xf32>
  return %z : tensor<64x15xf32>
}
