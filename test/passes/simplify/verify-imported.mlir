// RUN: ds-opt %s --split-input-file --verify-imported --verify-diagnostics | FileCheck %s

// CHECK-LABEL: @forward
// CHECK: graph.linear
func.func @forward(%w: tensor<4x4xf32> {graph.parameter = "w"}, %x: tensor<2x4xf32> {graph.input = "x"})
    -> (tensor<2x4xf32> {graph.output = "y"}) {
  %y = graph.linear %x, %w : tensor<2x4xf32>, tensor<4x4xf32>
  return %y : tensor<2x4xf32>
}

// -----

// Every kind of argument and result.
// CHECK-LABEL: @all_roles
func.func @all_roles(%w: tensor<4xf32> {graph.parameter = "w"}, %b: tensor<4xf32> {graph.buffer = "b", graph.state = "b"},
                     %x: tensor<2x4xf32> {graph.input = "x", graph.batch_dimension = 0 : i64},
                     %c: tensor<3xi64> {graph.run_state = "random_counter"},
                     %lr: tensor<f64> {graph.run_state = "learning_rate"},
                     %t: tensor<i64> {graph.run_state = "update_step"})
    -> (tensor<2x4xf32> {graph.output = "y"}, tensor<4xf32> {graph.state = "b"}) {
  %y = graph.mul %x, %w : tensor<2x4xf32>, tensor<4xf32>
  %next = graph.add %b, %w : tensor<4xf32>, tensor<4xf32>
  return %y, %next : tensor<2x4xf32>, tensor<4xf32>
}

// -----

// expected-error @+1 {{the module holds no function, expected one program, @forward}}
module {}

// -----

// expected-error @+1 {{@forward has no body of one block; a program is a straight line of graph ops}}
func.func private @forward(tensor<4xf32>) -> tensor<4xf32>

// -----

// All faults of a program at once.
// expected-error @+2 {{result 0 of @faulty has no name, expected graph.output = "..."}}
// expected-error @+1 {{result 2 of @faulty and result 1 of @faulty are both called "y"}}
func.func @faulty(
    // expected-error @+1 {{argument 0 of @faulty has no role, expected one of graph.parameter, graph.buffer, graph.input, graph.run_state}}
    %a: tensor<4xf32>,
    // expected-error @+1 {{argument 1 of @faulty has graph.parameter and graph.input, expected one of graph.parameter}}
    %b: tensor<4xf32> {graph.parameter = "b", graph.input = "b"},
    // expected-error @+1 {{argument 2 of @faulty is of type 'tensor<?xf32>', expected a static shape; give the sizes of the model's inputs with --input}}
    %c: tensor<?xf32> {graph.input = "c"},
    %d: tensor<4xf32> {graph.parameter = "w"},
    // expected-error @+1 {{argument 4 of @faulty and argument 3 of @faulty are both called "w"}}
    %e: tensor<4xf32> {graph.buffer = "w"},
    // expected-error @+1 {{graph.batch_dimension stands on argument 5 of @faulty, which is no input}}
    %f: tensor<4xf32> {graph.parameter = "f", graph.batch_dimension = 0 : i64},
    // expected-error @+1 {{argument 6 of @faulty is of type 'index', expected a ranked tensor}}
    %g: index {graph.input = "g"},
    // expected-error @+1 {{graph.sequence_dimension stands on argument 7 of @faulty, which is no input}}
    %h: tensor<4xf32> {graph.parameter = "h", graph.sequence_dimension = 0 : i64})
    -> (tensor<4xf32>, tensor<4xf32> {graph.output = "y"}, tensor<4xf32> {graph.output = "y"}) {
  return %a, %a, %a : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// -----

func.func @foreign_op(%x: tensor<4xf32> {graph.input = "x"}) -> (tensor<4xf32> {graph.output = "y"}) {
  // expected-error @+1 {{'func.call' is no op of the graph dialect, which is all a program may hold}}
  %y = func.call @foreign_op(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}
