// RUN: ds-opt %s "--choose-kernels=gpu atomics" | FileCheck %s
// RUN: ds-opt %s --choose-kernels=gpu | FileCheck %s --check-prefix=SORTED
// RUN: ds-opt %s "--choose-kernels=atomics" | FileCheck %s --check-prefix=SORTED

// On GPUs, and where it is asked for.

// CHECK: graph.embedding_grad {{.*}}{graph.atomic, graph.provider = "cuda"}
// SORTED-NOT: graph.atomic
func.func @gradient(%dy: tensor<2x8x16xf32>, %ids: tensor<2x8xi64>) -> tensor<32x16xf32> {
  %0 = graph.embedding_grad %dy, %ids rows 32 : tensor<2x8x16xf32>, tensor<2x8xi64>
  return %0 : tensor<32x16xf32>
}
