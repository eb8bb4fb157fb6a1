//===- PlanOps.td - the program of a rank: buffers, tasks, schedule ---------------*- tablegen -*-===//

#ifndef DEEPSHARD_DIALECTS_PLAN_PLANOPS
#define DEEPSHARD_DIALECTS_PLAN_PLANOPS

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Plan_Dialect : Dialect {
  let name = "plan";
  let cppNamespace = "::deepshard::plan";
  let summary = "What one rank does in a step: buffers with offsets and straight-line tasks";
  let description = [{
    The last form of a program before it is written as `runtime/plan/plan.proto`. Nothing is decided after it but
    events (`synchronize-streams`) and offsets (`pack-buffers`). All ranks run it; what differs between them (the part of
    a tensor, a view into the own part of a buffer) follows from a rank's coordinates on the axes of the module's
    `sharding.mesh`. A `plan.program` holds buffers, segments and a schedule:

    ```mlir
    plan.program @train streams ["compute"] {
      %w = plan.buffer "parameter.0" persistent bytes 4096 align 64
      %x = plan.buffer "h.0" transient bytes 1024 align 64
      plan.segment @micro_batch {
        %0 = plan.view %w offset 0 : !plan.view<16x64xf32>
        ...
        plan.launch "onednn" "matmul" ins(%1, %0 : ...) outs(%2 : ...) on 0 attributes {...}
      }
      plan.schedule [#plan.call<@micro_batch, micro_batch = 0, slot = 0>]
    }
    ```
  }];
  let dependentDialects = ["::deepshard::sharding::ShardingDialect"];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
}

//===----------------------------------------------------------------------===//
// Types and attributes
//===----------------------------------------------------------------------===//

/// An attribute of the sharding dialect. (Including that dialect's .td would generate its enums again.)
class Plan_ShardingAttr<string name, string what>
    : Attr<CPred<"::llvm::isa<::deepshard::sharding::" # name # ">($_self)">, what> {
  let storageType = "::deepshard::sharding::" # name;
  let returnType = storageType;
  let convertFromStorage = "$_self";
}
def Plan_AxisListAttr : Plan_ShardingAttr<"AxisListAttr", "axes of the mesh, major to minor">;
def Plan_LayoutAttr : Plan_ShardingAttr<"LayoutAttr", "a layout">;

def Plan_BufferType : TypeDef<Plan_Dialect, "Buffer"> {
  let mnemonic = "buffer";
  let summary = "A range of bytes in an arena";
}

def Plan_ViewType : TypeDef<Plan_Dialect, "View"> {
  let mnemonic = "view";
  let summary = "A strided window of elements in a buffer";
  let description = [{
    Strides count elements; 0 repeats. They are left out if they are the row-major ones:
    `!plan.view<4x256xf32>`, `!plan.view<4x256xf32 strides [0, 1]>`.
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$shape, "::mlir::Type":$elementType,
                        ArrayRefParameter<"int64_t">:$strides);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    int64_t getNumElements() const;
    bool isContiguous() const;
    /// Row-major strides of a shape.
    static ::llvm::SmallVector<int64_t> contiguousStrides(::llvm::ArrayRef<int64_t> shape);
  }];
}

def Plan_Lifetime : I32EnumAttr<"Lifetime", "how long a buffer keeps its bytes", [
    I32EnumAttrCase<"Persistent", 0, "persistent">, I32EnumAttrCase<"Step", 1, "step">,
    I32EnumAttrCase<"Slot", 2, "slot">, I32EnumAttrCase<"Transient", 3, "transient">,
    I32EnumAttrCase<"Window", 4, "window">]> {
  let cppNamespace = "::deepshard::plan";
  let genSpecializedAttr = 0;
}
def Plan_LifetimeAttr : EnumAttr<Plan_Dialect, Plan_Lifetime, "lifetime">;

def Plan_AxisStrideAttr : AttrDef<Plan_Dialect, "AxisStride"> {
  let mnemonic = "axis_stride";
  let summary = "How far a rank's coordinate on an axis moves a view, in bytes";
  let parameters = (ins "::deepshard::sharding::AxisRefAttr":$axis, "int64_t":$bytes);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Plan_CallAttr : AttrDef<Plan_Dialect, "Call"> {
  let mnemonic = "call";
  let summary = "One run of a segment, for one micro-batch";
  let parameters = (ins "::mlir::FlatSymbolRefAttr":$segment, "int64_t":$micro_batch, "int64_t":$slot);
  let assemblyFormat = "`<` $segment `,` `micro_batch` `=` $micro_batch `,` `slot` `=` $slot `>`";
}

//===----------------------------------------------------------------------===//
// Structure
//===----------------------------------------------------------------------===//

class Plan_Op<string mnemonic, list<Trait> traits = []> : Op<Plan_Dialect, mnemonic, traits>;

def Plan_TaskInterface : OpInterface<"TaskOpInterface"> {
  let cppNamespace = "::deepshard::plan";
  let description = [{ A task that touches memory. }];
  let methods = [
    InterfaceMethod<"The stream it runs on.", "int64_t", "getTaskStream", (ins), "", [{ return $_op.getStream(); }]>,
    InterfaceMethod<"The views it reads.", "::llvm::SmallVector<::mlir::Value>", "getReadViews">,
    InterfaceMethod<"The views it writes, workspaces included.", "::llvm::SmallVector<::mlir::Value>",
                    "getWrittenViews">
  ];
}

def Plan_ProgramOp : Plan_Op<"program", [Symbol, SymbolTable, NoTerminator, SingleBlock, IsolatedFromAbove,
                                         NoRegionArguments]> {
  let summary = "The program of the ranks of one pipeline stage";
  let description = [{
    The bytes are set by `pack-buffers`: the sizes of the arena of this rank alone and of the window, which other ranks
    reach into, and the lower bounds that liveness gives for them.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrArrayAttr:$streams, OptionalAttr<I64Attr>:$arena_bytes,
                       OptionalAttr<I64Attr>:$max_live_bytes, OptionalAttr<I64Attr>:$window_bytes,
                       OptionalAttr<I64Attr>:$window_max_live_bytes);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `streams` $streams (`arena` $arena_bytes^ `max_live` $max_live_bytes)?
    (`window` $window_bytes^ `max_live` $window_max_live_bytes)? attr-dict-with-keyword $body
  }];
}

def Plan_BufferOp : Plan_Op<"buffer", [Pure, HasParent<"ProgramOp">]> {
  let summary = "A range of bytes";
  let description = [{
    A persistent buffer keeps its bytes over all steps, a step buffer over one step, a transient one inside one run of
    a segment. `constant` is its content at the start; without it the content is zero (persistent buffers) or
    undefined (at the start of a step or a run). `window` puts it where other ranks can reach it. `offset` in the arena is set by
    `pack-buffers`. `kind` says what a step buffer holds, "gradient" or "gathered" (parameters): it is for people.

    Constraints:
    1. `bytes` is positive, `align` a power of two
    2. `offset`, if set, is a multiple of `align`
    3. `constant`, if set, is an i8 array of `bytes` elements, and the buffer is persistent
  }];
  let arguments = (ins StrAttr:$name, Plan_LifetimeAttr:$lifetime, OptionalAttr<StrAttr>:$kind, UnitAttr:$window, I64Attr:$bytes, I64Attr:$align,
                       OptionalAttr<I64Attr>:$offset, OptionalAttr<ElementsAttr>:$constant);
  let results = (outs Plan_BufferType:$result);
  let assemblyFormat = [{
    $name $lifetime (`of` $kind^)? (`window` $window^)? `bytes` $bytes `align` $align (`offset` $offset^)? (`constant` $constant^)? attr-dict
  }];
  let hasVerifier = 1;
}

def Plan_ViewOp : Plan_Op<"view", [Pure]> {
  let summary = "A strided window into a buffer";
  let description = [{
    With `axis_strides` every rank has a view of its own: the offset grows with its coordinates.

    Constraints:
    1. `offset` is not negative and a multiple of the element's size
    2. the last element (of the rank without coordinates) lies inside the buffer
  }];
  let arguments = (ins Plan_BufferType:$buffer, I64Attr:$offset,
                       OptionalAttr<TypedArrayAttrBase<Plan_AxisStrideAttr, "array of axis strides">>:$axis_strides);
  let results = (outs Plan_ViewType:$result);
  let assemblyFormat = "$buffer `offset` $offset (`by` $axis_strides^)? attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Plan_SegmentOp : Plan_Op<"segment", [Symbol, NoTerminator, SingleBlock, NoRegionArguments,
                                         HasParent<"ProgramOp">]> {
  let summary = "Tasks in order, each on a stream";
  let arguments = (ins SymbolNameAttr:$sym_name);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name attr-dict-with-keyword $body";
}

def Plan_ScheduleOp : Plan_Op<"schedule", [HasParent<"ProgramOp">, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "The segment runs of one step, in order";
  let description = [{
    Constraints:
    1. every call names a segment of the program
  }];
  let arguments = (ins TypedArrayAttrBase<Plan_CallAttr, "array of calls">:$calls);
  let assemblyFormat = "$calls attr-dict";
}

def Plan_RunStateOp : Plan_Op<"run_state", [HasParent<"ProgramOp">]> {
  let summary = "A value that the runtime writes before each run of a segment";
  let description = [{ `"part"` is the rank's part on the axes `over`. }];
  let arguments = (ins StrAttr:$name, Plan_ViewType:$view, OptionalAttr<Plan_AxisListAttr>:$over);
  let assemblyFormat = "$name (`over` $over^)? $view attr-dict `:` type($view)";
}

def Plan_MetricOp : Plan_Op<"metric", [HasParent<"ProgramOp">]> {
  let summary = "A scalar that the runtime reads after each step";
  let arguments = (ins StrAttr:$name, Plan_ViewType:$view);
  let assemblyFormat = "$name $view attr-dict `:` type($view)";
}

def Plan_BucketOp : Plan_Op<"bucket", [HasParent<"ProgramOp">]> {
  let summary = "A flat range of parameters or of optimizer state, and this rank's part of it";
  let description = [{
    `kind` is "parameter" or "buffer" (tensors of the model, trained or not), or what the optimizer keeps ("exp_avg",
    "loss_scale"), which is `initial` at the start, or zero. The bucket has `elements` elements; `over` names the axes it is cut over into equal parts, of
    which `view` is this rank's.

    Constraints:
    1. `view` has rank 1
    2. `initial`, if set, has the type and the elements of `view`
  }];
  let arguments = (ins StrAttr:$name, StrAttr:$kind, I64Attr:$elements, Plan_AxisListAttr:$over,
                       Plan_ViewType:$view, OptionalAttr<ElementsAttr>:$initial);
  let assemblyFormat = [{
    $name $kind `elements` $elements `over` $over $view (`initial` $initial^)? attr-dict `:` type($view)
  }];
  let hasVerifier = 1;
}

def Plan_ParameterOp : Plan_Op<"parameter", [HasParent<"ProgramOp">]> {
  let summary = "Where a tensor of the model lies, and where its first value comes from";
  let description = [{
    The tensor has the shape `shape` in the model. Its elements, row-major, are seen under the shape `cut`, padded to
    `padded` and cut by `layout`; the piece lies, row-major, from element `offset` on in bucket `bucket`, and rounded at the
    same place of bucket `copy`, if there is one.
    `storage` is the `#graph.storage` of the model's argument; without it the plan has no data for the parameter.
  }];
  let arguments = (ins StrAttr:$name, TypeAttrOf<AnyRankedTensor>:$shape, StrAttr:$bucket, I64Attr:$offset,
                       OptionalAttr<StrAttr>:$copy, DenseI64ArrayAttr:$cut, DenseI64ArrayAttr:$padded, OptionalAttr<Plan_LayoutAttr>:$layout,
                       OptionalAttr<AnyAttr>:$storage, StrArrayAttr:$aliases, BoolAttr:$trainable);
  let assemblyFormat = [{
    $name `:` $shape `in` $bucket `at` $offset (`copy` $copy^)? `cut` $cut `padded` $padded (`layout` $layout^)?
    (`from` $storage^)? attr-dict
  }];
}

//===----------------------------------------------------------------------===//
// Tasks
//===----------------------------------------------------------------------===//

class Plan_Task<string mnemonic, list<Trait> traits = []>
    : Plan_Op<mnemonic, !listconcat([HasParent<"SegmentOp">], traits)>;
defvar Plan_TouchesMemory = DeclareOpInterfaceMethods<Plan_TaskInterface, ["getReadViews", "getWrittenViews"]>;

def Plan_LaunchOp : Plan_Task<"launch", [AttrSizedOperandSegments, Plan_TouchesMemory]> {
  let summary = "Runs a kernel of a provider";
  let description = [{
    Reads `inputs`, writes `outputs`; an output may be the very view of an input only for kernels that allow it.
    `overwrites` names inputs that the first output may take the place of: all of an elementwise kernel. The content of
    `workspace` is undefined before and after.

    Constraints:
    1. `stream` is one of the program's streams
    2. `overwrites` are indices of inputs
  }];
  let arguments = (ins StrAttr:$provider, StrAttr:$kernel, Variadic<Plan_ViewType>:$inputs,
                       Variadic<Plan_ViewType>:$outputs, Optional<Plan_ViewType>:$workspace,
                       DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$overwrites, I64Attr:$stream,
                       DictionaryAttr:$kernel_attributes, I64Attr:$flops, StrAttr:$phase);
  let assemblyFormat = [{
    $provider $kernel `ins` `(` ($inputs^ `:` type($inputs))? `)` `outs` `(` $outputs `:` type($outputs) `)`
    (`workspace` `(` $workspace^ `:` type($workspace) `)`)? (`overwrites` $overwrites^)? `on` $stream
    `attributes` $kernel_attributes `flops` $flops `phase` $phase attr-dict
  }];
  let hasVerifier = 1;
}

def Plan_CollectiveOp : Plan_Task<"collective", [Plan_TouchesMemory]> {
  let summary = "What a group of ranks does together";
  let description = [{
    `kind` is "all_reduce", "reduce_scatter", "all_gather", "all_to_all" or "permute", as the message Collective of
    `runtime/plan/plan.proto` defines them; `reduction` is "sum", "max" or "min". `sequence` is the task's place in the one order of all communicators.

    Constraints:
    1. `kind` and `reduction` are one of these, and both views are row-major
    2. `stream` is one of the program's streams
  }];
  let arguments = (ins StrAttr:$kind, StrAttr:$reduction, Plan_AxisListAttr:$group,
                       Plan_ViewType:$input, Plan_ViewType:$output, I64Attr:$split, I64Attr:$concat,
                       DenseI64ArrayAttr:$sources, I64Attr:$stream, I64Attr:$sequence, StrAttr:$phase);
  let assemblyFormat = [{
    $kind $reduction `over` $group `in` `(` $input `:` type($input) `)` `out` `(` $output `:` type($output) `)`
    `split` $split `concat` $concat `sources` $sources `on` $stream `sequence` $sequence `phase` $phase attr-dict
  }];
  let hasVerifier = 1;
}

def Plan_FeedOp : Plan_Task<"feed", [Plan_TouchesMemory]> {
  let summary = "Copies the micro-batch's rows of an input into a view";
  let description = [{
    `layout` is how the micro-batch of all ranks is cut into views of this type; without it every rank has all of it.
    `batch_dimension` is -1 if every micro-batch gets the same rows. With `index_bound` the numbers index something of
    that size: data outside 0 .. index_bound - 1 are refused, `ignored_index` excepted.
  }];
  let arguments = (ins StrAttr:$input, Plan_ViewType:$view, I64Attr:$stream, I64Attr:$batch_dimension,
                       OptionalAttr<Plan_LayoutAttr>:$layout, OptionalAttr<I64Attr>:$index_bound,
                       OptionalAttr<I64Attr>:$ignored_index);
  let assemblyFormat = [{
    $input $view `on` $stream `batch_dimension` $batch_dimension (`in` $layout^)? attr-dict `:` type($view)
  }];
}

def Plan_RecordOp : Plan_Task<"record"> {
  let summary = "Marks an event as reached once the stream comes here";
  let arguments = (ins I64Attr:$event, I64Attr:$stream);
  let assemblyFormat = "$event `on` $stream attr-dict";
}

def Plan_WaitOp : Plan_Task<"wait"> {
  let summary = "Holds the stream until an event is reached";
  let arguments = (ins I64Attr:$event, I64Attr:$stream);
  let assemblyFormat = "$event `on` $stream attr-dict";
}

#endif // DEEPSHARD_DIALECTS_PLAN_PLANOPS
