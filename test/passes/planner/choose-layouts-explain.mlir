// DEFINE: %{machine} = tflops=0.001 memory-gb-per-s=1000000 tier-sizes=2 tier-latency-us=1 tier-gb-per-s=1
// RUN: ds-opt %s -mlir-print-op-on-diagnostic=false --remarks-filter=search --remark-format=emitRemark \
// RUN:   --choose-layouts='%{machine} why-not=down=[null,["tensor"]],*=[null,null],down=["tensor",null]' 2>&1 >/dev/null | FileCheck %s
// RUN: not ds-opt %s --choose-layouts='why-not=down=[["tensor"]]' 2>&1 | FileCheck %s --check-prefix=LAYOUT
// RUN: not ds-opt %s --choose-layouts='why-not=right=[null]' 2>&1 | FileCheck %s --check-prefix=NAME
// RUN: not ds-opt %s --choose-layouts='why-not=down' 2>&1 | FileCheck %s --check-prefix=READ
// RUN: not ds-opt %s --choose-layouts='why-not=down=["tensr",null]' 2>&1 | FileCheck %s --check-prefix=AXIS
// RUN: ds-opt %s -mlir-print-op-on-diagnostic=false --remarks-filter=search --remark-format=emitRemark \
// RUN:   --choose-layouts='%{machine} objective=traffic why-not=down=["tensor",null],*=[null,null]' 2>&1 >/dev/null | FileCheck %s --check-prefix=TRAFFIC
// RUN: not ds-opt %s --choose-layouts='objective=bytes' 2>&1 | FileCheck %s --check-prefix=OBJECTIVE
// RUN: not ds-opt %s --choose-layouts='tier-sizes=2' 2>&1 | FileCheck %s --check-prefix=TIERS

// Each choice with the next best one, and questions answered by searching again around the other layout. By hand: two
// products of 2 x 64 x 32 x 128 operations take 1,048.58 us, split over two ranks half of that. Split along the rows of x,
// half of the result, 4,096 bytes, is gathered: 1 us + 4.10 us. Split along the hidden size, the result is summed: 8,192
// bytes, 4.10 us more. A weight that lies otherwise than it is read is gathered: 8,192 bytes, 9.19 us.

// CHECK: choose-layouts{{.*}}a micro-batch takes 529.38 us: computing 524.29 us, updates 0.00 us, moves between layouts 5.10 us
// CHECK: up: [{}, {}], 0.00 us with its moves; next best [{}, {"tensor"}] takes 4.10 us (0.77 %) more
// CHECK: down: [{}, {}], 0.00 us with its moves; next best [{"tensor"}, {}] takes 4.10 us (0.77 %) more
// CHECK: linear: [{"tensor"}, {}], [{}, {}] -> [{"tensor"}, {}], 262.14 us with its moves; next best [{}, {}], [{}, {"tensor"}] -> [{}, {"tensor"}] takes 4.10 us (0.77 %) more
// CHECK: linear: [{"tensor"}, {}], [{}, {}] -> [{"tensor"}, {}], 267.24 us with its moves; next best [{}, {"tensor"}], [{"tensor"}, {}] -> [{}, {}], partial = sum {"tensor"} takes 4.10 us (0.77 %) more
// CHECK: remark: why not down=[null,["tensor"]]: a micro-batch would take 9.19 us (1.74 %) more. Chosen: computing 524.29 us, updates 0.00 us, moves between layouts 5.10 us. With it: computing 524.29 us, updates 0.00 us, moves between layouts 14.29 us
// CHECK: remark: why not *=[null,null]: it costs the same
// CHECK: remark: why not down=["tensor",null]: a micro-batch would take 4.10 us (0.77 %) more
// CHECK: note: up would be [{}, {"tensor"}], not [{}, {}]

// With least traffic nothing is split: nothing is received. With columns of the second weight on each rank, half of the result
// is gathered, 4,096 bytes. Rows of it, or columns of the first, leave sums of 8,192 bytes; to gather the weight takes as
// many, but they share the arithmetic.

// TRAFFIC: choose-layouts{{.*}}a rank receives 0.00 KiB a step and a micro-batch takes 1048.58 us: computing 1048.58 us, updates 0.00 KiB and 0.00 us, moves between layouts 0.00 KiB and 0.00 us
// TRAFFIC: up: [{}, {}], 0.00 KiB and 0.00 us with its moves; next best [{}, {"tensor"}] takes 8.00 KiB a step more
// TRAFFIC: down: [{}, {}], 0.00 KiB and 0.00 us with its moves; next best [{}, {"tensor"}] takes 4.00 KiB a step more
// TRAFFIC: remark: why not down=["tensor",null]: a rank would receive 8.00 KiB a step more. Chosen: computing 1048.58 us, updates 0.00 KiB and 0.00 us, moves between layouts 0.00 KiB and 0.00 us. With it: computing 524.29 us, updates 0.00 KiB and 0.00 us, moves between layouts 8.00 KiB and 9.19 us
// TRAFFIC: remark: why not *=[null,null]: it costs the same
// OBJECTIVE: error: choose-layouts: objective is "bytes"; choose time or traffic

// LAYOUT: error: why not down={{\[\["tensor"\]\]}}: down cannot have this layout with the size that it has; those it can have are {{\[\[\], \[\]\]; \["tensor", \[\]\]; \[\[\], "tensor"\]}}
// NAME: error: why not right=[null]: no parameter has such a name
// READ: error: cannot read the question "down"; ask as in PATTERN={{\[\[\], "tensor"\]}}, with one entry per dimension, or AXIS.MODULE=row
// AXIS: error: why not down=["tensr",null]: "tensr" is no axis that is searched; these are {"tensor"}
// TIERS: error: choose-layouts: tier-sizes, tier-latency-us and tier-gb-per-s need one number per tier each

sharding.mesh @mesh ["tensor" = 2]

func.func @product(%x: tensor<64x32xf32>, %u: tensor<32x128xf32> {graph.parameter = "up"}, %d: tensor<128x32xf32> {graph.parameter = "down"})
    -> tensor<64x32xf32> {
  %0 = graph.linear %x, %u : tensor<64x32xf32>, tensor<32x128xf32>
  %1 = graph.linear %0, %d : tensor<64x128xf32>, tensor<128x32xf32>
  return %1 : tensor<64x32xf32>
}
