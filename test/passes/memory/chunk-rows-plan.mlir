// RUN: ds-opt %s --pass-pipeline='builtin.module(func.func(chunk-rows{chunks=2}),choose-kernels,cse,fuse-kernels,lower-to-plan,plan.program(synchronize-streams,reuse-inputs,pack-buffers))' | FileCheck %s --check-prefix=CHUNKS
// RUN: ds-opt %s --pass-pipeline='builtin.module(func.func(chunk-rows{chunks=1}),choose-kernels,cse,fuse-kernels,lower-to-plan,plan.program(synchronize-streams,reuse-inputs,pack-buffers))' | FileCheck %s --check-prefix=WHOLE

// In the plan no buffer has all rows of the logits (8 x 96 x 4 = 3072 bytes), no kernel joins chunks, and the rows of dx are
// computed where they belong. Of a loss with a kernel and of one that is written out.

// WHOLE-LABEL: plan.program @train
// WHOLE: bytes 3072
// CHUNKS-LABEL: plan.program @train
// CHUNKS-NOT: bytes 3072
// CHUNKS: plan.segment @micro_batch
// CHUNKS-NOT: 8x96
// CHUNKS-NOT: "copy"
// CHUNKS: plan.schedule
module {
  func.func @micro_batch(%x: tensor<2x4x16xf32> {graph.input = "x"}, %w: tensor<96x16xf32> {graph.input = "w"},
                         %t: tensor<2x4xi64> {graph.input = "t"})
      -> (tensor<f32> {graph.metric = "loss"}, tensor<f32> {graph.metric = "x"}, tensor<f32> {graph.metric = "w"},
          tensor<f32> {graph.metric = "squares"}, tensor<f32> {graph.metric = "y"}) {
    %one = graph.constant dense<1.0> : tensor<f32>
    %logits = graph.linear %x, %w transpose_weight {graph.phase = "forward"} : tensor<2x4x16xf32>, tensor<96x16xf32>
    %sum, %count, %lse = graph.cross_entropy %logits, %t ignore_index -100 {graph.phase = "forward"} : tensor<2x4x96xf32>, tensor<2x4xi64>
    %loss = graph.div %sum, %count {graph.phase = "forward"} : tensor<f32>, tensor<f32>
    %share = graph.div %one, %count {graph.phase = "backward"} : tensor<f32>, tensor<f32>
    %d = graph.cross_entropy_grad %logits, %t, %lse, %share ignore_index -100 {graph.phase = "backward"} : tensor<2x4x96xf32>, tensor<2x4xi64>, tensor<2x4xf32>, tensor<f32>
    %dx = graph.matmul %d, %w batch [] x [] contract [2] x [0] {graph.phase = "backward"} : tensor<2x4x96xf32>, tensor<96x16xf32>
    %dw = graph.matmul %d, %x batch [] x [] contract [0, 1] x [0, 1] {graph.phase = "backward"} : tensor<2x4x96xf32>, tensor<2x4x16xf32>
    %mx = graph.reduce_max %dx dims [0, 1, 2] {graph.phase = "backward"} : tensor<2x4x16xf32>
    %mw = graph.reduce_max %dw dims [0, 1] {graph.phase = "backward"} : tensor<96x16xf32>

    %y = graph.linear %dx, %w transpose_weight {graph.phase = "forward"} : tensor<2x4x16xf32>, tensor<96x16xf32>
    %squares = graph.mul %y, %y {graph.phase = "forward"} : tensor<2x4x96xf32>, tensor<2x4x96xf32>
    %all = graph.reduce_sum %squares dims [0, 1, 2] {graph.phase = "forward"} : tensor<2x4x96xf32>
    %dy = graph.add %y, %y {graph.phase = "backward"} : tensor<2x4x96xf32>, tensor<2x4x96xf32>
    %z = graph.matmul %dy, %w batch [] x [] contract [2] x [0] {graph.phase = "backward"} : tensor<2x4x96xf32>, tensor<96x16xf32>
    %mz = graph.reduce_max %z dims [0, 1, 2] {graph.phase = "backward"} : tensor<2x4x16xf32>
    return %loss, %mx, %mw, %all, %mz : tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>
  }
}
