// RUN: ds-opt %s --pass-pipeline='builtin.module(choose-kernels,cse,fuse-kernels,lower-to-plan,plan.program(synchronize-streams,reuse-inputs,pack-buffers))' | FileCheck %s

// Logits of a padded vocabulary: the mask, the maximum and the sum of exponentials of each row are one kernel, which writes
// the masked logits, for their gradient, where the logits were. One buffer has their size (8 x 96 x 4 bytes).
// CHECK-LABEL: plan.program
// CHECK: bytes 3072
// CHECK-NOT: bytes 3072
// CHECK: plan.launch "generated" {{.*}} outs({{.*}} : !plan.view<8x96xf32>, {{.*}}) overwrites [1]
module {
  func.func @micro_batch(%x: tensor<8x16xf32> {graph.input = "x"}, %w: tensor<96x16xf32> {graph.input = "w"},
                         %is: tensor<1x96xi1> {graph.input = "is"})
      -> (tensor<f32> {graph.metric = "x"}) {
    %low = graph.constant {graph.phase = "forward"} dense<-1.0e9> : tensor<f32>
    %logits = graph.linear %x, %w transpose_weight {graph.phase = "forward"} : tensor<8x16xf32>, tensor<96x16xf32>
    %masked = graph.select %is, %logits, %low {graph.phase = "forward"} : tensor<1x96xi1>, tensor<8x96xf32>, tensor<f32>
    %m = graph.reduce_max %masked dims [1] keep_dims {graph.phase = "forward"} : tensor<8x96xf32>
    %d = graph.sub %masked, %m {graph.phase = "forward"} : tensor<8x96xf32>, tensor<8x1xf32>
    %e = graph.exp %d {graph.phase = "forward"} : tensor<8x96xf32>
    %s = graph.reduce_sum %e dims [1] keep_dims {graph.phase = "forward"} : tensor<8x96xf32>
    %dx = graph.matmul %masked, %w batch [] x [] contract [1] x [0] {graph.phase = "backward"} : tensor<8x96xf32>, tensor<96x16xf32>
    %y = graph.add %dx, %s {graph.phase = "backward"} : tensor<8x16xf32>, tensor<8x1xf32>
    %mx = graph.reduce_max %y dims [0, 1] {graph.phase = "backward"} : tensor<8x16xf32>
    return %mx : tensor<f32>
  }
}
