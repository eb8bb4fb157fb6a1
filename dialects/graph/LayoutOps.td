//===- LayoutOps.td - the same elements in another place -----------------------*- tablegen -*-===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_LAYOUTOPS
#define DEEPSHARD_DIALECTS_GRAPH_LAYOUTOPS

include "mlir/IR/BuiltinAttributeInterfaces.td"
include "dialects/graph/GraphDialect.td"

def Graph_ConstantOp : Graph_Op<"constant", [ConstantLike, AllTypesMatch<["value", "result"]>, Graph_OwnPartition]> {
  let summary = "A tensor known at plan time";
  let description = [{
    Small values and splats are dense, larger ones resources. Weights are never constants.

    Constraints:
    1. `value` is dense or a resource
    2. a resource has data: as many bytes as the elements take, one for each i1
  }];
  let arguments = (ins ElementsAttr:$value);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "attr-dict $value";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Graph_IotaOp : Graph_Primitive<"iota", [Graph_DefaultCost, Graph_OwnPartition]> {
  let summary = "Counts 0, 1, 2, ... along dimension `dim`";
  let arguments = (ins I64Attr:$dim);
  let results = (outs Graph_Number:$result);
  let assemblyFormat = "$dim attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Graph_ReshapeOp : Graph_Primitive<"reshape", [Graph_DefaultCost, Graph_Differentiable, Graph_OwnRule]> {
  let summary = "The same elements in row-major order under another shape";
  let description = [{
    Constraints:
    1. operand and result have the same element type
    2. operand and result have the same number of elements
  }];
  let arguments = (ins Graph_Tensor:$x);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$x attr-dict `:` type($x) `to` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Graph_TransposeOp : Graph_Primitive<"transpose", [InferTypeOpAdaptor, Graph_DefaultCost, Graph_Differentiable,
                                                      Graph_OwnRule]> {
  let summary = "Permutes dimensions: result dimension i is dimension `permutation[i]` of x";
  let description = [{
    Constraints:
    1. `permutation` is a permutation of the dimensions of `x`
  }];
  let arguments = (ins Graph_Tensor:$x, DenseI64ArrayAttr:$permutation);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$x $permutation attr-dict `:` type($x)";
  let hasFolder = 1;
}

def Graph_BroadcastOp : Graph_Primitive<"broadcast", [Graph_DefaultCost, Graph_Differentiable, Graph_OwnRule]> {
  let summary = "Repeats along new dimensions or dimensions of size 1";
  let description = [{
    Dimension i of `x` becomes dimension `dims[i]` of the result.

    Constraints:
    1. `dims` has one entry per dimension of `x`, strictly ascending, inside the result's rank
    2. dimension i of `x` is 1 or equals dimension `dims[i]` of the result
    3. element types agree

    ```mlir
    %y = graph.broadcast %x [1] : tensor<4xf32> to tensor<2x4xf32>
    ```
  }];
  let arguments = (ins Graph_Tensor:$x, DenseI64ArrayAttr:$dims);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$x $dims attr-dict `:` type($x) `to` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Graph_SliceOp : Graph_Primitive<"slice", [InferTypeOpAdaptor, Graph_DefaultCost, Graph_Differentiable,
                                              Graph_OwnPartition]> {
  let summary = "Takes elements starts[i], starts[i] + strides[i], ... below limits[i] of each dimension";
  let description = [{
    Constraints:
    1. `starts`, `limits`, `strides` have one entry per dimension
    2. 0 <= start <= limit <= size and stride >= 1 in each dimension

    ```mlir
    %y = graph.slice %x [0, 2] to [4, 8] by [1, 1] : tensor<4x8xf32>
    ```
  }];
  let arguments = (ins Graph_Tensor:$x, DenseI64ArrayAttr:$starts, DenseI64ArrayAttr:$limits,
                       DenseI64ArrayAttr:$strides);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$x $starts `to` $limits `by` $strides attr-dict `:` type($x)";
  let hasFolder = 1;
}

def Graph_PadOp : Graph_Primitive<"pad", [InferTypeOpAdaptor, Graph_DefaultCost, Graph_Differentiable, Graph_OwnRule]> {
  let summary = "Puts `value` around (and, with `interior`, between) the elements of x";
  let description = [{
    Constraints:
    1. `low`, `high`, `interior` have one entry per dimension, none negative
    2. `value` is a scalar of the element type of `x`

    ```mlir
    %y = graph.pad %x, %zero low [0, 0] high [0, 1] interior [0, 0] : tensor<4x7xi64>, tensor<i64>
    ```
  }];
  let arguments = (ins Graph_Tensor:$x, Graph_Tensor:$value, DenseI64ArrayAttr:$low, DenseI64ArrayAttr:$high,
                       DenseI64ArrayAttr:$interior);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$x `,` $value `low` $low `high` $high `interior` $interior attr-dict `:` type($x) `,` type($value)";
  let hasVerifier = 1;
  let hasFolder = 1;
  let builders = [OpBuilder<(ins "::mlir::Value":$x, "::mlir::Value":$value, "::llvm::ArrayRef<int64_t>":$low,
                                 "::llvm::ArrayRef<int64_t>":$high)>];
}

def Graph_ConcatOp : Graph_Primitive<"concat", [InferTypeOpAdaptor, Graph_DefaultCost, Graph_Differentiable,
                                                Graph_OwnRule]> {
  let summary = "Puts tensors one after another along dimension `dim`";
  let description = [{
    Constraints:
    1. at least one operand; `dim` is one of its dimensions
    2. all operands agree in element type, rank and every dimension but `dim`
  }];
  let arguments = (ins Variadic<Graph_Tensor>:$operands, I64Attr:$dim);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = "$operands `dim` $dim attr-dict `:` type($operands)";
}

#endif // DEEPSHARD_DIALECTS_GRAPH_LAYOUTOPS
