// RUN: ds-opt %s --pass-pipeline='builtin.module(func.func(fuse-cross-entropy),choose-kernels,cse,fuse-kernels,lower-to-plan,plan.program(synchronize-streams,reuse-inputs,pack-buffers))' | FileCheck %s
// RUN: ds-opt %s --pass-pipeline='builtin.module(func.func(fuse-cross-entropy),choose-kernels{gpu=true},cse,fuse-kernels,lower-to-plan{gpu=true},plan.program(synchronize-streams,reuse-inputs,pack-buffers))' | FileCheck %s --check-prefix=GPU

// In the plan the gradient takes the place of the logits: one buffer has their size (2 x 4 x 96 x 4 bytes), and one kernel
// reads them.
// CHECK-LABEL: plan.program
// CHECK: bytes 3072
// CHECK-NOT: bytes 3072
// CHECK: plan.launch "native" "cross_entropy_with_grad" ins({{.*}} : !plan.view<2x4x96xf32>, {{.*}}) outs({{.*}} : !plan.view<2x4x96xf32>, !plan.view<f32>){{.*}} overwrites [0]
// GPU-LABEL: plan.program
// GPU: bytes 3072
// GPU-NOT: bytes 3072
// GPU-NOT: "gather"
// GPU: plan.launch "generated" {{.*}} ins({{.*}} : !plan.view<2x4x96xf32>, {{.*}}) outs({{.*}} : !plan.view<2x4x96xf32>, !plan.view<2x4x1xf32>) overwrites [0]
module {
  func.func @micro_batch(%x: tensor<2x4x16xf32> {graph.input = "x"}, %w: tensor<96x16xf32> {graph.input = "w"},
                         %t: tensor<2x5xi64> {graph.input = "t"})
      -> (tensor<f32> {graph.metric = "loss"}, tensor<f32> {graph.metric = "x"}) {
    %one = graph.constant {graph.phase = "backward"} dense<1.0> : tensor<f32>
    %logits = graph.linear %x, %w transpose_weight {graph.phase = "forward"} : tensor<2x4x16xf32>, tensor<96x16xf32>
    %target = graph.slice %t [0, 1] to [2, 5] by [1, 1] {graph.phase = "forward"} : tensor<2x5xi64>
    %sum, %count, %lse = graph.cross_entropy %logits, %target ignore_index -100 {graph.phase = "forward"} : tensor<2x4x96xf32>, tensor<2x4xi64>
    %loss = graph.div %sum, %count {graph.phase = "forward"} : tensor<f32>, tensor<f32>
    %share = graph.div %one, %count {graph.phase = "backward"} : tensor<f32>, tensor<f32>
    %again = graph.slice %t [0, 1] to [2, 5] by [1, 1] {graph.phase = "backward"} : tensor<2x5xi64>
    %d = graph.cross_entropy_grad %logits, %again, %lse, %share ignore_index -100 {graph.phase = "backward"} : tensor<2x4x96xf32>, tensor<2x4xi64>, tensor<2x4xf32>, tensor<f32>
    %dx = graph.matmul %d, %w batch [] x [] contract [2] x [0] {graph.phase = "backward"} : tensor<2x4x96xf32>, tensor<96x16xf32>
    %mx = graph.reduce_max %dx dims [0, 1, 2] {graph.phase = "backward"} : tensor<2x4x16xf32>
    return %loss, %mx : tensor<f32>, tensor<f32>
  }
}
