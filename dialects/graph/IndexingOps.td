//===- IndexingOps.td - elements chosen by other elements -----------------------------*- tablegen -*-===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_INDEXINGOPS
#define DEEPSHARD_DIALECTS_GRAPH_INDEXINGOPS

include "dialects/graph/GraphDialect.td"

def Graph_EmbeddingOp : Graph_Primitive<"embedding", [InferTypeOpAdaptor, Graph_DefaultCost, Graph_Differentiable,
                                                      Graph_OwnPartition]> {
  let summary = "Rows of `table` chosen by `ids`";
  let description = [{
    The result has the shape of `ids` followed by the dimensions of a row. An id outside the table gives a row of NaN.

    With `offset` the table is a part of one of `global_rows` rows, from row `offset` on: an id of a row that is not in
    this part gives a row of zeros, so that the sum over the parts is the embedding in the whole table.

    Constraints:
    1. `table` has rank 2 or more
    2. `offset` and `global_rows` are given together; `global_rows` is at least the number of rows of `table`

    ```mlir
    %r = graph.embedding %part, %ids at %offset of 50258 : tensor<25129x768xf32>, tensor<2x8xi64>, tensor<i64>
    ```
  }];
  let arguments = (ins Graph_Tensor:$table, Graph_Index:$ids, Optional<Graph_Scalar<I64>>:$offset,
                       OptionalAttr<I64Attr>:$global_rows);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = [{
    $table `,` $ids (`at` $offset^ `of` $global_rows)? attr-dict
    `:` type($table) `,` type($ids) (`,` type($offset)^)?
  }];
  let builders = [OpBuilder<(ins "::mlir::Value":$table, "::mlir::Value":$ids)>];
  let hasVerifier = 1;
}

def Graph_EmbeddingGradOp : Graph_Primitive<"embedding_grad", [InferTypeOpAdaptor, Graph_DefaultCost, Graph_OwnPartition]> {
  let summary = "Adds rows of `dy` at `ids` into a table of `rows` zero rows";
  let description = [{
    Rows of equal id are added in ascending position; an id outside the table adds nothing. With `offset` the result is
    a part of a larger table, from row `offset` on.

    Constraints:
    1. the shape of `ids` is a prefix of the shape of `dy`, one or more dimensions shorter
  }];
  let arguments = (ins Graph_Float:$dy, Graph_Index:$ids, Optional<Graph_Scalar<I64>>:$offset, I64Attr:$rows);
  let results = (outs Graph_Float:$result);
  let assemblyFormat = [{
    $dy `,` $ids (`at` $offset^)? `rows` $rows attr-dict `:` type($dy) `,` type($ids) (`,` type($offset)^)?
  }];
  let builders = [OpBuilder<(ins "::mlir::Value":$dy, "::mlir::Value":$ids, "int64_t":$rows)>];
}

def Graph_GatherOp : Graph_Primitive<"gather", [InferTypeOpAdaptor, Graph_DefaultCost, Graph_Differentiable,
                                                Graph_OwnRule]> {
  let summary = "Elements of x along `dim` chosen by `index`, as torch.gather";
  let description = [{
    Constraints:
    1. `index` has the rank of `x` and no larger size in every dimension but `dim`
    2. `dim` is a dimension of `x`
  }];
  let arguments = (ins Graph_Tensor:$x, Graph_Index:$index, I64Attr:$dim);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$x `,` $index `dim` $dim attr-dict `:` type($x) `,` type($index)";
}

def Graph_ScatterAddOp : Graph_Primitive<"scatter_add", [Graph_DefaultCost, Graph_OwnRule]> {
  let summary = "Adds `updates` at `index` along `dim` into zeros: the adjoint of gather";
  let description = [{
    Constraints:
    1. `updates` and `index` have one shape, of the result's rank
    2. the result is at least as large as `index` in every dimension but `dim`
  }];
  let arguments = (ins Graph_Float:$updates, Graph_Index:$index, I64Attr:$dim);
  let results = (outs Graph_Float:$result);
  let assemblyFormat = "$updates `,` $index `dim` $dim attr-dict `:` type($updates) `,` type($index) `to` type($result)";
  let hasVerifier = 1;
}

#endif // DEEPSHARD_DIALECTS_GRAPH_INDEXINGOPS
