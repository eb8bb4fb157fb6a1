// RUN: ds-opt %s -verify-diagnostics -split-input-file

// Embedding 1.
func.func @embedding_rank(%table: tensor<7xf32>, %ids: tensor<2xi64>) {
  // expected-error @+1 {{'table' has rank 1; expected rank 2 or more}}
  %r = graph.embedding %table, %ids : tensor<7xf32>, tensor<2xi64>
  return
}

// -----

// Embedding 2.
func.func @embedding_no_offset(%part: tensor<3x5xf32>, %ids: tensor<2xi64>) {
  // expected-error @+1 {{takes 'offset' and 'global_rows' together}}
  %r = graph.embedding %part, %ids {global_rows = 9 : i64} : tensor<3x5xf32>, tensor<2xi64>
  return
}

// -----

// Embedding 2.
func.func @embedding_small(%part: tensor<3x5xf32>, %ids: tensor<2xi64>, %offset: tensor<i64>) {
  // expected-error @+1 {{global_rows is 2, but 'table' has 3 rows}}
  %r = graph.embedding %part, %ids at %offset of 2 : tensor<3x5xf32>, tensor<2xi64>, tensor<i64>
  return
}

// -----

// Embedding gradient 1.
func.func @embedding_grad_rank(%dy: tensor<2xf32>, %ids: tensor<2xi64>) {
  // expected-error @+1 {{'dy' has rank 1; expected more than rank 1 of 'ids'}}
  %r = graph.embedding_grad %dy, %ids rows 7 : tensor<2xf32>, tensor<2xi64>
  return
}

// -----

// Embedding gradient 1.
func.func @embedding_grad_prefix(%dy: tensor<2x3xf32>, %ids: tensor<4xi64>) {
  // expected-error @+1 {{dimension 0 of 'dy' is 2 but dimension 0 of 'ids' is 4}}
  %r = graph.embedding_grad %dy, %ids rows 7 : tensor<2x3xf32>, tensor<4xi64>
  return
}

// -----

// Gather 1.
func.func @gather_rank(%x: tensor<5x4xf32>, %index: tensor<5xi64>) {
  // expected-error @+1 {{'index' has rank 1 but 'x' has rank 2}}
  %r = graph.gather %x, %index dim 1 : tensor<5x4xf32>, tensor<5xi64>
  return
}

// -----

// Gather 1.
func.func @gather_size(%x: tensor<5x4xf32>, %index: tensor<6x2xi64>) {
  // expected-error @+1 {{dimension 0 of 'index' is 6, larger than dimension 0 of 'x', which is 5}}
  %r = graph.gather %x, %index dim 1 : tensor<5x4xf32>, tensor<6x2xi64>
  return
}

// -----

// Gather 2.
func.func @gather_dim(%x: tensor<5x4xf32>, %index: tensor<5x2xi64>) {
  // expected-error @+1 {{dim -1 is not a dimension of 'x', which has rank 2}}
  %r = graph.gather %x, %index dim -1 : tensor<5x4xf32>, tensor<5x2xi64>
  return
}

// -----

// Scatter_add 1.
func.func @scatter_shapes(%u: tensor<5x3xf32>, %index: tensor<5x2xi64>) {
  // expected-error @+1 {{dimension 1 of 'updates' is 3; expected 2 from the shape of index, which is 5x2}}
  %r = graph.scatter_add %u, %index dim 1 : tensor<5x3xf32>, tensor<5x2xi64> to tensor<5x4xf32>
  return
}

// -----

// Scatter_add 2.
func.func @scatter_size(%u: tensor<5x2xf32>, %index: tensor<5x2xi64>) {
  // expected-error @+1 {{dimension 0 of 'index' is 5, larger than dimension 0 of 'result', which is 4}}
  %r = graph.scatter_add %u, %index dim 1 : tensor<5x2xf32>, tensor<5x2xi64> to tensor<4x4xf32>
  return
}
