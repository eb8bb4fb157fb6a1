//===- ShardingDialect.td - meshes, layouts and how they are written -------------*- tablegen -*-===//

#ifndef DEEPSHARD_DIALECTS_SHARDING_SHARDINGDIALECT
#define DEEPSHARD_DIALECTS_SHARDING_SHARDINGDIALECT

// Examples say `} ]` where layouts are printed without the space: tablegen would end the text there.

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"

def Sharding_Dialect : Dialect {
  let name = "sharding";
  let cppNamespace = "::deepshard::sharding";
  let summary = "Where the pieces of each tensor lie, and how they move between ranks";
  let description = [{
    A module has a `sharding.mesh`; layouts say how a tensor is cut over its axes:

    ```mlir
    sharding.mesh @mesh ["data" = 4, "tensor" = 2]
    func.func @f(%x: tensor<8x16xf32> {sharding.layout = #sharding.layout<@mesh, [{"data"}, {} ]>}) {
      %y = graph.tanh %x {sharding.layouts = [#sharding.layout<@mesh, [{"data"}, {"tensor"} ]>],
                          sharding.factors = #sharding.factors<[{"data"}, {"tensor"} ]>} : tensor<8x16xf32>
    ```

    | on | attribute | says |
    | --- | --- | --- |
    | argument and result | `sharding.layout = #sharding.layout<...>` | the layout of the value |
    | op | `sharding.layouts = [#sharding.layout<...>]` | the layout of each result, in order |
    | op | `sharding.factors = #sharding.factors<...>` | the axes over which each factor of the op's sharding rule is cut |
    | module | `sharding.zero = #sharding.zero<...>` | which buckets are cut over which ranks (ZeRO) |
    | module | `sharding.attention = "ring"` | what axes that cut the sequence of attention's operands do in it: "ulysses" cuts the heads instead, "ring" passes keys and values round, "auto" is the first of the two that can be |
    | bucket argument | `sharding.members_axes = #sharding.axes<...>` | the axes over which its members are cut |
    | bucket argument | `sharding.kept_whole` | its parameters are small: they are not cut at stage 3 |

    The types of a program are *global* (whole tensors) until it is partitioned and *local* (a rank's piece) after. The
    ops on local types are executed by all ranks alike, for all ranks run the same program: an optimisation that removes
    or merges a collective does so on every rank at once. So they are free of side effects like any other op.

    Constraints of the attributes above:
    1. a layout's mesh is a `sharding.mesh`, and every axis it names is one of that mesh's
    2. a sub-axis divides its axis, and one that is the whole axis is written without sizes
    3. partial axes are in the order of the mesh
    4. the value is a ranked tensor of as many dimensions as the layout has
    5. `sharding.layouts` has one layout per result
    6. the axes of `sharding.factors` obey 1 and 2, in the only mesh of the module
  }];
  let hasOperationAttrVerify = 1;
  let hasRegionArgAttrVerify = 1;
  let hasRegionResultAttrVerify = 1;
  let useDefaultAttributePrinterParser = 1;
  let extraClassDeclaration = [{
    void registerAttributes();
  }];
}

//===----------------------------------------------------------------------===//
// Enums
//===----------------------------------------------------------------------===//

def Sharding_Reduction : I32EnumAttr<"Reduction", "how values of several ranks become one", [
    I32EnumAttrCase<"Sum", 0, "sum">, I32EnumAttrCase<"Max", 1, "max">, I32EnumAttrCase<"Min", 2, "min">]> {
  let cppNamespace = "::deepshard::sharding";
  let genSpecializedAttr = 0;
}
def Sharding_ReductionAttr : EnumAttr<Sharding_Dialect, Sharding_Reduction, "reduction">;

def Sharding_Memory : I32EnumAttr<"Memory", "which memory a tensor lies in", [
    I32EnumAttrCase<"Device", 0, "device">, I32EnumAttrCase<"Host", 1, "host">, I32EnumAttrCase<"Disk", 2, "disk">]> {
  let cppNamespace = "::deepshard::sharding";
  let genSpecializedAttr = 0;
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

class Sharding_Attr<string name, string attrMnemonic> : AttrDef<Sharding_Dialect, name> {
  let mnemonic = attrMnemonic;
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

def Sharding_AxisRefAttr : Sharding_Attr<"AxisRef", "axis"> {
  let summary = "An axis of a mesh, or a part of one";
  let description = [{
    `"data"` is a whole axis (both numbers are 0). `"data":(p)s` sees the axis of n ranks as p x s x rest and means the
    middle: a rank's coordinate c counts as (c / rest) mod s, rest = n / (p s).

    ```
    "data" = 8:   c                0 1 2 3 4 5 6 7
                  "data":(1)2      0 0 0 0 1 1 1 1
                  "data":(2)2      0 0 1 1 0 0 1 1
                  "data":(4)2      0 1 0 1 0 1 0 1
                  "data":(1)4      0 0 1 1 2 2 3 3
    ```

    Constraints:
    1. the name is not empty
    2. a sub-axis has a pre-size of at least 1 and a size of at least 2
  }];
  let parameters = (ins "::mlir::StringAttr":$name, "int64_t":$pre_size, "int64_t":$size);
  let builders = [AttrBuilder<(ins "::llvm::StringRef":$name), [{
    return $_get($_ctxt, ::mlir::StringAttr::get($_ctxt, name), 0, 0);
  }]>, AttrBuilder<(ins "::llvm::StringRef":$name, "int64_t":$pre_size, "int64_t":$size), [{
    return $_get($_ctxt, ::mlir::StringAttr::get($_ctxt, name), pre_size, size);
  }]>];
  let extraClassDeclaration = [{
    bool isWhole() const { return getSize() == 0; }
  }];
}

def Sharding_AxisListAttr : Sharding_Attr<"AxisList", "axes"> {
  let summary = "Axes major to minor: a grid of their sizes";
  let description = [{
    A rank's *part* is the row-major index of its coordinates in the grid.

    Constraints:
    1. no two axes overlap: each axis is named once, or as sub-axes of which each begins at a multiple of where a
       coarser one ends
    2. two neighbours that make a larger sub-axis are written as that
  }];
  let parameters = (ins OptionalArrayRefParameter<"::deepshard::sharding::AxisRefAttr">:$axes);
  let extraClassDeclaration = [{
    bool empty() const { return getAxes().empty(); }
  }];
}

def Sharding_MeshAttr : Sharding_Attr<"Mesh", "grid"> {
  let summary = "The ranks as a grid of named axes, outermost first";
  let description = [{
    A rank's number is the row-major index of its coordinates: the last axis varies fastest.

    Constraints:
    1. names are not empty and unique
    2. sizes are at least 1
  }];
  let parameters = (ins OptionalArrayRefParameter<"::mlir::StringAttr">:$names,
                        OptionalArrayRefParameter<"int64_t">:$sizes);
  let extraClassDeclaration = [{
    /// Product of the sizes.
    int64_t getRanks() const;
    /// The index of the axis called `name`.
    std::optional<unsigned> find(::llvm::StringRef name) const;
    /// Number of coordinates of an axis or sub-axis of this mesh.
    int64_t sizeOf(AxisRefAttr axis) const;
    /// Number of parts: the product of the sizes. 1 for no axes.
    int64_t sizeOf(::llvm::ArrayRef<AxisRefAttr> axes) const;
    /// Per axis of the mesh, outermost first.
    ::llvm::SmallVector<int64_t> coordinatesOf(int64_t rank) const;
    /// The coordinate of a rank on an axis or sub-axis.
    int64_t coordinateOf(AxisRefAttr axis, int64_t rank) const;
    /// The part of a rank: the row-major index of its coordinates on `axes`.
    int64_t partOf(::llvm::ArrayRef<AxisRefAttr> axes, int64_t rank) const;
    /// The ranks that differ from `rank` only in their coordinates on `axes`, in the order of their parts.
    ::llvm::SmallVector<int64_t> groupOf(::llvm::ArrayRef<AxisRefAttr> axes, int64_t rank) const;
    /// Every rank once, in groups as `groupOf` gives them; groups in the order of their first rank.
    ::llvm::SmallVector<::llvm::SmallVector<int64_t>> groups(::llvm::ArrayRef<AxisRefAttr> axes) const;
    /// The axes that no member of `axes` touches, as whole axes or sub-axes, in the order of the mesh: over these a
    /// value cut over `axes` is replicated.
    ::llvm::SmallVector<AxisRefAttr> complement(::llvm::ArrayRef<AxisRefAttr> axes) const;
    /// `axes` in the order of the mesh, neighbours that make a larger axis merged. They must not overlap.
    ::llvm::SmallVector<AxisRefAttr> inMeshOrder(::llvm::ArrayRef<AxisRefAttr> axes) const;
    /// Neighbours that make a larger axis merged, whole axes written without sizes, axes of size 1 left out.
    ::llvm::SmallVector<AxisRefAttr> canonical(::llvm::ArrayRef<AxisRefAttr> axes) const;
    /// Every axis is one of the mesh; a sub-axis divides its axis and is not all of it.
    ::llvm::LogicalResult verifyAxes(::llvm::function_ref<::mlir::InFlightDiagnostic()> emitError,
                                     ::llvm::ArrayRef<AxisRefAttr> axes) const;
  }];
}

def Sharding_GroupAttr : Sharding_Attr<"Group", "group"> {
  let summary = "Who takes part in a collective: ranks that differ only on these axes of a mesh";
  let description = [{
    Constraints:
    1. at least one axis; no two overlap (as in an axis list)
  }];
  let parameters = (ins "::mlir::FlatSymbolRefAttr":$mesh, "::deepshard::sharding::AxisListAttr":$list);
  let builders = [AttrBuilderWithInferredContext<(ins "::mlir::FlatSymbolRefAttr":$mesh,
                                                      "::llvm::ArrayRef<AxisRefAttr>":$axes), [{
    return $_get(mesh.getContext(), mesh, AxisListAttr::get(mesh.getContext(), axes));
  }]>];
  let extraClassDeclaration = [{
    ::llvm::ArrayRef<AxisRefAttr> getAxes() const { return getList().getAxes(); }
  }];
}

def Sharding_PartialAttr : Sharding_Attr<"Partial", "partial"> {
  let summary = "Every rank holds a summand (or candidate); the value is their reduction over these axes";
  let description = [{
    `in f32` names the type that is reduced in: values of another type are converted before and back after.

    Constraints:
    1. at least one axis
    2. the type is a float
  }];
  let parameters = (ins "::deepshard::sharding::Reduction":$kind, "::deepshard::sharding::AxisListAttr":$list,
                        OptionalParameter<"::mlir::Type">:$type);
  let builders = [AttrBuilder<(ins "::deepshard::sharding::Reduction":$kind, "::llvm::ArrayRef<AxisRefAttr>":$axes,
                                   CArg<"::mlir::Type", "nullptr">:$type), [{
    return $_get($_ctxt, kind, AxisListAttr::get($_ctxt, axes), type);
  }]>];
  let extraClassDeclaration = [{
    ::llvm::ArrayRef<AxisRefAttr> getAxes() const { return getList().getAxes(); }
  }];
}

def Sharding_LayoutAttr : Sharding_Attr<"Layout", "layout"> {
  let summary = "How a tensor is cut over a mesh";
  let description = [{
    Per dimension the axes, major to minor: dimension d is cut into as many equal parts as their grid has, and a rank
    holds its own part. Axes that are not named replicate.

    ```mlir
    #sharding.layout<@mesh, [{}, {"tensor"} ]>
    #sharding.layout<@mesh, [{"data":(1)2, "tensor"}, {} ]>
    #sharding.layout<@mesh, [{"data"}, {} ], partial = sum {"tensor"} in f32>
    #sharding.layout<@mesh, [{"data"} ], memory = host>
    ```

    Constraints:
    1. no axis (or overlapping sub-axis) is named twice, over all dimensions and `partial`

    Whether the parts of a dimension are equal is not checked: a pass pads those that are not.
  }];
  let parameters = (ins "::mlir::FlatSymbolRefAttr":$mesh,
                        OptionalArrayRefParameter<"::deepshard::sharding::AxisListAttr">:$dims,
                        OptionalParameter<"::deepshard::sharding::PartialAttr">:$partial,
                        "::deepshard::sharding::Memory":$memory);
  let builders = [AttrBuilderWithInferredContext<(ins "::mlir::FlatSymbolRefAttr":$mesh,
      "::llvm::ArrayRef<AxisListAttr>":$dims, CArg<"PartialAttr", "nullptr">:$partial,
      CArg<"Memory", "Memory::Device">:$memory), [{
    return $_get(mesh.getContext(), mesh, dims, partial, memory);
  }]>];
  let extraClassDeclaration = [{
    /// Nothing is cut and nothing is partial.
    static LayoutAttr replicated(::mlir::FlatSymbolRefAttr mesh, int64_t rank);

    int64_t getRank() const { return getDims().size(); }
    ::llvm::ArrayRef<AxisRefAttr> getAxes(unsigned dim) const { return getDims()[dim].getAxes(); }
    bool isPartial() const { return getPartial() != nullptr; }
    /// Empty if nothing is partial.
    ::llvm::ArrayRef<AxisRefAttr> getPartialAxes() const;
    /// Every rank holds all of the value.
    bool isReplicated() const;
    /// The axes of all dimensions, in that order.
    ::llvm::SmallVector<AxisRefAttr> getSplitAxes() const;

    LayoutAttr withAxes(unsigned dim, ::llvm::ArrayRef<AxisRefAttr> axes) const;
    LayoutAttr withPartial(PartialAttr partial) const;
    LayoutAttr withMemory(Memory memory) const;

    /// The first dimension of a tensor of this shape that does not divide into equal parts.
    std::optional<unsigned> firstUnevenDim(MeshAttr mesh, ::llvm::ArrayRef<int64_t> shape) const;
    /// The shape of a rank's piece of a tensor of this shape, all of whose dimensions divide, and the other way round.
    ::llvm::SmallVector<int64_t> localShape(MeshAttr mesh, ::llvm::ArrayRef<int64_t> shape) const;
    ::llvm::SmallVector<int64_t> globalShape(MeshAttr mesh, ::llvm::ArrayRef<int64_t> localShape) const;
    ::mlir::RankedTensorType localType(MeshAttr mesh, ::mlir::RankedTensorType type) const;
    ::mlir::RankedTensorType globalType(MeshAttr mesh, ::mlir::RankedTensorType localType) const;
    /// Where a rank's piece begins in the tensor of this shape.
    ::llvm::SmallVector<int64_t> offsetsOf(MeshAttr mesh, ::llvm::ArrayRef<int64_t> shape, int64_t rank) const;

    /// The constraints on a layout of a value of type `type`, of which `mesh` is the mesh.
    ::llvm::LogicalResult verifyFor(::llvm::function_ref<::mlir::InFlightDiagnostic()> emitError, MeshAttr mesh,
                                    ::mlir::Type type) const;
  }];
}

def Sharding_ZeroAttr : AttrDef<Sharding_Dialect, "Zero"> {
  let mnemonic = "zero";
  let summary = "ZeRO: which buckets are cut instead of copied";
  let description = [{
    Over `axes`, which cut the batch, parameters are copies and gradients summands. Stage 0 copies everything, stage 1 cuts
    what the optimizer keeps, stage 2 the gradients too, stage 3 the parameters too, but for buckets of parameters of at
    most `kept_whole` elements.

    Ranks along `copies` hold copies of the parts too: the other groups of MiCS (arXiv 2205.00119), ranks with other pieces of
    the same samples. Gradients are reduced over `axes`, then their parts over `copies`. Together the two cut the inputs.

    `reduction` is "step" (gradients of all micro-batches are added up, then reduced once) or "micro_batch" (reduced each
    time). `gather` says how long a parameter of stage 3 is whole: "regather" (the forward; again for the backward),
    "micro_batch" (forward and backward), "step". With `regather_over`, sub-axes at the minor end of `axes`, each rank keeps its
    part over these from the forward, and the backward gathers from them alone (hpZ of ZeRO++, arXiv 2306.10209).

    ```mlir
    #sharding.zero<axes = <{"data"}>, stage = 3, reduction = "step", gather = "regather", kept_whole = 100000>
    #sharding.zero<axes = <{"data":(2)4}>, copies = <{"data":(1)2}>, stage = 3, reduction = "step", gather = "regather", kept_whole = 0>
    #sharding.zero<axes = <{"data"}>, copies = <{"context"}>, stage = 1, reduction = "step", gather = "regather", kept_whole = 0>
    #sharding.zero<axes = <{"data"}>, stage = 3, reduction = "step", gather = "regather", regather_over = <{"data":(2)4}>,
                   kept_whole = 0>
    ```
  }];
  let parameters = (ins "::deepshard::sharding::AxisListAttr":$axes,
                        OptionalParameter<"::deepshard::sharding::AxisListAttr">:$copies, "int64_t":$stage,
                        "::mlir::StringAttr":$reduction, "::mlir::StringAttr":$gather,
                        OptionalParameter<"::deepshard::sharding::AxisListAttr">:$regather_over, "int64_t":$kept_whole);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Sharding_FactorsAttr : Sharding_Attr<"Factors", "factors"> {
  let summary = "The axes that each factor of an op's sharding rule is cut over";
  let description = [{
    One list per factor, in the order of the rule.

    Constraints:
    1. no axis (or overlapping sub-axis) is named twice
  }];
  let parameters = (ins OptionalArrayRefParameter<"::deepshard::sharding::AxisListAttr">:$factors);
  let extraClassDeclaration = [{
    ::llvm::ArrayRef<AxisRefAttr> getAxes(unsigned factor) const { return getFactors()[factor].getAxes(); }
  }];
}

#endif // DEEPSHARD_DIALECTS_SHARDING_SHARDINGDIALECT
