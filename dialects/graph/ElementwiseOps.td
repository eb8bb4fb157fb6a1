//===- ElementwiseOps.td - one element in, one element out --------------------*- tablegen -*-===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_ELEMENTWISEOPS
#define DEEPSHARD_DIALECTS_GRAPH_ELEMENTWISEOPS

include "dialects/graph/GraphDialect.td"

class Graph_Unary<string mnemonic, Constraint type, string formula, list<Trait> traits = [],
                  Trait sharding = Graph_PointwiseSharding>
    : Graph_Primitive<mnemonic, !listconcat([Graph_Elementwise, SameOperandsAndResultType, Graph_DefaultCost, sharding],
                                            traits)> {
  let summary = "Computes " # formula # " element by element";
  let arguments = (ins type:$x);
  let results = (outs type:$y);
  let assemblyFormat = "$x attr-dict `:` type($x)";
}

def Graph_NegOp : Graph_Unary<"neg", Graph_Number, "-x", [Graph_Differentiable], Graph_OwnRule>;
def Graph_AbsOp : Graph_Unary<"abs", Graph_Number, "|x|", [Graph_Differentiable]>;
def Graph_SignOp : Graph_Unary<"sign", Graph_Number, "the sign of x (0 at 0)", [Graph_Differentiable]>;
def Graph_FloorOp : Graph_Unary<"floor", Graph_Float, "the largest integer not above x", [Graph_Differentiable]>;
def Graph_ExpOp : Graph_Unary<"exp", Graph_Float, "e^x", [Graph_Differentiable]>;
def Graph_LogOp : Graph_Unary<"log", Graph_Float, "the natural logarithm of x", [Graph_Differentiable]>;
def Graph_SqrtOp : Graph_Unary<"sqrt", Graph_Float, "the square root of x", [Graph_Differentiable]>;
def Graph_RsqrtOp : Graph_Unary<"rsqrt", Graph_Float, "1 / sqrt(x)", [Graph_Differentiable]>;
def Graph_ReciprocalOp : Graph_Unary<"reciprocal", Graph_Float, "1 / x", [Graph_Differentiable]>;
def Graph_SinOp : Graph_Unary<"sin", Graph_Float, "sin(x)", [Graph_Differentiable]>;
def Graph_CosOp : Graph_Unary<"cos", Graph_Float, "cos(x)", [Graph_Differentiable]>;
def Graph_TanhOp : Graph_Unary<"tanh", Graph_Float, "tanh(x)", [Graph_Differentiable]>;
def Graph_ErfOp : Graph_Unary<"erf", Graph_Float, "the error function of x", [Graph_Differentiable]>;
def Graph_NdtrOp : Graph_Unary<"ndtr", Graph_Float,
                               "the standard normal distribution function of x, (1 + erf(x / sqrt 2)) / 2 without its cancellation,",
                               [Graph_Differentiable]>;
def Graph_SigmoidOp : Graph_Unary<"sigmoid", Graph_Float, "1 / (1 + e^-x)", [Graph_Differentiable]>;
def Graph_NotOp : Graph_Unary<"not", Graph_Bool, "the negation of x">;

def Graph_ConvertOp : Graph_Primitive<"convert", [Graph_Elementwise, SameOperandsAndResultShape, Graph_DefaultCost,
                                                  Graph_Differentiable, Graph_OwnRule]> {
  let summary = "Converts the element type";
  let description = [{
    Float to integer truncates towards zero, anything to i1 compares with 0, i1 to a number gives 0 or 1, a narrower
    float is rounded to nearest even.

    ```mlir
    %y = graph.convert %x : tensor<4xi64> to tensor<4xf32>
    ```
  }];
  let arguments = (ins Graph_Tensor:$x);
  let results = (outs Graph_Tensor:$y);
  let assemblyFormat = "$x attr-dict `:` type($x) `to` type($y)";
  let hasFolder = 1;
}

/// Binary ops broadcast as NumPy does: trailing dimensions align, a size of 1 or a missing dimension repeats.
class Graph_Binary<string mnemonic, Constraint type, string formula, list<Trait> traits = [],
                   Trait sharding = Graph_OwnRule>
    : Graph_Primitive<mnemonic, !listconcat([Graph_Elementwise, SameOperandsAndResultElementType, InferTypeOpAdaptor,
                                             Graph_DefaultCost, sharding], traits)> {
  let summary = "Computes " # formula # " element by element";
  let description = [{
    Constraints:
    1. both operands have the same element type
    2. shapes are compatible under NumPy's broadcasting; the result has the broadcast shape
  }];
  let arguments = (ins type:$lhs, type:$rhs);
  let results = (outs type:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs)";
}

def Graph_AddOp : Graph_Binary<"add", Graph_Number, "lhs + rhs", [Commutative, Graph_Differentiable]> { let hasFolder = 1; }
def Graph_SubOp : Graph_Binary<"sub", Graph_Number, "lhs - rhs", [Graph_Differentiable]> { let hasFolder = 1; }
def Graph_MulOp : Graph_Binary<"mul", Graph_Number, "lhs * rhs", [Commutative, Graph_Differentiable]> { let hasFolder = 1; }
def Graph_DivOp : Graph_Binary<"div", Graph_Number, "lhs / rhs (integers truncate)", [Graph_Differentiable]> { let hasFolder = 1; }
def Graph_PowOp : Graph_Binary<"pow", Graph_Float, "lhs to the power of rhs", [Graph_Differentiable],
                               Graph_PointwiseSharding> { let hasCanonicalizeMethod = 1; }
def Graph_MaximumOp : Graph_Binary<"maximum", Graph_Number, "the larger (NaN if either is)", [Commutative, Graph_Differentiable]>;
def Graph_MinimumOp : Graph_Binary<"minimum", Graph_Number, "the smaller (NaN if either is)", [Commutative, Graph_Differentiable]>;
def Graph_AndOp : Graph_Binary<"and", Graph_Bool, "logical and", [Commutative], Graph_PointwiseSharding>;
def Graph_OrOp : Graph_Binary<"or", Graph_Bool, "logical or", [Commutative], Graph_PointwiseSharding>;

def Graph_CompareOp : Graph_Primitive<"compare", [Graph_Elementwise, InferTypeOpAdaptor, Graph_DefaultCost,
                                                  Graph_PointwiseSharding]> {
  let summary = "Compares element by element";
  let description = [{
    Constraints:
    1. both operands have the same element type
    2. shapes are compatible under NumPy's broadcasting
    3. `direction` is one of eq, ne, lt, le, gt, ge

    ```mlir
    %m = graph.compare "le" %i, %j : tensor<4x1xi64>, tensor<1x4xi64>
    ```
  }];
  let arguments = (ins StrAttr:$direction, Graph_Tensor:$lhs, Graph_Tensor:$rhs);
  let results = (outs Graph_Bool:$result);
  let assemblyFormat = "$direction $lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs)";
  let hasVerifier = 1;
}

def Graph_SelectOp : Graph_Primitive<"select", [Graph_Elementwise, InferTypeOpAdaptor, Graph_DefaultCost,
                                                Graph_Differentiable, Graph_OwnRule]> {
  let summary = "Takes `on_true` where the predicate holds, else `on_false`";
  let description = [{
    Constraints:
    1. `on_true` and `on_false` have the same element type
    2. the three shapes are compatible under NumPy's broadcasting
  }];
  let arguments = (ins Graph_Bool:$predicate, Graph_Tensor:$on_true, Graph_Tensor:$on_false);
  let results = (outs Graph_Tensor:$result);
  let assemblyFormat = [{
    $predicate `,` $on_true `,` $on_false attr-dict `:` type($predicate) `,` type($on_true) `,` type($on_false)
  }];
  let hasFolder = 1;
}

def Graph_GeluOp : Graph_Composite<"gelu", [Graph_Elementwise, SameOperandsAndResultType, Graph_OwnCost,
                                            Graph_Differentiable, Graph_PointwiseSharding]> {
  let summary = "The Gaussian error linear unit, exact or by tanh";
  let description = [{
    Without `tanh`: x * ndtr(x), which is x/2 (1 + erf(x / sqrt 2)). With it: x * sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3), which equals
    x/2 (1 + tanh u) without its cancellation for negative x. (Hendrycks and Gimpel, arXiv 1606.08415.)
  }];
  let arguments = (ins Graph_Float:$x, UnitAttr:$tanh);
  let results = (outs Graph_Float:$y);
  let assemblyFormat = "(`tanh` $tanh^)? $x attr-dict `:` type($x)";
}

def Graph_GeluGradOp : Graph_Composite<"gelu_grad", [Graph_Elementwise, SameOperandsAndResultType, Graph_OwnCost,
                                                     Graph_OwnRule]> {
  let summary = "The gradient of gelu with respect to x";
  let arguments = (ins Graph_Float:$dy, Graph_Float:$x, UnitAttr:$tanh);
  let results = (outs Graph_Float:$dx);
  let assemblyFormat = "(`tanh` $tanh^)? $dy `,` $x attr-dict `:` type($x)";
}

#endif // DEEPSHARD_DIALECTS_GRAPH_ELEMENTWISEOPS
