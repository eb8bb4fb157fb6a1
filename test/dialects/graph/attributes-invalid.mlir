// RUN: ds-opt %s -verify-diagnostics -split-input-file

// expected-error @+1 {{graph.parameter of argument 0: on a value of type 'tensor<3xi64>'; expected a tensor of floats}}
func.func @parameter_type(%x: tensor<3xi64> {graph.parameter = "w"}) {
  return
}

// -----

// expected-error @+1 {{graph.parameter of argument 0: 1 : i64; expected a name as a string}}
func.func @parameter_kind(%x: tensor<3xf32> {graph.parameter = 1}) {
  return
}

// -----

// expected-error @+1 {{graph.storage of argument 0: has 1 strides for a value of type 'tensor<3x2xf32>'}}
func.func @storage(%x: tensor<3x2xf32> {graph.storage = #graph.storage<file = "m.pt", offset = 0, element_type = f32, strides = [1]>}) {
  return
}

// -----

// expected-error @+1 {{graph.aliases of argument 0: "b"; expected an array of strings}}
func.func @aliases(%x: tensor<3xf32> {graph.aliases = "b"}) {
  return
}

// -----

// expected-error @+1 {{graph.sequence_dimension of argument 0: 2 is not a dimension of 'tensor<2x3xi64>'}}
func.func @sequence(%x: tensor<2x3xi64> {graph.input = "x", graph.sequence_dimension = 2 : i64}) {
  return
}

// -----

// expected-error @+1 {{graph.sequence_dimension of argument 0: is graph.batch_dimension too}}
func.func @sequence_is_batch(%x: tensor<2x3xi64> {graph.batch_dimension = 0 : i64, graph.input = "x", graph.sequence_dimension = 0 : i64}) {
  return
}

// -----

// expected-error @+1 {{graph.batch_dimension of argument 0: 1 is not a dimension of 'tensor<3xi64>'}}
func.func @batch(%x: tensor<3xi64> {graph.batch_dimension = 1 : i64}) {
  return
}

// -----

// expected-error @+1 {{graph.run_state of argument 0: "learning_rate" on a value of type 'tensor<f32>'; expected 'tensor<f64>'}}
func.func @run_state_type(%x: tensor<f32> {graph.run_state = "learning_rate"}) {
  return
}

// -----

// expected-error @+1 {{graph.run_state of argument 0: "lr"; expected "random_counter", "learning_rate" or "update_step"}}
func.func @run_state_name(%x: tensor<f64> {graph.run_state = "lr"}) {
  return
}

// -----

// expected-error @+1 {{graph.metric of result 0: on a value of type 'tensor<3xf32>'; expected a scalar tensor}}
func.func @metric(%x: tensor<3xf32>) -> (tensor<3xf32> {graph.metric = "norm"}) {
  return %x : tensor<3xf32>
}

// -----

// expected-error @+1 {{graph.state of result 0: "b" names no argument with the same state}}
func.func @state(%x: tensor<3xf32> {graph.state = "a"}) -> (tensor<3xf32> {graph.state = "b"}) {
  return %x : tensor<3xf32>
}

// -----

// expected-error @+1 {{unknown attribute graph.outptu on result; known there: graph.output, graph.gradient}}
func.func @misspelt(%x: tensor<3xf32>) -> (tensor<3xf32> {graph.outptu = "y"}) {
  return %x : tensor<3xf32>
}

// -----

// expected-error @+1 {{graph.accumulation_steps of an op: 0 : i64; expected an i64 of 1 or more}}
module attributes {graph.accumulation_steps = 0 : i64} {}

// -----

func.func @phase(%x: tensor<3xf32>) {
  // expected-error @+1 {{graph.phase of an op: "middle"; expected "forward", "backward" or "update"}}
  %r = graph.neg %x {graph.phase = "middle"} : tensor<3xf32>
  return
}

// -----

func.func @atomic(%x: tensor<3xf32>) {
  // expected-error @+1 {{graph.atomic of an op: unit; expected a unit, on graph.embedding_grad}}
  %r = graph.neg %x {graph.atomic} : tensor<3xf32>
  return
}

// -----

func.func @recompute(%x: tensor<3xf32>) {
  // expected-error @+1 {{graph.recompute of an op: "partial"; expected "full" or "selective"}}
  %r = graph.neg %x {graph.phase = "forward", graph.recompute = "partial"} : tensor<3xf32>
  return
}

// -----

func.func @recompute_backward(%x: tensor<3xf32>) {
  // expected-error @+1 {{graph.recompute of an op: on an op whose graph.phase is not "forward"}}
  %r = graph.neg %x {graph.phase = "backward", graph.recompute = "full"} : tensor<3xf32>
  return
}

// -----

// expected-error @+1 {{graph.member of argument 0: offset 3 of elements of type 'f32' is not a multiple of 64 bytes}}
func.func @member(%x: tensor<3xf32> {graph.member = #graph.member<kind = "parameter", index = 0, offset = 3>}) {
  return
}

// -----

// expected-error @+1 {{graph.index_bound of argument 0: 0; expected 1 or more}}
func.func @index_bound(%x: tensor<2xi64> {graph.input = "x", graph.index_bound = 0 : i64}) {
  return
}

// -----

// expected-error @+1 {{graph.ignored_index of argument 0: on an argument that is no graph.input}}
func.func @ignored_index(%x: tensor<2xi64> {graph.buffer = "x", graph.ignored_index = 0 : i64}) {
  return
}
