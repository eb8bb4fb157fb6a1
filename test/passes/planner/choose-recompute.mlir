// RUN: ds-opt %s --pass-pipeline='builtin.module(differentiate,cse,func.func(choose-recompute{mode=full}))' \
// RUN:   --remarks-filter=recompute --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefixes=CHECK,FULL
// RUN: ds-opt %s --pass-pipeline='builtin.module(differentiate,cse,func.func(choose-recompute{mode=full inputs=1}))' \
// RUN:   --remarks-filter=recompute --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefixes=CHECK,ONE
// RUN: ds-opt %s --pass-pipeline='builtin.module(differentiate,cse,func.func(choose-recompute{mode=selective}))' \
// RUN:   --remarks-filter=recompute --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefixes=CHECK,SELECTIVE
// RUN: not ds-opt %s --pass-pipeline='builtin.module(func.func(choose-recompute{mode=some}))' 2>&1 | FileCheck %s --check-prefix=MODE

// MODE: error: choose-recompute: mode is "some"; expected "full" or "selective"

// A stem, two blocks x + gelu(x W) V, and a loss. By hand: the residual stream takes 512 x 512 x 4 bytes = 1 MiB, what is
// inside a block 2 MiB. The backward reads the input of each block, and of each gelu input (its gradient) and result (the
// gradient of V): 1 + 4 + 1 + 4 MiB; a block makes 4 MiB of it inside, and the first one the input of the second. x W
// takes 2 x 512 x 512 x 1024 = 0.5369 GFLOP, as much as the product with V, and gelu 5 x 512 x 1024 = 0.0026 GFLOP.
//
// Full: the inputs of the blocks are kept, 1 + 1 MiB, and the products with V are not computed again, for nobody reads them
// but the sums. Only one input: one of them is, for the input of the second block. Selective: the results of gelu.

// FULL: each of 2 equal blocks keeps 1.00 MiB for the backward instead of 5.00 MiB and computes 0.539 GFLOP again
// FULL: a micro-batch keeps 2.00 MiB for the backward instead of 10.00 MiB and computes 1.079 GFLOP again
// ONE: each of 2 equal blocks keeps 0.00 KiB for the backward instead of 5.00 MiB and computes 1.077 GFLOP again
// ONE: a micro-batch keeps 1.00 MiB for the backward instead of 10.00 MiB and computes 1.616 GFLOP again
// SELECTIVE: each of 2 equal blocks keeps 3.00 MiB for the backward instead of 5.00 MiB and computes 0.003 GFLOP again
// SELECTIVE: a micro-batch keeps 6.00 MiB for the backward instead of 10.00 MiB and computes 0.005 GFLOP again

// CHECK-LABEL: func @forward
// FULL: graph.linear {{.*}}{graph.phase = "forward"}
// FULL: graph.linear {{.*}}graph.recompute = "full"
// FULL: graph.gelu {{.*}}graph.recompute = "full"
// FULL: graph.linear {{.*}}graph.recompute = "full"
// FULL: graph.add {{.*}}{graph.phase = "forward"}
// FULL: graph.linear {{.*}}graph.recompute = "full"
// FULL: graph.gelu {{.*}}graph.recompute = "full"
// FULL: graph.linear {{.*}}graph.recompute = "full"
// FULL: graph.add {{.*}}{graph.phase = "forward"}
// ONE: graph.linear {{.*}}{graph.phase = "forward"}
// ONE-COUNT-7: graph.recompute = "full"
// ONE: graph.add {{.*}}{graph.phase = "forward"}
// SELECTIVE: graph.linear {{.*}}{graph.phase = "forward"}
// SELECTIVE: graph.linear {{.*}}{graph.phase = "forward"}
// SELECTIVE: graph.gelu {{.*}}graph.recompute = "selective"
// SELECTIVE: graph.linear {{.*}}{graph.phase = "forward"}
// SELECTIVE: graph.add {{.*}}{graph.phase = "forward"}
// SELECTIVE: graph.linear {{.*}}{graph.phase = "forward"}
// SELECTIVE: graph.gelu {{.*}}graph.recompute = "selective"
// CHECK-NOT: graph.recompute
func.func @forward(%x: tensor<512x64xf32> {graph.input = "x"}, %u: tensor<64x512xf32> {graph.parameter = "u"},
                   %w1: tensor<512x1024xf32> {graph.parameter = "w1"}, %v1: tensor<1024x512xf32> {graph.parameter = "v1"},
                   %w2: tensor<512x1024xf32> {graph.parameter = "w2"}, %v2: tensor<1024x512xf32> {graph.parameter = "v2"})
    -> (tensor<f32> {graph.output = "loss"}) {
  %x0 = graph.linear %x, %u : tensor<512x64xf32>, tensor<64x512xf32>
  %h1 = graph.linear %x0, %w1 : tensor<512x512xf32>, tensor<512x1024xf32>
  %g1 = graph.gelu %h1 : tensor<512x1024xf32>
  %o1 = graph.linear %g1, %v1 : tensor<512x1024xf32>, tensor<1024x512xf32>
  %x1 = graph.add %x0, %o1 : tensor<512x512xf32>, tensor<512x512xf32>
  %h2 = graph.linear %x1, %w2 : tensor<512x512xf32>, tensor<512x1024xf32>
  %g2 = graph.gelu %h2 : tensor<512x1024xf32>
  %o2 = graph.linear %g2, %v2 : tensor<512x1024xf32>, tensor<1024x512xf32>
  %x2 = graph.add %x1, %o2 : tensor<512x512xf32>, tensor<512x512xf32>
  %loss = graph.reduce_sum %x2 dims [0, 1] : tensor<512x512xf32>
  return %loss : tensor<f32>
}
