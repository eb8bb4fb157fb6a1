//===- Passes.td - from the step's functions to the program of a rank ---------------*- tablegen -*-===//

#ifndef DEEPSHARD_PASSES_PLAN_PASSES
#define DEEPSHARD_PASSES_PLAN_PASSES

include "mlir/Pass/PassBase.td"

def LowerToPlanPass : Pass<"lower-to-plan", "::mlir::ModuleOp"> {
  let summary = "Turn the step's functions into a program of buffers and tasks";
  let description = [{
    `@micro_batch` and `@update` become segments of `plan.program @train`, run by a schedule of
    `graph.accumulation_steps` micro-batches and one update. Buckets, states and run state get buffers that outlive a
    segment, inputs a feed, every other value a transient buffer or, for reshape, transpose, slice and broadcast, a view
    of its operand's buffer where strides can say it. A result with a place of its own (a member of a bucket, a state)
    is computed there: in the buffer of its argument if that argument is not read later, else by a copy at the end.
    Accumulators, and the padding between members of gradient buckets, are zeroed
    by a segment of their own at the start of a step.

    A kernel that does not take an operand's strides gets a contiguous copy of it. Collectives run on a stream of their own;
    what other ranks reach into lies in window buffers. Tensors of a `sharding.pack` are computed in the bucket.

    Input:
    ```mlir
    func.func @micro_batch(%x: tensor<4x8xf32> {graph.input = "x", graph.batch_dimension = 0 : i64})
        -> (tensor<f32> {graph.metric = "loss"}) {
      %0 = graph.transpose %x [1, 0] : tensor<4x8xf32>
      %1 = graph.reduce_sum %0 dims [0, 1] {graph.phase = "forward", graph.provider = "reference"} : tensor<8x4xf32>
      return %1 : tensor<f32>
    }
    ```

    Output:
    ```mlir
    plan.program @train streams ["compute"] {
      %0 = plan.buffer "x" transient bytes 128 align 64
      %1 = plan.buffer "loss" step bytes 4 align 64
      plan.segment @micro_batch {
        %2 = plan.view %0 offset 0 : !plan.view<4x8xf32>
        plan.feed "x" %2 on 0 batch_dimension 0 : !plan.view<4x8xf32>
        %3 = plan.view %0 offset 0 : !plan.view<8x4xf32 strides [1, 8]>
        %4 = plan.view %1 offset 0 : !plan.view<f32>
        plan.launch "reference" "reduce_sum" ins(%3 : ...) outs(%4 : ...) on 0 ...
      }
      plan.schedule [#plan.call<@micro_batch, micro_batch = 0, slot = 0>]
      plan.metric "loss" ...
    }
    ```

    Requires: `choose-kernels`. Leaves: one program, buffers without offsets; the functions are gone.
  }];
  let dependentDialects = ["::deepshard::plan::PlanDialect"];
  let options = [
    Option<"threads", "threads", "int", /*default=*/"1", "Threads a rank will run its kernels with">,
    Option<"isGpu", "gpu", "bool", /*default=*/"false", "Whether the program runs on GPUs: which kernels copy, fill and are generated">,
    Option<"overlap", "overlap", "bool", /*default=*/"true", "Collectives run on a stream of their own">
  ];
}

def SynchronizeStreamsPass : Pass<"synchronize-streams", "::deepshard::plan::ProgramOp"> {
  let summary = "Insert events between the streams of a program";
  let description = [{
    A task of another stream than the compute stream waits for all that the compute stream did before it in the segment. A
    task of the compute stream waits for the tasks of other streams that use what it writes or write what it uses. When four
    tasks of another stream are under way, the compute stream waits for the first: the memory that they use is taken until
    then, and so a few buckets at a time and not all are. At the end of a segment it waits for the rest.

    Requires: `lower-to-plan`. Leaves: `plan.record` and `plan.wait`; on one stream nothing changes.

    Input:
    ```mlir
    plan.launch "native" "a" ins() outs(%g : ...) on 0 ...
    plan.collective "all_reduce" sum over <...> in(%g : ...) out(%g : ...) ... on 1 ...
    plan.launch "native" "b" ins() outs(%h : ...) on 0 ...
    plan.launch "native" "c" ins(%g : ...) outs(%h : ...) on 0 ...
    ```

    Output:
    ```mlir
    plan.launch "native" "a" ins() outs(%g : ...) on 0 ...
    plan.record 0 on 0
    plan.wait 0 on 1
    plan.collective "all_reduce" sum over <...> in(%g : ...) out(%g : ...) ... on 1 ...
    plan.record 1 on 1
    plan.launch "native" "b" ins() outs(%h : ...) on 0 ...
    plan.wait 1 on 0
    plan.launch "native" "c" ins(%g : ...) outs(%h : ...) on 0 ...
    ```
  }];
  let dependentDialects = ["::deepshard::plan::PlanDialect"];
}

#endif // DEEPSHARD_PASSES_PLAN_PASSES
