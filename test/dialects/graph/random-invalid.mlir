// RUN: ds-opt %s -verify-diagnostics -split-input-file

// Dropout 1.
func.func @p(%x: tensor<2x3xf32>, %counter: tensor<3xi64>) {
  // expected-error @+1 {{expected 0 <= p < 1}}
  %y = graph.dropout %x, %counter p 1.0 id 7 : tensor<2x3xf32>, tensor<3xi64>
  return
}

// -----

func.func @counter(%x: tensor<2x3xf32>, %counter: tensor<2xi64>) {
  // expected-error @+1 {{operand #1 must be random counter tensor<3xi64>, but got 'tensor<2xi64>'}}
  %y = graph.dropout %x, %counter p 0.1 id 7 : tensor<2x3xf32>, tensor<2xi64>
  return
}
