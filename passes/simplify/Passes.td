//===- Passes.td - from what an importer emits to what the rest reads -----------------*- tablegen -*-===//

#ifndef DEEPSHARD_PASSES_SIMPLIFY_PASSES
#define DEEPSHARD_PASSES_SIMPLIFY_PASSES

include "mlir/Pass/PassBase.td"

def VerifyImportedPass : Pass<"verify-imported", "::mlir::ModuleOp"> {
  let summary = "Check that a module is a program as an importer must leave it";
  let description = [{
    The border between the frontends and the compiler. Changes nothing. All faults are reported, not the first alone.

    1. The module holds at least one `func.func` with a body of one block.
    2. Every op is a graph op or the function's return; every type is a ranked, static tensor.
    3. Every argument has exactly one of `graph.parameter`, `graph.buffer`, `graph.input`, `graph.run_state`; names are
       unique among parameters and buffers, among inputs and among run state.
    4. `graph.batch_dimension` and `graph.sequence_dimension` stand on inputs only.
    5. Every result has a `graph.output` or a `graph.state`; outputs have different names.

    What a single attribute may say (names, dimensions, types of run state) the dialect checks with every module.

    ```mlir
    func.func @forward(%w: tensor<4x4xf32> {graph.parameter = "w"}, %x: tensor<2x4xf32> {graph.input = "x"})
        -> (tensor<2x4xf32> {graph.output = "y"}) {
      %y = graph.linear %x, %w : tensor<2x4xf32>, tensor<4x4xf32>
      return %y : tensor<2x4xf32>
    }
    ```
  }];
}

def FoldConstantsPass : Pass<"fold-constants", "::mlir::func::FuncOp"> {
  let summary = "Compute what depends on constants only";
  let description = [{
    Evaluates ops whose operands are all constants by the reference kernels. Random ops and ops with a result larger
    than `max-bytes` stay. What is only passed from one folded op to the next never becomes an attribute; a result that
    others read becomes a splat, a dense attribute up to 4 KiB, or a resource. An `iota` or a `broadcast` that only ops
    which stay read is left as the op, which is smaller than its data.

    Input:
    ```mlir
    func.func @causal_mask() -> (tensor<1x1x3x3xi1> {graph.output = "mask"}) {
      %row = graph.iota 0 : tensor<3x1xi64>
      %column = graph.iota 1 : tensor<1x3xi64>
      %seen = graph.compare "le" %column, %row : tensor<1x3xi64>, tensor<3x1xi64>
      %mask = graph.reshape %seen : tensor<3x3xi1> to tensor<1x1x3x3xi1>
      return %mask : tensor<1x1x3x3xi1>
    }
    ```

    Output:
    ```mlir
    %mask = graph.constant dense<[[[[true, false, false], [true, true, false], [true, true, true]]]]>
        : tensor<1x1x3x3xi1>
    ```
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect"];
  let options = [
    Option<"maxBytes", "max-bytes", "int64_t", /*default=*/"67108864",
           "Size of the largest tensor to compute, in bytes">
  ];
}

def SimplifyLayoutPass : Pass<"simplify-layout", "::mlir::func::FuncOp"> {
  let summary = "Remove views and transposes that a later op can do without";
  let description = [{
    Composes chains of reshape, transpose, broadcast, slice, concat and convert; gives the dimensions of a transposed
    operand to the matmul that reads it; makes a product with a weight matrix, and the bias added to it, a `linear`;
    lets a flattening of leading dimensions pass behind the ops that do not see it, where it meets its inverse. Every
    rewrite moves elements or composes maps between them: results are equal bit for bit.

    Input:
    ```mlir
    func.func @conv1d(%x: tensor<2x8x16xf32>, %w: tensor<16x64xf32> {graph.parameter = "w"}, %b: tensor<64xf32>)
        -> tensor<2x8x64xf32> {
      %rows = graph.reshape %x : tensor<2x8x16xf32> to tensor<16x16xf32>
      %xw = graph.matmul %rows, %w batch [] x [] contract [1] x [0] : tensor<16x16xf32>, tensor<16x64xf32>
      %sum = graph.add %b, %xw : tensor<64xf32>, tensor<16x64xf32>
      %y = graph.reshape %sum : tensor<16x64xf32> to tensor<2x8x64xf32>
      return %y : tensor<2x8x64xf32>
    }
    ```

    Output:
    ```mlir
    %y = graph.linear %x, %w, %b : tensor<2x8x16xf32>, tensor<16x64xf32>, tensor<64xf32>
    ```
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect"];
}

def RecognizeAttentionPass : Pass<"recognize-attention", "::mlir::func::FuncOp"> {
  let summary = "Recognise hand-written attention and constant causal masks";
  let description = [{
    1. `matmul(q, k^T)`, scaled before or after, masked by addition or selection, softmax over the keys, dropout, and
       `matmul(., v)` become `graph.attention`, which needs no score matrix in memory. Dropout keeps its id and counter,
       and the order of its elements, so the same probabilities are dropped. Key/value heads that are repeated by
       broadcast and reshape become grouped heads, also where the model calls attention itself. Conversions to a wider
       float around the softmax are left to the kernel, whose sums are at least f32.
    2. A mask that is a constant and sees every key is dropped; one that is the causal triangle (query i sees the keys
       j <= i + t - s, in every batch and head) becomes the flag `causal`.

    Results differ from the input's by rounding alone, with these conditions on masks. A float mask hides a key where it
    is -inf, <= -1e30 or the lowest finite number of its type; then the key's probability is exactly 0, as long as the
    query sees any key and scores stay far below that number. For a query that sees none, a softmax over -inf gives NaN
    and one over equal finite numbers the mean of v, but attention gives 0. So a finite mask is read as hiding keys only
    if it is constant and leaves every query a key; otherwise it is added as it is, which gives the mean too. Selection
    of -inf (whose rows without a key gave NaN and now give 0) becomes a mask of i1.
    A bias that depends on parameters stays written out, because attention has no gradient for its mask.
    A scale that is 1 / sqrt(d) after rounding to f32 is taken to be exactly that.

    Input:
    ```mlir
    func.func @eager(%q: tensor<2x4x3x8xf32>, %k: tensor<2x4x3x8xf32>, %v: tensor<2x4x3x8xf32>)
        -> tensor<2x4x3x8xf32> {
      %mask = graph.constant dense<[[0.0, -3.40282347E+38, -3.40282347E+38], [0.0, 0.0, -3.40282347E+38],
                                    [0.0, 0.0, 0.0]]> : tensor<3x3xf32>
      %scale = graph.constant dense<0.353553385> : tensor<f32>
      %qk = graph.matmul %q, %k batch [0, 1] x [0, 1] contract [3] x [3]
          : tensor<2x4x3x8xf32>, tensor<2x4x3x8xf32>
      %scaled = graph.mul %qk, %scale : tensor<2x4x3x3xf32>, tensor<f32>
      %masked = graph.add %scaled, %mask : tensor<2x4x3x3xf32>, tensor<3x3xf32>
      %p = graph.softmax %masked dim 3 : tensor<2x4x3x3xf32>
      %o = graph.matmul %p, %v batch [0, 1] x [0, 1] contract [3] x [2]
          : tensor<2x4x3x3xf32>, tensor<2x4x3x8xf32>
      return %o : tensor<2x4x3x8xf32>
    }
    ```

    Output:
    ```mlir
    %o, %lse = graph.attention %q, %k, %v scale 0.35355339059327373 causal
        : tensor<2x4x3x8xf32>, tensor<2x4x3x8xf32>, tensor<2x4x3x8xf32>
    ```
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect"];
}

def RecognizeGeluPass : Pass<"recognize-gelu", "::mlir::func::FuncOp"> {
  let summary = "Recognise gelu written out by tanh or erf";
  let description = [{
    x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) becomes `graph.gelu tanh` and x/2 (1 + erf(x / sqrt 2)) `graph.gelu`,
    in whatever order sums and products are written: both are compared as polynomials in x and in the tanh or erf. A
    coefficient matches if it differs from the formula's by no more than constants that are rounded to the element
    type (f32 if that is wider) can. Results differ by rounding alone.

    Input:
    ```mlir
    func.func @gpt2(%x: tensor<2x8xf32>) -> tensor<2x8xf32> {
      %half = graph.constant dense<0.5> : tensor<f32>
      %one = graph.constant dense<1.0> : tensor<f32>
      %three = graph.constant dense<3.0> : tensor<f32>
      %a = graph.constant dense<4.471500e-02> : tensor<f32>
      %c = graph.constant dense<0.797884583> : tensor<f32>
      %hx = graph.mul %x, %half : tensor<2x8xf32>, tensor<f32>
      %x3 = graph.pow %x, %three : tensor<2x8xf32>, tensor<f32>
      %ax3 = graph.mul %x3, %a : tensor<2x8xf32>, tensor<f32>
      %inner = graph.add %x, %ax3 : tensor<2x8xf32>, tensor<2x8xf32>
      %u = graph.mul %inner, %c : tensor<2x8xf32>, tensor<f32>
      %t = graph.tanh %u : tensor<2x8xf32>
      %t1 = graph.add %t, %one : tensor<2x8xf32>, tensor<f32>
      %y = graph.mul %hx, %t1 : tensor<2x8xf32>, tensor<2x8xf32>
      return %y : tensor<2x8xf32>
    }
    ```

    Output:
    ```mlir
    %y = graph.gelu tanh %x : tensor<2x8xf32>
    ```
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect"];
}

def BoundIndicesPass : Pass<"bound-indices", "::mlir::func::FuncOp"> {
  let summary = "Say which numbers an input may hold";
  let description = [{
    An input that is used as rows of a table (embedding), places along a dimension (gather) or classes (cross entropy,
    whose `ignore_index` is allowed too) gets `graph.index_bound`, the smallest of these sizes, and `graph.ignored_index`
    if every use allows it. Looks through ops that only move or widen the numbers, and through select(x != c, x, other),
    which ignores c. Data outside are refused when a plan is run.

    Input:
    ```mlir
    func.func @rows(%t: tensor<9x7xf32> {graph.parameter = "t"}, %ids: tensor<2xi64> {graph.input = "ids"}) -> tensor<2x7xf32> {
      %y = graph.embedding %t, %ids : tensor<9x7xf32>, tensor<2xi64>
      return %y : tensor<2x7xf32>
    }
    ```

    Output:
    ```mlir
    func.func @rows(..., %ids: tensor<2xi64> {graph.index_bound = 9 : i64, graph.input = "ids"}) -> tensor<2x7xf32> {
    ```
  }];
}

def JoinPadsPass : Pass<"join-pads", "::mlir::func::FuncOp"> {
  let summary = "Turn sums of zero-padded tensors that tile the whole into concatenations";
  let description = [{
    The gradient of a tensor that was read in slices is a sum of tensors padded with zeros. If they tile it along one
    dimension the sum is their concatenation, which no kernel has to compute when each part is written in its place.

    Input:
    ```mlir
    %a = graph.pad %x, %zero low [0, 0] high [0, 5] interior [0, 0] : tensor<2x3xf32>, tensor<f32>
    %b = graph.pad %y, %zero low [0, 3] high [0, 0] interior [0, 0] : tensor<2x5xf32>, tensor<f32>
    %c = graph.add %a, %b : tensor<2x8xf32>, tensor<2x8xf32>
    ```

    Output:
    ```mlir
    %c = graph.concat %x, %y dim 1 : tensor<2x3xf32>, tensor<2x5xf32>
    ```

    What else is in the sum is added to that.
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect"];
}

def SplitElementwisePass : Pass<"split-elementwise", "::mlir::func::FuncOp"> {
  let summary = "Move concatenations behind and slices in front of elementwise ops";
  let description = [{
    A concatenation that only elementwise ops read is never put together: they compute each part, and the parts of their
    results are joined. Where slices of an elementwise op's result are all that is read, by elementwise ops, it computes only
    those. So the rotary embedding is computed half by half, from halves of the query as they lie in the projection.
    Concatenations along the outermost dimension stay: their parts are computed in place.

    Input:
    ```mlir
    %n = graph.neg %high : tensor<4x4xf32>
    %r = graph.concat %n, %low dim 1 : tensor<4x4xf32>, tensor<4x4xf32>
    %y = graph.mul %r, %sin : tensor<4x8xf32>, tensor<8xf32>
    ```

    Output:
    ```mlir
    %n = graph.neg %high : tensor<4x4xf32>
    %s = graph.slice %sin [0] to [4] by [1] : tensor<8xf32>
    %a = graph.mul %n, %s : tensor<4x4xf32>, tensor<4xf32>
    %t = graph.slice %sin [4] to [8] by [1] : tensor<8xf32>
    %b = graph.mul %low, %t : tensor<4x4xf32>, tensor<4xf32>
    %y = graph.concat %a, %b dim 1 : tensor<4x4xf32>, tensor<4x4xf32>
    ```
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect"];
}

#endif // DEEPSHARD_PASSES_SIMPLIFY_PASSES
