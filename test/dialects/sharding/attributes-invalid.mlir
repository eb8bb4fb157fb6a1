// RUN: ds-opt %s -verify-diagnostics -split-input-file

// AxisRef 1.
// expected-error @+1 {{expects an axis with a name}}
func.func @axis_no_name(%x: tensor<8x4xf32> {sharding.layout = #sharding.layout<@mesh, [{""}, {}]>}) {
  return
}

// -----

// AxisRef 2.
// expected-error @+1 {{sub-axis of "data" has pre-size 0 and size 2; expected at least 1 and 2}}
func.func @axis_pre_size(%x: tensor<8x4xf32> {sharding.layout = #sharding.layout<@mesh, [{"data":(0)2}, {}]>}) {
  return
}

// -----

// AxisRef 2.
// expected-error @+1 {{sub-axis of "data" has pre-size 2 and size 1; expected at least 1 and 2}}
func.func @axis_size(%x: tensor<8x4xf32> {sharding.layout = #sharding.layout<@mesh, [{"data":(2)1}, {}]>}) {
  return
}

// -----

// AxisList 1.
// expected-error @+1 {{axes "data" and "data" overlap}}
func.func @axes_twice(%x: tensor<8x4xf32> {sharding.layout = #sharding.layout<@mesh, [{"data", "data"}, {}]>}) {
  return
}

// -----

// AxisList 1.
// expected-error @+1 {{axes "data":(1)2 and "data":(3)2 overlap}}
func.func @axes_nest(%x: tensor<8x4xf32> {sharding.layout = #sharding.layout<@mesh, [{"data":(1)2, "data":(3)2}, {}]>}) {
  return
}

// -----

// AxisList 2.
// expected-error @+1 {{"data":(1)2 and "data":(2)2 are one sub-axis; write "data":(1)4}}
func.func @axes_one(%x: tensor<8x4xf32> {sharding.layout = #sharding.layout<@mesh, [{"data":(1)2, "data":(2)2}, {}]>}) {
  return
}

// -----

// Mesh 1.
// expected-error @+1 {{axis 1 has no name}}
sharding.mesh @mesh ["data" = 4, "" = 2]

// -----

// Mesh 1.
// expected-error @+1 {{names axis "data" twice}}
sharding.mesh @mesh ["data" = 4, "data" = 2]

// -----

// Mesh 2.
// expected-error @+1 {{axis "data" has size 0; expected at least 1}}
sharding.mesh @mesh ["data" = 0]

// -----

// Group 1.
func.func @group_empty(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{a group of ranks of mesh @mesh needs at least one axis, got {}}}
  %r = sharding.all_reduce sum %x over @mesh {} : tensor<8x4xf32>
  return
}

// -----

// Partial 1.
// expected-error @+1 {{partial sum needs at least one axis, got {}}}
func.func @partial_empty(%x: tensor<8x4xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {}], partial = sum {}>}) {
  return
}

// -----

// Partial 2.
// expected-error @+1 {{partial sum is reduced in 'i32'; expected a float}}
func.func @partial_type(%x: tensor<8x4xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {}], partial = sum {"data"} in i32>}) {
  return
}

// -----

// Partial: its kinds.
// expected-error @+1 {{expected sum, max or min, got mean}}
func.func @partial_kind(%x: tensor<8x4xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {}], partial = mean {"data"}>}) {
  return
}

// -----

// Layout: its memories.
// expected-error @+1 {{expected device, host or disk, got tape}}
func.func @memory(%x: tensor<8x4xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {}], memory = tape>}) {
  return
}

// -----

// Layout 1.
// expected-error @+1 {{axes "data" and "data":(2)2 overlap}}
func.func @layout_twice(%x: tensor<8x4xf32> {sharding.layout = #sharding.layout<@mesh, [{"data"}, {"data":(2)2}]>}) {
  return
}

// -----

// Layout 1.
// expected-error @+1 {{axes "tensor" and "tensor" overlap}}
func.func @layout_partial(%x: tensor<8x4xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {"tensor"}], partial = sum {"tensor"}>}) {
  return
}

// -----

// Factors 1.
func.func @factors_twice(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{axes "data" and "data" overlap}}
  %r = graph.tanh %x {sharding.factors = #sharding.factors<[{"data"}, {"data"}]>} : tensor<8x4xf32>
  return
}

// -----

// Attributes 1.
// expected-error @+1 {{sharding.layout of argument 0: @mesh is no sharding.mesh of the module}}
func.func @no_mesh(%x: tensor<8x4xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {}]>}) {
  return
}

// -----

// Attributes 1.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
// expected-error @+1 {{sharding.layout of argument 0: names axis "pipe", but the axes of the mesh are "data", "tensor"}}
func.func @no_axis(%x: tensor<8x4xf32> {sharding.layout = #sharding.layout<@mesh, [{"pipe"}, {}]>}) {
  return
}

// -----

// Attributes 2.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
// expected-error @+1 {{sharding.layout of argument 0: axis "data" of size 4 has no sub-axis "data":(2)4: 8 does not divide 4}}
func.func @no_sub_axis(%x: tensor<8x4xf32> {sharding.layout = #sharding.layout<@mesh, [{"data":(2)4}, {}]>}) {
  return
}

// -----

// Attributes 2.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
// expected-error @+1 {{sharding.layout of argument 0: "data":(1)4 is all of axis "data" of size 4; write "data"}}
func.func @whole_sub_axis(%x: tensor<8x4xf32> {sharding.layout = #sharding.layout<@mesh, [{"data":(1)4}, {}]>}) {
  return
}

// -----

// Attributes 3.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
// expected-error @+1 {{sharding.layout of argument 0: partial axis "data" follows "tensor", which the mesh has after it}}
func.func @partial_order(%x: tensor<8x4xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {}], partial = sum {"tensor", "data"}>}) {
  return
}

// -----

// Attributes 4.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
// expected-error @+1 {{sharding.layout of argument 0: has 2 dimensions but the value has type 'tensor<8xf32>'}}
func.func @dimensions(%x: tensor<8xf32> {sharding.layout = #sharding.layout<@mesh, [{}, {}]>}) {
  return
}

// -----

// Attributes 4, on a result.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
// expected-error @+1 {{sharding.layout of result 0: has 1 dimensions but the value has type 'tensor<8x4xf32>'}}
func.func @result(%x: tensor<8x4xf32>) -> (tensor<8x4xf32> {sharding.layout = #sharding.layout<@mesh, [{}]>}) {
  return %x : tensor<8x4xf32>
}

// -----

// Attributes 4, on an op.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @op_layout(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{sharding.layouts of result 0: has 1 dimensions but the value has type 'tensor<8x4xf32>'}}
  %r = graph.tanh %x {sharding.layouts = [#sharding.layout<@mesh, [{}]>]} : tensor<8x4xf32>
  return
}

// -----

// Attributes 5.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @layouts(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{sharding.layouts []; expected an array of 1 layouts, one per result}}
  %r = graph.tanh %x {sharding.layouts = []} : tensor<8x4xf32>
  return
}

// -----

// Attributes 6.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @factors_axis(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{sharding.factors: names axis "pipe", but the axes of the mesh are "data", "tensor"}}
  %r = graph.tanh %x {sharding.factors = #sharding.factors<[{"pipe"}]>} : tensor<8x4xf32>
  return
}

// -----

// Attributes 6.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
sharding.mesh @other ["tensor" = 2]
func.func @factors_mesh(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{sharding.factors: expects one sharding.mesh in the module}}
  %r = graph.tanh %x {sharding.factors = #sharding.factors<[{}]>} : tensor<8x4xf32>
  return
}

// -----

// Attributes: their kinds and places.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
// expected-error @+1 {{sharding.layout of argument 0: 1 : i64; expected #sharding.layout<...>}}
func.func @kind(%x: tensor<8x4xf32> {sharding.layout = 1 : i64}) {
  return
}

// -----

// Attributes: their kinds and places.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @factors_kind(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{sharding.factors: 1 : i64; expected #sharding.factors<...>}}
  %r = graph.tanh %x {sharding.factors = 1 : i64} : tensor<8x4xf32>
  return
}

// -----

// Attributes: their kinds and places.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @unknown_op(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{unknown attribute sharding.layout on an op; known there: sharding.layouts, sharding.factors}}
  %r = graph.tanh %x {sharding.layout = 1} : tensor<8x4xf32>
  return
}

// -----

// Attributes: their kinds and places.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
// expected-error @+1 {{unknown attribute sharding.lay on argument 0; known there: sharding.layout}}
func.func @unknown(%x: tensor<8x4xf32> {sharding.lay = 1}) {
  return
}
