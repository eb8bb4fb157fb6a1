// One small step on two ranks; the stage and the ways to reduce and to gather are set by the RUN lines.
//
// RUN: sed -e 's/STAGE/0/; s/REDUCTION/step/; s/GATHER/regather/; s/STEPS/1/' %s | ds-opt - --create-update --shard-buckets | FileCheck %s --check-prefix=STAGE0
// RUN: sed -e 's/STAGE/1/; s/REDUCTION/step/; s/GATHER/regather/; s/STEPS/2/' %s | ds-opt - --accumulate-gradients --create-update --shard-buckets | FileCheck %s --check-prefix=STAGE1
// RUN: sed -e 's/STAGE/2/; s/REDUCTION/micro_batch/; s/GATHER/regather/; s/STEPS/2/' %s | ds-opt - --accumulate-gradients --create-update --shard-buckets | FileCheck %s --check-prefix=STAGE2
// RUN: sed -e 's/STAGE/3/; s/REDUCTION/step/; s/GATHER/regather/; s/STEPS/1/' %s | ds-opt - --create-update --shard-buckets | FileCheck %s --check-prefix=STAGE3
// RUN: sed -e 's/STAGE/3/; s/REDUCTION/step/; s/GATHER/step/; s/STEPS/1/' %s | ds-opt - --create-update --shard-buckets | FileCheck %s --check-prefix=ONCE
// RUN: sed -e 's/"data" = 2/"data" = 4/; s/axes = <{"data"}>/axes = <{"data":(2)2}>, copies = <{"data":(1)2}>/; s/STAGE/3/; s/REDUCTION/step/; s/GATHER/regather/; s/STEPS/1/' %s | ds-opt - --create-update --shard-buckets | FileCheck %s --check-prefix=COPIES
// RUN: sed -e 's/"data" = 2/"data" = 4/; s/kept_whole/regather_over = <{"data":(2)2}>, kept_whole/; s/STAGE/3/; s/REDUCTION/step/; s/GATHER/regather/; s/STEPS/1/' %s | ds-opt - --create-update --shard-buckets | FileCheck %s --check-prefix=NEAR
// RUN: sed -e 's/"data" = 2/"data" = 2, "context" = 2/; s/stage = STAGE/copies = <{"context"}>, stage = 1/; s/REDUCTION/step/; s/GATHER/regather/; s/STEPS/1/' %s | ds-opt - --create-update --shard-buckets | FileCheck %s --check-prefix=CONTEXT
// RUN: sed -e 's/"data" = 2/"data" = 2, "context" = 2/; s/stage = STAGE/copies = <{"context"}>, stage = 0/; s/REDUCTION/step/; s/GATHER/regather/; s/STEPS/1/' %s | ds-opt - --create-update --shard-buckets | FileCheck %s --check-prefix=WHOLE
// RUN: sed -e 's/"data" = 2/"data" = 2, "context" = 3/; s/stage = STAGE/copies = <{"context"}>, stage = 0/; s/REDUCTION/step/; s/GATHER/regather/; s/STEPS/1/' %s | ds-opt - --create-update --shard-buckets | FileCheck %s --check-prefix=THIRDS
// RUN: sed -e 's/"data" = 2/"context" = 2/; s/axes = <{"data"}>, stage = STAGE/axes = <{}>, copies = <{"context"}>, stage = 3/; s/REDUCTION/step/; s/GATHER/regather/; s/STEPS/2/' %s | ds-opt - --accumulate-gradients --create-update --shard-buckets | FileCheck %s --check-prefix=ALONE

// Everything is copied; the norm is taken part by part all the same.
// STAGE0-LABEL: func.func @micro_batch
// STAGE0-SAME: -> (tensor<f32> {{.*}}, tensor<32xf32> {graph.bucket = #graph.bucket<kind = "gradient", index = 0>, sharding.layout = #sharding.layout<@mesh, [{}]>})
// STAGE0: %[[B:.*]] = sharding.pack %{{.*}} offsets [0] {{.*}} : tensor<6xf32> to tensor<32xf32>
// STAGE0: %[[S:.*]] = sharding.all_reduce sum %[[B]] over @mesh {"data"}
// STAGE0: return %{{.*}}, %[[S]]
// STAGE0-LABEL: func.func @update
// STAGE0: %[[OWN:.*]] = sharding.local_slice %{{.*}} over @mesh {"data"} dim 0 {{.*}} : tensor<32xf32> to tensor<16xf32>
// STAGE0: %[[Q:.*]] = graph.sum_squares %[[OWN]]
// STAGE0: sharding.all_reduce sum %{{.*}} over @mesh {"data"} {{.*}} : tensor<1xf64>
// STAGE0: graph.adamw {{.*}} : tensor<32xf32>, tensor<32xf32>, tensor<32xf32>, tensor<32xf32>
// STAGE0-NOT: sharding.all_gather

// Summands are accumulated whole and reduced once; the optimizer's state and its step are cut.
// STAGE1-LABEL: func.func @micro_batch
// STAGE1-SAME: graph.state = "gradient.w"
// STAGE1-NOT: sharding.
// STAGE1-LABEL: func.func @update
// STAGE1-SAME: %[[P:arg[0-9]+]]: tensor<32xf32>
// STAGE1-SAME: %[[G:arg[0-9]+]]: tensor<32xf32>
// STAGE1-SAME: tensor<16xf32> {graph.bucket = #graph.bucket<kind = "exp_avg", index = 0>, graph.state = "exp_avg.0", sharding.layout = #sharding.layout<@mesh, [{"data"}]>}
// STAGE1: %[[S:.*]] = sharding.reduce_scatter sum %[[G]] over @mesh {"data"} dim 0
// STAGE1: graph.sum_squares %[[S]]
// STAGE1: %[[OWN:.*]] = sharding.local_slice %[[P]] over @mesh {"data"} dim 0
// STAGE1: %[[NEW:.*]], %{{.*}}, %{{.*}} = graph.adamw %[[OWN]], %[[S]]
// STAGE1: sharding.all_gather %[[NEW]] over @mesh {"data"} dim 0 {{.*}} : tensor<16xf32> to tensor<32xf32>

// Reduced in each micro-batch, the own part is accumulated.
// STAGE2-LABEL: func.func @micro_batch
// STAGE2-SAME: %[[ACC:arg[0-9]+]]: tensor<16xf32> {graph.bucket = #graph.bucket<kind = "gradient", index = 0>, graph.state = "gradient.0"
// STAGE2: %[[S:.*]] = sharding.reduce_scatter sum
// STAGE2: graph.add %[[ACC]], %[[S]]
// STAGE2-LABEL: func.func @update
// STAGE2-NOT: sharding.reduce_scatter
// STAGE2: sharding.all_gather

// Parameters are gathered for the forward and again for the backward, and carry what they are to the shard.
// STAGE3-LABEL: func.func @micro_batch
// STAGE3-SAME: %[[SHARD:arg[0-9]+]]: tensor<16xf32> {graph.bucket = #graph.bucket<kind = "parameter", index = 0>, graph.members = [{{.*}}graph.parameter = "w"
// STAGE3: %[[F:.*]] = sharding.all_gather %[[SHARD]] over @mesh {"data"} dim 0 {graph.phase = "forward"}
// STAGE3: %[[W:.*]] = graph.slice %[[F]] [0] to [6] by [1]
// STAGE3: graph.mul
// STAGE3: %[[K:.*]] = sharding.all_gather %[[SHARD]] over @mesh {"data"} dim 0 {graph.phase = "backward"}
// STAGE3-LABEL: func.func @update
// STAGE3-SAME: tensor<16xf32> {graph.bucket = #graph.bucket<kind = "parameter", index = 0>
// STAGE3-NOT: sharding.all_gather

// ONCE-LABEL: func.func @gather
// ONCE: sharding.all_gather {{.*}} : tensor<16xf32> to tensor<32xf32>
// ONCE-LABEL: func.func @micro_batch
// ONCE-SAME: graph.member = #graph.member<kind = "gathered", index = 0, offset = 0>
// ONCE-NOT: sharding.all_gather

// Bytes are cut in two, two ranks have each part: it is reduced over these too.
// COPIES-LABEL: func.func @micro_batch
// COPIES-SAME: tensor<16xf32> {graph.bucket = #graph.bucket<kind = "parameter", index = 0>
// COPIES: %[[S:.*]] = sharding.reduce_scatter sum %{{.*}} over @mesh {"data":(2)2} dim 0 {{.*}} : tensor<32xf32> to tensor<16xf32>
// COPIES-NEXT: %[[A:.*]] = sharding.all_reduce sum %[[S]] over @mesh {"data":(1)2}
// COPIES: return %{{.*}}, %[[A]]
// COPIES-LABEL: func.func @update
// COPIES: sharding.all_reduce sum %{{.*}} over @mesh {"data":(2)2} {{.*}} : tensor<1xf64>
// COPIES-NOT: sharding.all_reduce

// Ranks with other pieces of the same samples hold summands too; a part counts once in the norm.
// CONTEXT-LABEL: func.func @micro_batch
// CONTEXT: %[[S:.*]] = sharding.reduce_scatter sum %{{.*}} over @mesh {"data"} dim 0 {{.*}} : tensor<32xf32> to tensor<16xf32>
// CONTEXT-NEXT: %[[A:.*]] = sharding.all_reduce sum %[[S]] over @mesh {"context"}
// CONTEXT: return %{{.*}}, %[[A]]
// CONTEXT-LABEL: func.func @update
// CONTEXT: sharding.all_reduce sum %{{.*}} over @mesh {"data"} {{.*}} : tensor<1xf64>
// CONTEXT-NOT: sharding.all_reduce

// One reduction over both, in the order in which a reduced part is added over the copies.
// WHOLE-LABEL: func.func @micro_batch
// WHOLE: sharding.all_reduce sum %{{.*}} over @mesh {"context", "data"} {{.*}} : tensor<32xf32>

// Halves of six ranks are not three copies of two: these are added apart, as at every stage.
// THIRDS-LABEL: func.func @micro_batch
// THIRDS: %[[S:.*]] = sharding.all_reduce sum %{{.*}} over @mesh {"data"} {{.*}} : tensor<32xf32>
// THIRDS-NEXT: sharding.all_reduce sum %[[S]] over @mesh {"context"} {{.*}} : tensor<32xf32>

// Without data ranks nothing is cut, and gradients are summed all the same.
// ALONE-LABEL: func.func @update
// ALONE-SAME: %[[G:arg[0-9]+]]: tensor<16xf32> {graph.bucket = #graph.bucket<kind = "gradient", index = 0>
// ALONE: %[[S:.*]] = sharding.all_reduce sum %[[G]] over @mesh {"context"}
// ALONE: graph.sum_squares %[[S]]
// ALONE-NOT: sharding.
// ALONE: graph.adamw

// The backward gathers from a neighbour what both have kept of the forward.
// NEAR-LABEL: func.func @micro_batch
// NEAR-SAME: %[[SHARD:arg[0-9]+]]: tensor<16xf32> {graph.bucket = #graph.bucket<kind = "parameter", index = 0>
// NEAR: %[[F:.*]] = sharding.all_gather %[[SHARD]] over @mesh {"data"} dim 0 {graph.phase = "forward"}
// NEAR: %[[HALF:.*]] = sharding.local_slice %[[F]] over @mesh {"data":(2)2} dim 0 {graph.phase = "forward"} : tensor<64xf32> to tensor<32xf32>
// NEAR: %[[KEPT:.*]] = sharding.pack %[[HALF]] offsets [0] {graph.phase = "forward"}
// NEAR: graph.mul
// NEAR: sharding.all_gather %[[KEPT]] over @mesh {"data":(2)2} dim 0 {graph.phase = "backward"} : tensor<32xf32> to tensor<64xf32>
// NEAR: sharding.reduce_scatter sum %{{.*}} over @mesh {"data"}

module attributes {graph.accumulation_steps = STEPS : i64, graph.gradient_clipping = 1.0 : f64,
                   graph.optimizer = #graph.adamw<learning_rate = 0.1 : f64, beta1 = 0.9 : f64, beta2 = 0.99 : f64,
                                                  eps = 1.0e-8 : f64, weight_decay = 0.0 : f64, bias_correction = true,
                                                  adam_w_mode = true>,
                   sharding.zero = #sharding.zero<axes = <{"data"}>, stage = STAGE, reduction = "REDUCTION", gather = "GATHER", kept_whole = 0>} {
  sharding.mesh @mesh ["data" = 2]
  func.func @forward(%w: tensor<6xf32> {graph.parameter = "w", sharding.layout = #sharding.layout<@mesh, [{}]>})
      -> (tensor<f32> {graph.metric = "loss", graph.output = "loss"}, tensor<6xf32> {graph.gradient = "w"}) {
    %0 = graph.mul %w, %w {graph.phase = "forward"} : tensor<6xf32>, tensor<6xf32>
    %1 = graph.reduce_sum %0 dims [0] {graph.phase = "forward"} : tensor<6xf32>
    %2 = graph.add %w, %w {graph.phase = "backward"} : tensor<6xf32>, tensor<6xf32>
    return %1, %2 : tensor<f32>, tensor<6xf32>
  }
}
