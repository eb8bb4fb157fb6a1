//===- ConvolutionOps.td - convolution and its gradients ------------------------------*- tablegen -*-===//

#ifndef DEEPSHARD_DIALECTS_GRAPH_CONVOLUTIONOPS
#define DEEPSHARD_DIALECTS_GRAPH_CONVOLUTIONOPS

include "dialects/graph/GraphDialect.td"

/// How the kernel moves over the input, one entry per spatial dimension.
defvar Graph_WindowArguments = (ins DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$low, DenseI64ArrayAttr:$high,
                                    DenseI64ArrayAttr:$dilations, I64Attr:$groups);
defvar Graph_WindowFormat = "`strides` $strides `low` $low `high` $high `dilations` $dilations `groups` $groups";

def Graph_ConvolutionOp : Graph_Primitive<"convolution", [InferTypeOpAdaptor, Graph_OwnCost, Graph_Differentiable,
                                                          Graph_OwnPartition]> {
  let summary = "Sums of products of a kernel with the windows of x";
  let description = [{
    x: b x c x spatial..., weight: o x c/groups x kernel..., y: b x o x spatial...; channels are split into `groups`
    of neighbours, and output channels of a group see its input channels alone. Per spatial dimension

        y[i] = sum over 0 <= k < kernel of x[i stride + k dilation - low] weight[k]

    where x is zero outside (`low` in front of it, `high` behind). The kernel is not flipped, as in torch.nn.Conv2d. A
    bias is an add behind it. Products are accumulated in at least f32.

    Constraints:
    1. `x` has rank 3 to 5 and `weight` the same rank; element types agree
    2. `strides`, `low`, `high`, `dilations` have one entry per spatial dimension; strides and dilations are positive,
       `low` and `high` not negative
    3. `groups` is positive and divides dimension 0 of `weight`; dimension 1 of `x` is `groups` times that of `weight`
    4. no spatial size of `weight` is 0, and (kernel - 1) dilation + 1 is not larger than low + size + high

    ```mlir
    %y = graph.convolution %x, %w strides [2, 2] low [1, 1] high [1, 1] dilations [1, 1] groups 1
        : tensor<8x3x32x32xf32>, tensor<16x3x3x3xf32>      // 8x16x16x16
    ```
  }];
  let arguments = !con((ins Graph_Float:$x, Graph_Float:$weight), Graph_WindowArguments);
  let results = (outs Graph_Float:$y);
  let assemblyFormat = !strconcat("$x `,` $weight ", Graph_WindowFormat, " attr-dict `:` type($x) `,` type($weight)");
}

def Graph_ConvolutionInputGradOp : Graph_Primitive<"convolution_input_grad", [InferTypeOpAdaptor, Graph_OwnCost,
                                                                              Graph_OwnPartition]> {
  let summary = "The gradient of convolution with respect to x";
  let description = [{
    `sizes` are the spatial sizes of x, which a stride above 1 leaves open. (With another reading, the transposed
    convolution of `dy`.)

    Constraints:
    1. `dy` has rank 3 to 5 and `weight` the same rank; element types agree
    2. `sizes` has one entry per spatial dimension; the other attributes and `weight` are those of a convolution of an x
       of these sizes
    3. dimension 1 and the spatial dimensions of `dy` are those of its result

    ```mlir
    %dx = graph.convolution_input_grad %dy, %w sizes [32, 32] strides [2, 2] low [1, 1] high [1, 1] dilations [1, 1]
        groups 1 : tensor<8x16x16x16xf32>, tensor<16x3x3x3xf32>      // 8x3x32x32
    ```
  }];
  let arguments = !con((ins Graph_Float:$dy, Graph_Float:$weight, DenseI64ArrayAttr:$sizes), Graph_WindowArguments);
  let results = (outs Graph_Float:$dx);
  let assemblyFormat = !strconcat("$dy `,` $weight `sizes` $sizes ", Graph_WindowFormat,
                                  " attr-dict `:` type($dy) `,` type($weight)");
}

def Graph_ConvolutionWeightGradOp : Graph_Primitive<"convolution_weight_grad", [InferTypeOpAdaptor, Graph_OwnCost,
                                                                                Graph_OwnPartition]> {
  let summary = "The gradient of convolution with respect to weight";
  let description = [{
    `sizes` are the spatial sizes of the kernel, which a stride above 1 leaves open. The result has the operands' element
    type, or `element_type`, as that of matmul.

    Constraints:
    1. `dy` has rank 3 to 5 and `x` the same rank; element types agree; `element_type`, if given, is f32, and that of the
       operands is bf16 or f16
    2. `sizes` has one entry per spatial dimension; the other attributes and `x` are those of a convolution with a kernel
       of these sizes
    3. `groups` divides dimension 1 of `dy` and of `x`
    4. `dy` has the shape of its result

    ```mlir
    %dw = graph.convolution_weight_grad %dy, %x sizes [3, 3] strides [2, 2] low [1, 1] high [1, 1] dilations [1, 1]
        groups 1 : tensor<8x16x16x16xf32>, tensor<8x3x32x32xf32>      // 16x3x3x3
    ```
  }];
  let arguments = !con((ins Graph_Float:$dy, Graph_Float:$x, DenseI64ArrayAttr:$sizes), Graph_WindowArguments,
                       (ins OptionalAttr<TypeAttr>:$element_type));
  let results = (outs Graph_Float:$dweight);
  let assemblyFormat = !strconcat("$dy `,` $x `sizes` $sizes ", Graph_WindowFormat,
                                  " (`in` $element_type^)? attr-dict `:` type($dy) `,` type($x)");
}

#endif // DEEPSHARD_DIALECTS_GRAPH_CONVOLUTIONOPS
