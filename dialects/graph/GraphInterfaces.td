//===- GraphInterfaces.td - what passes may ask of a graph op --------------*- tablegen -*-===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_GRAPHINTERFACES
#define DEEPSHARD_DIALECTS_GRAPH_GRAPHINTERFACES

include "mlir/IR/OpBase.td"

def EvaluableOpInterface : OpInterface<"EvaluableOpInterface"> {
  let cppNamespace = "::deepshard::graph";
  let description = [{
    An op whose meaning is a kernel of provider "reference" in `runtime/kernels/reference`: a primitive. The kernel gets
    the operands in order; operands of elementwise ops are broadcast to the result's shape (stride 0) first.
  }];
  let methods = [
    InterfaceMethod<"Name of the kernel; by default the op's name without its dialect.",
      "::llvm::StringRef", "getKernelName", (ins), "", [{
        return $_op->getName().stripDialect();
      }]>,
    InterfaceMethod<"Attributes of the kernel; by default the op's inherent attributes.",
      "::mlir::DictionaryAttr", "getKernelAttributes", (ins), "", [{
        return inherentAttributes($_op.getOperation());
      }]>,
    InterfaceMethod<"Whether operands are broadcast to the shape of the result before the kernel sees them.",
      "bool", "isElementwise", (ins), "", [{
        return $_op->template hasTrait<::deepshard::graph::Elementwise>();
      }]>
  ];
}

def DecomposableOpInterface : OpInterface<"DecomposableOpInterface"> {
  let cppNamespace = "::deepshard::graph";
  let description = [{
    A composite op and its meaning in primitives (or in simpler composites). A provider may have a kernel for the
    composite; then it must agree with the decomposition up to rounding.
  }];
  let methods = [
    InterfaceMethod<[{
        Builds the primitives at the insertion point and returns the values that replace the results. Intermediate
        sums, means and softmax run in the element type of the op.
      }],
      "::mlir::FailureOr<::llvm::SmallVector<::mlir::Value>>", "decompose", (ins "::mlir::OpBuilder &":$builder)>
  ];
}

def DifferentiableOpInterface : OpInterface<"DifferentiableOpInterface"> {
  let cppNamespace = "::deepshard::graph";
  let description = [{
    Builds the vector-Jacobian product of an op. Formulas prefer the op's operands to its results where both serve,
    because operands can be recomputed.
  }];
  let methods = [
    InterfaceMethod<[{
        Emits the adjoint through `vjp`: reads cotangents of results (null: nothing flows into that result) and adds
        cotangents of the operands that `vjp.wants`.
      }],
      "::llvm::LogicalResult", "buildVjp", (ins "::deepshard::graph::VjpBuilder &":$vjp)>
  ];
}

def CostOpInterface : OpInterface<"CostOpInterface"> {
  let cppNamespace = "::deepshard::graph";
  let description = [{
    Exact work of an op on the shapes it has. By default: one operation per element of the results, every operand read
    once, every result written once.
  }];
  let methods = [
    InterfaceMethod<"Floating-point operations (a multiply-add counts two) and bytes.",
      "::deepshard::graph::OpCost", "getCost", (ins), "", [{
        return elementwiseCost($_op.getOperation());
      }]>
  ];
}

def ShardingRuleOpInterface : OpInterface<"ShardingRuleOpInterface"> {
  let cppNamespace = "::deepshard::graph";
  let description = [{
    How the op may be split over ranks, as data (`ShardingRule.h`), and the local ops that a rank then runs.
  }];
  let methods = [
    InterfaceMethod<[{
        Factors of the dimensions and operands that may be partial, for the types the op has. By default the op is
        pointwise in the dimensions of its first result, with NumPy's broadcasting, and no operand may be partial.
      }],
      "::deepshard::graph::ShardingRule", "getShardingRule", (ins), "", [{
        return pointwiseRule($_op.getOperation());
      }]>,
    InterfaceMethod<[{
        Builds the local ops at the insertion point of `partition` and returns the local results. By default the op
        itself on the local operands. An op brings its own method if it has special factors, attributes that hold sizes
        of dimensions that may be split, or operands that must not take part in each summand.
      }],
      "::mlir::FailureOr<::llvm::SmallVector<::mlir::Value>>", "partition",
      (ins "::deepshard::graph::PartitionBuilder &":$partition), "", [{
        return partitionByCloning($_op.getOperation(), partition);
      }]>
  ];
}

#endif // DEEPSHARD_DIALECTS_GRAPH_GRAPHINTERFACES
