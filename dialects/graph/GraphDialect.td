//===- GraphDialect.td - the logical program ---------------------------------*- tablegen -*-===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_GRAPHDIALECT
#define DEEPSHARD_DIALECTS_GRAPH_GRAPHDIALECT

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "dialects/graph/GraphInterfaces.td"

def Graph_Dialect : Dialect {
  let name = "graph";
  let cppNamespace = "::deepshard::graph";
  let summary = "One logical program on one device, whole tensors";
  let description = [{
    Functional operations over ranked, static tensors of f32, bf16, f16, f64, i64, i32, i8, i1. No aliasing, no in-place
    update, no control flow. A program is a `func.func`; what its arguments and results are is said by attributes:

    | on | attribute | says |
    | --- | --- | --- |
    | argument | `graph.parameter = "h.0.weight"` | a trainable tensor of the model under its own name |
    | argument | `graph.buffer = "h.0.bias"` | a tensor of the model that is not trained |
    | argument | `graph.storage = #graph.storage<...>` | where the first value of a parameter or buffer lies; absent: no data |
    | argument | `graph.aliases = ["lm_head.weight"]` | further names of the same tensor |
    | argument | `graph.cut = #graph.cut<...>` | the argument has another shape than the tensor in the model |
    | argument | `graph.master = f32` | of a parameter: it is a rounded copy of one of this type, which the optimizer keeps; its gradient has that type |
    | argument | `graph.members = [{...}, ...]` | the tensors of the model in a bucket that is the argument: what each had as an argument of its own, and its type |
    | argument | `graph.input = "input_ids"` | data, fed per micro-batch; `graph.batch_dimension = 0 : i64` says which dimension is the batch, `graph.sequence_dimension = 1 : i64` which one ranks of the context axis share |
    | argument | `graph.index_bound = 50257 : i64` | the numbers of an input index something of that size: 0 .. 50256, and `graph.ignored_index = -100 : i64` if given |
    | argument | `graph.run_state = "..."` | written by the runtime: `random_counter` tensor<3xi64> (seed, step, micro-batch), `learning_rate` tensor<f64>, `update_step` tensor<i64> (1-based, steps that were skipped not counted) |
    | result | `graph.output = "loss"` | an output of the model |
    | result | `graph.gradient = "h.0.weight"` | the gradient of that parameter |
    | result | `graph.metric = "grad_norm"` | a scalar the runtime reports after a step |
    | argument and result | `graph.state = "name"` | the result is the argument's next value; the plan gives both one buffer |
    | argument or result | `graph.bucket = #graph.bucket<"exp_avg", 0>` | the value is this whole flat bucket |
    | argument or result | `graph.member = #graph.member<"parameter", 0, 64>` | the value is a view into this bucket |

    Options are module attributes: `graph.accumulation_steps`, `graph.gradient_clipping`, `graph.optimizer`,
    `graph.mixed_precision`, `graph.loss_scale`.
    On an op, `graph.phase` is "forward", "backward" or "update", and `graph.provider` names who computes it. On a
    dropout, `graph.id_argument` is the number of the function's argument that holds its id (i64) in place of `id`, so that
    kernels which differ in nothing else are one. `graph.chunk`: ops of different chunks (`chunk-rows`) share no kernel.
    `graph.holds`, on the function of a kernel, names for people the ops that `fuse-kernels` has put there.
    `graph.recompute` on a forward op: the backward does not read what it computed in the forward, but computes it again
    (pass `recompute`). "full": what has to be moved between ranks for it is moved again too; "selective": that is kept.

    Module path and source line of an op are its location: `NameLoc("h.0.attn", FileLineCol(...))`.
  }];
  let hasConstantMaterializer = 1;
  let hasOperationAttrVerify = 1;
  let hasRegionArgAttrVerify = 1;
  let hasRegionResultAttrVerify = 1;
  let useDefaultAttributePrinterParser = 1;
}

class Graph_Attr<string name, string attrMnemonic> : AttrDef<Graph_Dialect, name> {
  let mnemonic = attrMnemonic;
  let assemblyFormat = "`<` struct(params) `>`";
}

def Graph_StorageAttr : Graph_Attr<"Storage", "storage"> {
  let summary = "Where the first value of a tensor lies in a file";
  let description = [{
    `offset` counts bytes from the start of `file`; `strides` count elements of `element_type`, which may differ from
    the argument's (then values are converted when they are loaded).

    ```mlir
    #graph.storage<file = "model.pt", offset = 4096, element_type = f32, strides = [768, 1]>
    ```
  }];
  let parameters = (ins "::mlir::StringAttr":$file, "int64_t":$offset, "::mlir::Type":$element_type,
                        "::mlir::DenseI64ArrayAttr":$strides);
}

def Graph_CutAttr : Graph_Attr<"Cut", "cut"> {
  let summary = "How an argument's shape comes from that of the tensor in the model";
  let description = [{
    The tensor has the shape `shape` in the model (and in `graph.storage`); its elements, row-major, are seen under `dims`.
    The argument may be padded behind that, at the end of each dimension.

    ```mlir
    #graph.cut<shape = [64, 192], dims = [64, 3, 64]>
    ```
  }];
  let parameters = (ins "::mlir::DenseI64ArrayAttr":$shape, "::mlir::DenseI64ArrayAttr":$dims);
}

def Graph_BucketAttr : Graph_Attr<"Bucket", "bucket"> {
  let summary = "A flat buffer of parameters, gradients or optimizer state";
  let description = [{
    `kind` is "parameter", "master" (what the parameters of mixed precision are copies of), "gradient", "exp_avg", "exp_avg_sq", "gathered" (parameters made whole for a step), or "loss_scale" (the `state` of `update_loss_scale`). Buckets of equal index have the same members at the
    same offsets, whatever their kind.
  }];
  let parameters = (ins "::mlir::StringAttr":$kind, "int64_t":$index);
}

def Graph_MemberAttr : Graph_Attr<"Member", "member"> {
  let summary = "A place in a bucket, `offset` in elements, a multiple of 64 bytes";
  let parameters = (ins "::mlir::StringAttr":$kind, "int64_t":$index, "int64_t":$offset);
}

def Graph_AdamWAttr : Graph_Attr<"AdamW", "adamw"> {
  let summary = "Adam or AdamW, as DeepSpeed and PyTorch define them";
  let description = [{
    With `adam_w_mode` the weight decay acts on the parameter (AdamW), else it is added to the gradient (Adam).
  }];
  let parameters = (ins "::mlir::FloatAttr":$learning_rate, "::mlir::FloatAttr":$beta1, "::mlir::FloatAttr":$beta2,
                        "::mlir::FloatAttr":$eps, "::mlir::FloatAttr":$weight_decay,
                        "bool":$bias_correction, "bool":$adam_w_mode);
}

def Graph_MixedPrecisionAttr : Graph_Attr<"MixedPrecision", "mixed_precision"> {
  let summary = "In which types a model in f32 is computed and its parameters are held";
  let description = [{
    `compute` is that of matrix products, convolutions and attention. `parameters` is that of the parameters that the model
    sees: f32 (products convert them, as torch.autocast does) or that of `compute` (they are copies of f32 masters).

    ```mlir
    #graph.mixed_precision<compute = bf16, parameters = bf16>
    ```
  }];
  let parameters = (ins "::mlir::Type":$compute, "::mlir::Type":$parameters);
}

def Graph_LossScaleAttr : Graph_Attr<"LossScale", "loss_scale"> {
  let summary = "By what the loss is multiplied, so that gradients in f16 do not vanish";
  let description = [{
    The scale starts at `initial`; the other parameters are those of `graph.update_loss_scale`.

    ```mlir
    #graph.loss_scale<initial = 65536.0 : f64, window = 1000, hysteresis = 2, consecutive_hysteresis = false, minimum = 1.0 : f64>
    ```
  }];
  let parameters = (ins "::mlir::FloatAttr":$initial, "int64_t":$window, "int64_t":$hysteresis, "bool":$consecutive_hysteresis,
                        "::mlir::FloatAttr":$minimum);
}

//===----------------------------------------------------------------------===//
// Types and base classes
//===----------------------------------------------------------------------===//

class Graph_TensorOf<list<Type> types> : StaticShapeTensorOf<types>;

def Graph_Tensor : Graph_TensorOf<[F32, BF16, F16, F64, I64, I32, I8, I1]>;
def Graph_Float : Graph_TensorOf<[F32, BF16, F16, F64]>;
def Graph_Number : Graph_TensorOf<[F32, BF16, F16, F64, I64, I32, I8]>;
def Graph_Bool : Graph_TensorOf<[I1]>;
def Graph_Index : Graph_TensorOf<[I64, I32]>;
def Graph_Counter : Type<
    And<[Graph_TensorOf<[I64]>.predicate,
         CPred<"::llvm::cast<::mlir::RankedTensorType>($_self).getShape() == ::llvm::ArrayRef<int64_t>{3}">]>,
    "random counter tensor<3xi64>", "::mlir::RankedTensorType">;
def Graph_Offsets : Type<
    And<[Graph_TensorOf<[I64]>.predicate,
         CPred<"::llvm::cast<::mlir::RankedTensorType>($_self).getRank() == 1">]>,
    "vector of i64", "::mlir::RankedTensorType">;
class Graph_Scalar<Type type> : Type<
    And<[Graph_TensorOf<[type]>.predicate,
         CPred<"::llvm::cast<::mlir::RankedTensorType>($_self).getRank() == 0">]>,
    "scalar tensor of " # type.summary, "::mlir::RankedTensorType">;

def Graph_Elementwise : NativeOpTrait<"Elementwise"> {
  let cppNamespace = "::deepshard::graph";
}

class Graph_Op<string mnemonic, list<Trait> traits = []>
    : Op<Graph_Dialect, mnemonic, !listconcat([Pure], traits)>;

/// An op that is a kernel of provider "reference".
class Graph_Primitive<string mnemonic, list<Trait> traits = []>
    : Graph_Op<mnemonic, !listconcat([DeclareOpInterfaceMethods<EvaluableOpInterface>], traits)>;

/// An op that has a decomposition.
class Graph_Composite<string mnemonic, list<Trait> traits = []>
    : Graph_Op<mnemonic, !listconcat([DeclareOpInterfaceMethods<DecomposableOpInterface>], traits)>;

defvar Graph_Differentiable = DeclareOpInterfaceMethods<DifferentiableOpInterface>;
/// Cost by the default (elementwise) or by an own method.
defvar Graph_DefaultCost = DeclareOpInterfaceMethods<CostOpInterface>;
defvar Graph_OwnCost = DeclareOpInterfaceMethods<CostOpInterface, ["getCost"]>;
/// Sharding rule and partition: both by default (pointwise, cloned), an own rule, or both of its own.
defvar Graph_PointwiseSharding = DeclareOpInterfaceMethods<ShardingRuleOpInterface>;
defvar Graph_OwnRule = DeclareOpInterfaceMethods<ShardingRuleOpInterface, ["getShardingRule"]>;
defvar Graph_OwnPartition = DeclareOpInterfaceMethods<ShardingRuleOpInterface, ["getShardingRule", "partition"]>;

#endif // DEEPSHARD_DIALECTS_GRAPH_GRAPHDIALECT
