//===- ShardingOps.td - pins, changes of layout, collectives ---------------------*- tablegen -*-===//

#ifndef DEEPSHARD_DIALECTS_SHARDING_SHARDINGOPS
#define DEEPSHARD_DIALECTS_SHARDING_SHARDINGOPS

include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "dialects/sharding/ShardingDialect.td"

def Sharding_Tensor : StaticShapeTensorOf<[AnySignlessInteger, AnyFloat]>;

class Sharding_Op<string mnemonic, list<Trait> traits = []> : Op<Sharding_Dialect, mnemonic, traits>;

def Sharding_MeshOp : Sharding_Op<"mesh", [Symbol]> {
  let summary = "The ranks as a grid of named axes";
  let description = [{
    Axes are outermost to innermost: the last varies fastest over ranks, so it lands inside a node.

    ```mlir
    sharding.mesh @mesh ["data" = 4, "tensor" = 2]    // rank = data * 2 + tensor
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Sharding_MeshAttr:$axes);
  let assemblyFormat = "$sym_name custom<Axes>($axes) attr-dict";
}

//===----------------------------------------------------------------------===//
// On global types
//===----------------------------------------------------------------------===//

class Sharding_GlobalOp<string mnemonic>
    : Sharding_Op<mnemonic, [Pure, SameOperandsAndResultType, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let arguments = (ins Sharding_Tensor:$x, Sharding_LayoutAttr:$layout);
  let results = (outs Sharding_Tensor:$result);
}

def Sharding_ConstraintOp : Sharding_GlobalOp<"constraint"> {
  let summary = "A pin: here the value has this layout";
  let description = [{
    Constraints:
    1. the layout is one for the type (constraints 1 to 4 of the dialect's attributes)

    ```mlir
    %y = sharding.constraint %x : tensor<8x16xf32> to #sharding.layout<@mesh, [{"data"}, {} ]>
    ```
  }];
  let assemblyFormat = "$x `:` type($x) `to` $layout attr-dict";
}

def Sharding_ReshardOp : Sharding_GlobalOp<"reshard"> {
  let summary = "The same value in another layout";
  let description = [{
    The layout it comes from is that of the operand. Reshard.h says what it becomes.

    Constraints:
    1. the layout is one for the type (constraints 1 to 4 of the dialect's attributes)

    ```mlir
    %y = sharding.reshard %x : tensor<8x16xf32> to #sharding.layout<@mesh, [{}, {"tensor"} ]>
    ```
  }];
  let assemblyFormat = "$x `:` type($x) `to` $layout attr-dict";
}

//===----------------------------------------------------------------------===//
// On local types
//===----------------------------------------------------------------------===//

/// The group of a rank are the ranks that differ from it only on the axes after `over`, in the order of their parts; N
/// is its size. Marked free of side effects: see the dialect's description.
class Sharding_LocalOp<string mnemonic, list<Trait> traits = []>
    : Sharding_Op<mnemonic, !listconcat([Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>], traits)>;

def Sharding_AllGatherOp : Sharding_LocalOp<"all_gather"> {
  let summary = "Joins the group's tensors along a dimension";
  let description = [{
    Constraints:
    1. `over` names axes of a mesh (constraints 1 and 2 of the dialect's attributes)
    2. `dim` is a dimension of `x`
    3. the result is `x` with N times the size in `dim`

    ```mlir
    %y = sharding.all_gather %x over @mesh {"data"} dim 0 : tensor<2x4xf32> to tensor<8x4xf32>
    ```
  }];
  let arguments = (ins Sharding_Tensor:$x, Sharding_GroupAttr:$group, I64Attr:$dim);
  let results = (outs Sharding_Tensor:$result);
  let assemblyFormat = "$x `over` custom<Group>($group) `dim` $dim attr-dict `:` type($x) `to` type($result)";
  let builders = [OpBuilder<(ins "::mlir::Value":$x, "GroupAttr":$group, "int64_t":$dim, "MeshAttr":$mesh)>];
}

def Sharding_ReduceScatterOp : Sharding_LocalOp<"reduce_scatter"> {
  let summary = "The own part, along a dimension, of the reduction over the group";
  let description = [{
    A sum adds halves of the group first, ((0 + 1) + (2 + 3)) + ...; bf16 and f16 are added in f32 and rounded once.

    Constraints:
    1. `over` names axes of a mesh (constraints 1 and 2 of the dialect's attributes)
    2. `dim` is a dimension of `x`
    3. the result is `x` with the Nth part of the size in `dim`

    ```mlir
    %y = sharding.reduce_scatter sum %x over @mesh {"data"} dim 0 : tensor<8x4xf32> to tensor<2x4xf32>
    ```
  }];
  let arguments = (ins Sharding_ReductionAttr:$reduction, Sharding_Tensor:$x, Sharding_GroupAttr:$group, I64Attr:$dim);
  let results = (outs Sharding_Tensor:$result);
  let assemblyFormat = [{
    $reduction $x `over` custom<Group>($group) `dim` $dim attr-dict `:` type($x) `to` type($result)
  }];
  let builders = [OpBuilder<(ins "Reduction":$reduction, "::mlir::Value":$x, "GroupAttr":$group, "int64_t":$dim,
                                 "MeshAttr":$mesh)>];
}

def Sharding_AllReduceOp : Sharding_LocalOp<"all_reduce", [SameOperandsAndResultType]> {
  let summary = "The reduction over the group, on each of its ranks";
  let description = [{
    A sum adds halves of the group first, ((0 + 1) + (2 + 3)) + ...; bf16 and f16 are added in f32 and rounded once.

    Constraints:
    1. `over` names axes of a mesh (constraints 1 and 2 of the dialect's attributes)

    ```mlir
    %y = sharding.all_reduce sum %x over @mesh {"tensor"} : tensor<8x4xf32>
    ```
  }];
  let arguments = (ins Sharding_ReductionAttr:$reduction, Sharding_Tensor:$x, Sharding_GroupAttr:$group);
  let results = (outs Sharding_Tensor:$result);
  let assemblyFormat = "$reduction $x `over` custom<Group>($group) attr-dict `:` type($x)";
}

def Sharding_AllToAllOp : Sharding_LocalOp<"all_to_all"> {
  let summary = "Cuts one dimension and joins another";
  let description = [{
    Part j of `x` along `split` goes to rank j of the group; what comes from the ranks is joined along `concat`.

    Constraints:
    1. `over` names axes of a mesh (constraints 1 and 2 of the dialect's attributes)
    2. `split` and `concat` are different dimensions of `x`
    3. the result is `x` with the Nth part of the size in `split` and N times the size in `concat`

    ```mlir
    %y = sharding.all_to_all %x over @mesh {"data"} split 1 concat 0 : tensor<2x8xf32> to tensor<8x2xf32>
    ```
  }];
  let arguments = (ins Sharding_Tensor:$x, Sharding_GroupAttr:$group, I64Attr:$split, I64Attr:$concat);
  let results = (outs Sharding_Tensor:$result);
  let assemblyFormat = [{
    $x `over` custom<Group>($group) `split` $split `concat` $concat attr-dict `:` type($x) `to` type($result)
  }];
  let builders = [OpBuilder<(ins "::mlir::Value":$x, "GroupAttr":$group, "int64_t":$split, "int64_t":$concat,
                                 "MeshAttr":$mesh)>];
}

def Sharding_PermuteOp : Sharding_LocalOp<"permute", [SameOperandsAndResultType]> {
  let summary = "Rank i of the group gets the tensor of rank `sources[i]`";
  let description = [{
    Constraints:
    1. `over` names axes of a mesh (constraints 1 and 2 of the dialect's attributes)
    2. `sources` is a permutation of 0 .. N - 1

    ```mlir
    %y = sharding.permute %x over @mesh {"data"} sources [1, 2, 3, 0] : tensor<2x4xf32>
    ```
  }];
  let arguments = (ins Sharding_Tensor:$x, Sharding_GroupAttr:$group, DenseI64ArrayAttr:$sources);
  let results = (outs Sharding_Tensor:$result);
  let assemblyFormat = "$x `over` custom<Group>($group) `sources` $sources attr-dict `:` type($x)";
}

def Sharding_LocalSliceOp : Sharding_LocalOp<"local_slice"> {
  let summary = "The own part along a dimension; nothing is sent";
  let description = [{
    Constraints:
    1. `over` names axes of a mesh (constraints 1 and 2 of the dialect's attributes)
    2. `dim` is a dimension of `x`
    3. the result is `x` with the Nth part of the size in `dim`

    ```mlir
    %y = sharding.local_slice %x over @mesh {"data"} dim 0 : tensor<8x4xf32> to tensor<2x4xf32>
    ```
  }];
  let arguments = (ins Sharding_Tensor:$x, Sharding_GroupAttr:$group, I64Attr:$dim);
  let results = (outs Sharding_Tensor:$result);
  let assemblyFormat = "$x `over` custom<Group>($group) `dim` $dim attr-dict `:` type($x) `to` type($result)";
  let builders = [OpBuilder<(ins "::mlir::Value":$x, "GroupAttr":$group, "int64_t":$dim, "MeshAttr":$mesh)>];
}

def Sharding_AxisIndexOp : Sharding_LocalOp<"axis_index"> {
  let summary = "The rank's part: the row-major index of its coordinates on the axes";
  let description = [{
    Constraints:
    1. `over` names axes of a mesh (constraints 1 and 2 of the dialect's attributes)
    2. the result is a scalar i64

    ```mlir
    %i = sharding.axis_index over @mesh {"tensor"} : tensor<i64>
    ```
  }];
  let arguments = (ins Sharding_GroupAttr:$group);
  let results = (outs Sharding_Tensor:$result);
  let assemblyFormat = "`over` custom<Group>($group) attr-dict `:` type($result)";
  let builders = [OpBuilder<(ins "GroupAttr":$group)>];
}

def Sharding_PackOp : Sharding_Op<"pack", [Pure]> {
  let summary = "Lays tensors flat into a bucket, zeros between";
  let description = [{
    The elements of `tensors[i]`, in row-major order, are the elements of the result from `offsets[i]` on.

    Constraints:
    1. at least one tensor, and one offset per tensor
    2. all have the element type of the result
    3. the result has rank 1
    4. offsets ascend, no tensor reaches into the next, and the last ends inside the result

    ```mlir
    %b = sharding.pack %w, %v offsets [0, 16] : tensor<3x4xf32>, tensor<5xf32> to tensor<32xf32>
    ```
  }];
  let arguments = (ins Variadic<Sharding_Tensor>:$tensors, DenseI64ArrayAttr:$offsets);
  let results = (outs Sharding_Tensor:$result);
  let assemblyFormat = "$tensors `offsets` $offsets attr-dict `:` type($tensors) `to` type($result)";
  let hasVerifier = 1;
}

#endif // DEEPSHARD_DIALECTS_SHARDING_SHARDINGOPS
