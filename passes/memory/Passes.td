//===- Passes.td - what is kept, and where every byte lies ---------------------------*- tablegen -*-===//
//
// In the order of the pipeline, `chunk-rows` and `recompute` long before the others: on graph ops, behind `partition`.
//
//===-------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_PASSES_MEMORY_PASSES
#define DEEPSHARD_PASSES_MEMORY_PASSES

include "mlir/Pass/PassBase.td"

def ChunkRows : Pass<"chunk-rows", "::mlir::func::FuncOp"> {
  let summary = "Compute a wide value, and all that is made of it, a chunk of its rows at a time";
  let description = [{
    The logits of a language model (rows x vocabulary) are often the largest value of all. Their forward and backward need not
    wait for each other: a loss is a sum over rows, and the gradient of a row needs no other row. So logits, loss, their
    gradient and what is made of that are computed for some rows, then for the next ones.

    Nothing is recognised by name. A forward op whose result is wider than the rows that it is made of is taken with all ops
    that read something so wide, if each of them works row by row (its sharding rule says so: rows pass through, or leave sums)
    up to what is narrow again, and if nothing in there needs all rows at once (RowRegion.h). Results that have rows are joined
    (`concat`), sums are added up chunk by chunk. Collectives do not work row by row: a vocabulary that ranks share is
    not cut.

    Rows are cut along the outermost dimension, and along the next one only where that is cut into single indices. All of
    it is of phase "backward" then, with what depends on it: parameters are gathered once for it. `graph.chunk`
    keeps `fuse-kernels` from joining ops of several chunks, which would bring the whole value back.

    With `chunks` = 0 the number follows from the shapes alone: chunks of about 32 MiB of values of 128 MiB or more, as long as
    reading the weights and adding to their gradient once more a chunk moves no more bytes than are saved. Else there are at
    least so many chunks, as long as there are rows.

    Requires: a function with its gradients (`differentiate`), whole or local (`partition`), before `recompute`. Leaves: where it cut, no
    value with all rows of the wide one.

    Input:
    ```mlir
    %l = graph.linear %x, %w transpose_weight {graph.phase = "forward"} : tensor<4x2xf32>, tensor<9x2xf32>
    %sum, %count, %lse = graph.cross_entropy %l, %t ignore_index -100 {graph.phase = "forward"} : tensor<4x9xf32>, tensor<4xi64>
    %dl = graph.cross_entropy_grad %l, %t, %lse, %one ignore_index -100 {graph.phase = "backward"} : ...
    %dx = graph.matmul %dl, %w batch [] x [] contract [1] x [0] {graph.phase = "backward"} : tensor<4x9xf32>, tensor<9x2xf32>
    ```

    Output, with chunks = 2:
    ```mlir
    %x0 = graph.slice %x [0, 0] to [2, 2] by [1, 1] {graph.chunk = 0, graph.phase = "backward"} : tensor<4x2xf32>
    %l0 = graph.linear %x0, %w transpose_weight {graph.chunk = 0, ...} : tensor<2x2xf32>, tensor<9x2xf32>
    ...
    %dx0 = graph.matmul %dl0, %w batch [] x [] contract [1] x [0] {graph.chunk = 0, ...} : tensor<2x9xf32>, tensor<9x2xf32>
    %x1 = graph.slice %x [2, 0] to [4, 2] by [1, 1] {graph.chunk = 1, ...} : tensor<4x2xf32>
    ...
    %sum = graph.add %sum0, %sum1 {graph.chunk = 1, ...} : tensor<f32>, tensor<f32>
    ...
    %dx = graph.concat %dx0, %dx1 dim 0 {graph.phase = "backward"} : tensor<2x2xf32>, tensor<2x2xf32>
    ```
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect"];
  let options = [Option<"chunks", "chunks", "int64_t", /*default=*/"0", "So many chunks; 0: as many as pay">];
}

def Recompute : Pass<"recompute", "::mlir::func::FuncOp"> {
  let summary = "Compute marked values again in the backward instead of keeping them";
  let description = [{
    A forward value with a reader in the backward lives from the one to the other. Obeys `graph.recompute`: where the
    backward reads the result of a marked op, that op and the marked ones which it needs are cloned in front of the first
    reader, down to values that are kept: results of ops without a mark, parameters, inputs, counters. So a value is computed again
    as late as possible, once, and what a marked op reads of unmarked ones is kept instead of its result.

    Clones have the location and the attributes of their ops; random ops keep their `id`, so dropout drops the same elements.
    Their phase is "backward". That is also the barrier which keeps them: ops of different phases are never merged (CSE
    compares attributes), and ZeRO-3 lets them read what is gathered for the backward. The results are bit for bit those of
    the function without marks.

    Requires: a function with its gradients (`differentiate`), whole or local (`partition`). Leaves: no `graph.recompute`.
    Marked ops that only the backward needed are gone.

    Input:
    ```mlir
    %h = graph.linear %x, %w {graph.phase = "forward"} : tensor<2x4xf32>, tensor<4x8xf32>
    %y = graph.exp %h {graph.phase = "forward", graph.recompute = "selective"} : tensor<2x8xf32>
    %z = graph.linear %y, %v {graph.phase = "forward"} : tensor<2x8xf32>, tensor<8x3xf32>
    ...
    %dv = graph.matmul %y, %dz batch [] x [] contract [0] x [0] {graph.phase = "backward"} : tensor<2x8xf32>, tensor<2x3xf32>
    ```

    Output:
    ```mlir
    %h = graph.linear %x, %w {graph.phase = "forward"} : tensor<2x4xf32>, tensor<4x8xf32>
    %y = graph.exp %h {graph.phase = "forward"} : tensor<2x8xf32>
    %z = graph.linear %y, %v {graph.phase = "forward"} : tensor<2x8xf32>, tensor<8x3xf32>
    ...
    %again = graph.exp %h {graph.phase = "backward"} : tensor<2x8xf32>
    %dv = graph.matmul %again, %dz batch [] x [] contract [0] x [0] {graph.phase = "backward"} : tensor<2x8xf32>, tensor<2x3xf32>
    ```
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect"];
}

def RepeatConversionsPass : Pass<"repeat-conversions", "::mlir::func::FuncOp"> {
  let summary = "Widen a narrow value again at each use instead of keeping the wide copy";
  let description = [{
    What the backward reads of a bf16 value is often its f32 copy, which the forward has made: kept, it takes twice the memory
    of the value. A conversion from bf16 or f16 to f32 is repeated in front of its uses; uses of one phase that lie close
    together share a copy. It is exact, so nothing else changes.

    Run it behind the last elimination of common subexpressions, which would undo it.

    Input:
    ```mlir
    %0 = graph.convert %x {graph.phase = "forward"} : tensor<4xbf16> to tensor<4xf32>
    %1 = graph.tanh %0 {graph.phase = "forward"} : tensor<4xf32>
    %2 = graph.mul %0, %d {graph.phase = "backward"} : tensor<4xf32>, tensor<4xf32>
    ```

    Output:
    ```mlir
    %0 = graph.convert %x {graph.phase = "forward"} : tensor<4xbf16> to tensor<4xf32>
    %1 = graph.tanh %0 {graph.phase = "forward"} : tensor<4xf32>
    %2 = graph.convert %x {graph.phase = "backward"} : tensor<4xbf16> to tensor<4xf32>
    %3 = graph.mul %2, %d {graph.phase = "backward"} : tensor<4xf32>, tensor<4xf32>
    ```
  }];
  let dependentDialects = ["::deepshard::graph::GraphDialect"];
}

def PackBuffersPass : Pass<"pack-buffers", "::deepshard::plan::ProgramOp"> {
  let summary = "Give every buffer its offset in the arena";
  let description = [{
    Persistent buffers, and step buffers that are read after the step (metrics), lie one after another at the start of the
    arena. Other buffers live from the first task that touches them to the last (of a task of another stream, until the
    compute stream has waited for it), step buffers through all calls of a segment that is called again; behind the
    persistent ones, they share bytes if they never live together. So the gradients of a step with one micro-batch lie where
    activations died. Several greedy orders are tried and the smallest result is kept (Packing.h).

    Input:
    ```mlir
    %a = plan.buffer "a" persistent bytes 100 align 64
    %b = plan.buffer "b" transient bytes 64 align 64    // tasks 0 and 1
    %c = plan.buffer "c" transient bytes 64 align 64    // tasks 2 and 3
    ```

    Output:
    ```mlir
    %a = plan.buffer "a" persistent bytes 100 align 64 offset 0
    %b = plan.buffer "b" transient bytes 64 align 64 offset 128
    %c = plan.buffer "c" transient bytes 64 align 64 offset 128
    ```

    Buffers marked `window` lie in an arena of their own. Buffers that do not live always are moved there (and marked) where it has room all
    their life while the other arena is at its peak, if that makes the sum of both smaller.

    Leaves: offsets on all buffers; `arena`, `window` and `max_live` (the bound that liveness gives) on the program. Buffers that
    no task or table uses are erased.
  }];
  let dependentDialects = ["::deepshard::plan::PlanDialect"];
}

def ReuseInputsPass : Pass<"reuse-inputs", "::deepshard::plan::ProgramOp"> {
  let summary = "Let results take the place of inputs that nobody reads again";
  let description = [{
    Where a task makes a transient buffer from one of the same type that it may overwrite (`overwrites`) and that nothing
    touches behind it (also no task of another stream that still runs), the two become one buffer. A chain of elementwise tasks
    then works in one place: it needs less memory and reads what lies in the caches.

    Input:
    ```mlir
    %a = plan.buffer "a" transient bytes 64 align 64
    %b = plan.buffer "b" transient bytes 64 align 64
    ...
    plan.launch "reference" "exp" ins(%view_of_a : ...) outs(%view_of_b : ...) overwrites [0] on 0 ...
    // b is read, a is not
    ```

    Output:
    ```mlir
    %a = plan.buffer "a" transient bytes 64 align 64
    ...
    plan.launch "reference" "exp" ins(%view_of_a : ...) outs(%other_view_of_a : ...) overwrites [0] on 0 ...
    ```

    Expects: streams are synchronised (synchronize-streams). Buffers of the window are not mixed with others.
  }];
}

#endif // DEEPSHARD_PASSES_MEMORY_PASSES
