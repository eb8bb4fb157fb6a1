// RUN: ds-opt %s -split-input-file -verify-diagnostics --lower-to-plan | FileCheck %s
// RUN: ds-opt %s -split-input-file -verify-diagnostics --lower-to-plan | FileCheck %s --check-prefix=TABLES

// CHECK-LABEL: plan.program @train streams ["compute"]
// CHECK: %[[X:.*]] = plan.buffer "x" transient bytes 128 align 64
// CHECK: %[[LOSS:.*]] = plan.buffer "loss" step bytes 4 align 64
// CHECK: plan.segment @micro_batch {
// CHECK-NEXT: %[[IN:.*]] = plan.view %[[X]] offset 0 : <4x8xf32>
// CHECK-NEXT: plan.feed "x" %[[IN]] on 0 batch_dimension 0 : <4x8xf32>
// CHECK-NEXT: %[[T:.*]] = plan.view %[[X]] offset 0 : <8x4xf32 strides [1, 8]>
// CHECK-NEXT: %[[OUT:.*]] = plan.view %[[LOSS]] offset 0 : <f32>
// CHECK-NEXT: plan.launch "reference" "reduce_sum" ins(%[[T]] : {{.*}}) outs(%[[OUT]] : {{.*}}) on 0 attributes {dims = array<i64: 0, 1>} flops {{[0-9]+}} phase "forward"
// CHECK: plan.metric "loss" %{{.*}} : <f32>
// CHECK: plan.schedule [#plan.call<@micro_batch, micro_batch = 0, slot = 0>]
module {
  func.func @micro_batch(%x: tensor<4x8xf32> {graph.input = "x", graph.batch_dimension = 0 : i64})
      -> (tensor<f32> {graph.metric = "loss"}) {
    %0 = graph.transpose %x [1, 0] : tensor<4x8xf32>
    %1 = graph.reduce_sum %0 dims [0, 1] {graph.phase = "forward", graph.provider = "reference"} : tensor<8x4xf32>
    return %1 : tensor<f32>
  }
}

// -----

// A reshape that strides cannot say gets a row-major copy; elementwise operands are broadcast by strides of 0; a splat
// constant takes one element.

// CHECK-LABEL: plan.program @train
// CHECK-DAG: %[[HALF:.*]] = plan.buffer "constant" persistent bytes 4 align 64 constant
// CHECK-DAG: %[[X:.*]] = plan.buffer "x" transient bytes 24
// CHECK-DAG: %[[COPY:.*]] = plan.buffer "reshape" transient bytes 24
// CHECK: plan.segment @micro_batch
// CHECK: plan.launch "reference" "copy"
// CHECK: %[[A:.*]] = plan.view %[[COPY]] offset 0 : <6xf32>
// CHECK: %[[B:.*]] = plan.view %[[HALF]] offset 0 : <6xf32 strides [0]>
// CHECK: plan.launch "reference" "mul" ins(%[[A]], %[[B]] :
module {
  func.func @micro_batch(%x: tensor<2x3xf32> {graph.input = "x"}) -> (tensor<f32> {graph.metric = "y"}) {
    %half = graph.constant dense<5.0e-01> : tensor<1xf32>
    %0 = graph.transpose %x [1, 0] : tensor<2x3xf32>
    %1 = graph.reshape %0 : tensor<3x2xf32> to tensor<6xf32>
    %2 = graph.mul %1, %half {graph.provider = "reference"} : tensor<6xf32>, tensor<1xf32>
    %3 = graph.reduce_sum %2 dims [0] {graph.provider = "reference"} : tensor<6xf32>
    return %3 : tensor<f32>
  }
}

// -----

// Members of buckets are views; an accumulator is updated in place and zeroed at the start of the step; the update
// runs once, in place.

// CHECK-LABEL: plan.program @train
// CHECK-DAG: %[[P:.*]] = plan.buffer "parameter.0" persistent bytes 128
// CHECK-DAG: %[[G:.*]] = plan.buffer "gradient.0" step of "gradient" bytes 128
// CHECK: plan.segment @zero
// CHECK: %[[Z:.*]] = plan.view %[[G]] offset 0 : <32xf32>
// CHECK: plan.launch "reference" "fill" ins() outs(%[[Z]] : !plan.view<32xf32>)
// CHECK: plan.segment @micro_batch
// CHECK-DAG: plan.view %[[G]] offset 64 : <4xf32>
// CHECK: plan.launch "reference" "add" ins(%{{.*}}, %{{.*}} : !plan.view<4xf32>, !plan.view<4xf32>) outs(%[[SUM:.*]] : !plan.view<4xf32>)
// CHECK-NOT: "copy"
// CHECK: plan.segment @update
// CHECK: plan.launch "reference" "adamw"
// CHECK-NOT: "copy"
// TABLES-DAG: plan.bucket "parameter.0" "parameter" elements 32 over <{}>
// TABLES-DAG: plan.bucket "exp_avg.0" "exp_avg" elements 32 over <{}>
// TABLES-DAG: plan.parameter "w" : tensor<4xf32> in "parameter.0" at 16 cut [4] padded [4] from #graph.storage
// CHECK: plan.schedule [#plan.call<@zero, micro_batch = 0, slot = 0>, #plan.call<@micro_batch, micro_batch = 0, slot = 0>, #plan.call<@micro_batch, micro_batch = 1, slot = 0>, #plan.call<@update, micro_batch = 1, slot = 0>]
module attributes {graph.accumulation_steps = 2 : i64} {
  func.func @micro_batch(
      %w: tensor<4xf32> {graph.parameter = "w", graph.member = #graph.member<kind = "parameter", index = 0, offset = 16>,
                         graph.storage = #graph.storage<file = "w.pt", offset = 0, element_type = f32, strides = [1]>},
      %acc: tensor<4xf32> {graph.state = "gradient.w",
                           graph.member = #graph.member<kind = "gradient", index = 0, offset = 16>})
      -> (tensor<4xf32> {graph.gradient = "w", graph.state = "gradient.w",
                         graph.member = #graph.member<kind = "gradient", index = 0, offset = 16>}) {
    %0 = graph.neg %w {graph.provider = "reference"} : tensor<4xf32>
    %1 = graph.add %acc, %0 {graph.provider = "reference"} : tensor<4xf32>, tensor<4xf32>
    return %1 : tensor<4xf32>
  }
  func.func @update(
      %p: tensor<32xf32> {graph.bucket = #graph.bucket<kind = "parameter", index = 0>, graph.state = "parameter.0"},
      %g: tensor<32xf32> {graph.bucket = #graph.bucket<kind = "gradient", index = 0>},
      %m: tensor<32xf32> {graph.bucket = #graph.bucket<kind = "exp_avg", index = 0>, graph.state = "exp_avg.0"},
      %v: tensor<32xf32> {graph.bucket = #graph.bucket<kind = "exp_avg_sq", index = 0>, graph.state = "exp_avg_sq.0"},
      %lr: tensor<f64> {graph.run_state = "learning_rate"}, %t: tensor<i64> {graph.run_state = "update_step"})
      -> (tensor<32xf32> {graph.bucket = #graph.bucket<kind = "parameter", index = 0>, graph.state = "parameter.0"},
          tensor<32xf32> {graph.bucket = #graph.bucket<kind = "exp_avg", index = 0>, graph.state = "exp_avg.0"},
          tensor<32xf32> {graph.bucket = #graph.bucket<kind = "exp_avg_sq", index = 0>, graph.state = "exp_avg_sq.0"}) {
    %one = graph.constant dense<1.0> : tensor<f64>
    %0:3 = graph.adamw %p, %g, %m, %v, %lr, %t, %one {beta1 = 0.9 : f64, beta2 = 0.95 : f64, eps = 1.0e-8 : f64,
        weight_decay = 0.1 : f64, bias_correction = true, adam_w_mode = true, graph.provider = "reference"}
        : tensor<32xf32>, tensor<32xf32>, tensor<32xf32>, tensor<32xf32>, tensor<f64>, tensor<i64>, tensor<f64>
    return %0#0, %0#1, %0#2 : tensor<32xf32>, tensor<32xf32>, tensor<32xf32>
  }
}

// -----

// A gradient bucket is read as a whole: what no member covers is zeroed, here bytes 16 to 64 and 80 to 128, before the
// first member is computed.

// CHECK-LABEL: plan.program @train
// CHECK: %[[G:.*]] = plan.buffer "gradient.0" step of "gradient" bytes 128
// CHECK-NOT: plan.segment @zero
// CHECK: plan.segment @micro_batch
// CHECK: %[[FIRST:.*]] = plan.view %[[G]] offset 16 : <12xf32>
// CHECK-NEXT: plan.launch "reference" "fill" ins() outs(%[[FIRST]] : !plan.view<12xf32>)
// CHECK: %[[LAST:.*]] = plan.view %[[G]] offset 80 : <12xf32>
// CHECK-NEXT: plan.launch "reference" "fill" ins() outs(%[[LAST]] : !plan.view<12xf32>)
// CHECK-NEXT: plan.launch "reference" "neg"
// CHECK: plan.segment @update
module {
  func.func @micro_batch(%x: tensor<4xf32> {graph.input = "x"})
      -> (tensor<4xf32> {graph.gradient = "a", graph.member = #graph.member<kind = "gradient", index = 0, offset = 0>},
          tensor<4xf32> {graph.gradient = "b", graph.member = #graph.member<kind = "gradient", index = 0, offset = 16>}) {
    %0 = graph.neg %x {graph.provider = "reference"} : tensor<4xf32>
    %1 = graph.exp %x {graph.provider = "reference"} : tensor<4xf32>
    return %0, %1 : tensor<4xf32>, tensor<4xf32>
  }
  func.func @update(%g: tensor<32xf32> {graph.bucket = #graph.bucket<kind = "gradient", index = 0>})
      -> (tensor<f64> {graph.metric = "grad_norm"}) {
    %0 = graph.sum_squares %g {graph.provider = "reference"} : tensor<32xf32>
    return %0 : tensor<f64>
  }
}

// -----

// What is added up is added up in the bucket: the summand that waits longest is computed there too.

// CHECK-LABEL: plan.program @train
// CHECK: %[[G:.*]] = plan.buffer "gradient.0" step of "gradient" bytes 128
// CHECK: plan.segment @micro_batch
// CHECK: %[[EARLY:.*]] = plan.view %[[G]] offset 0 : <32xf32>
// CHECK: plan.launch "reference" "mul" ins({{.*}}) outs(%[[EARLY]] : {{.*}})
// CHECK: plan.launch "reference" "exp" ins({{.*}}) outs({{.*}})
// CHECK: %[[SUMMAND:.*]] = plan.view %[[G]] offset 0 : <32xf32>
// CHECK-NEXT: %[[SUM:.*]] = plan.view %[[G]] offset 0 : <32xf32>
// CHECK-NEXT: plan.launch "reference" "add" ins(%{{.*}}, %[[SUMMAND]] : {{.*}}) outs(%[[SUM]] : {{.*}})
// CHECK-NOT: "copy"
module {
  func.func @micro_batch(%x: tensor<32xf32> {graph.input = "x"})
      -> (tensor<32xf32> {graph.gradient = "a", graph.member = #graph.member<kind = "gradient", index = 0, offset = 0>}) {
    %0 = graph.mul %x, %x {graph.provider = "reference"} : tensor<32xf32>, tensor<32xf32>
    %1 = graph.exp %x {graph.provider = "reference"} : tensor<32xf32>
    %2 = graph.add %1, %0 {graph.provider = "reference"} : tensor<32xf32>, tensor<32xf32>
    return %2 : tensor<32xf32>
  }
  func.func @update(%g: tensor<32xf32> {graph.bucket = #graph.bucket<kind = "gradient", index = 0>})
      -> (tensor<f64> {graph.metric = "grad_norm"}) {
    %0 = graph.sum_squares %g {graph.provider = "reference"} : tensor<32xf32>
    return %0 : tensor<f64>
  }
}

// -----

// An accumulator that is read after its next value is made cannot be updated in place: the value is copied at the end.

// CHECK-LABEL: plan.program @train
// CHECK: plan.segment @micro_batch
// CHECK: "add"
// CHECK: "mul"
// CHECK: "copy"
module {
  func.func @micro_batch(%x: tensor<f32> {graph.input = "x"}, %acc: tensor<f32> {graph.state = "sum"})
      -> (tensor<f32> {graph.state = "sum"}, tensor<f32> {graph.metric = "product"}) {
    %0 = graph.add %acc, %x {graph.provider = "reference"} : tensor<f32>, tensor<f32>
    %1 = graph.mul %acc, %x {graph.provider = "reference"} : tensor<f32>, tensor<f32>
    return %0, %1 : tensor<f32>, tensor<f32>
  }
}

// -----

// Outputs of the model that are no metric are not computed.

// CHECK-LABEL: plan.program @train
// CHECK-NOT: "exp"
// CHECK: "neg"
module {
  func.func @micro_batch(%x: tensor<f32> {graph.input = "x"})
      -> (tensor<f32> {graph.output = "logits"}, tensor<f32> {graph.metric = "loss"}) {
    %0 = graph.exp %x {graph.provider = "reference"} : tensor<f32>
    %1 = graph.neg %x {graph.provider = "reference"} : tensor<f32>
    return %0, %1 : tensor<f32>, tensor<f32>
  }
}

// -----

// What an input may hold goes to its feed.

// CHECK-LABEL: plan.program @train
// CHECK: plan.feed "ids" %{{.*}} on 0 batch_dimension -1 {ignored_index = -1 : i64, index_bound = 7 : i64} : <6xf32>
module {
  func.func @micro_batch(%x: tensor<6xf32> {graph.input = "ids", graph.index_bound = 7 : i64, graph.ignored_index = -1 : i64})
      -> (tensor<f32> {graph.metric = "loss"}) {
    %0 = graph.reduce_sum %x dims [0] {graph.provider = "reference"} : tensor<6xf32>
    return %0 : tensor<f32>
  }
}

// -----

module {
  func.func @micro_batch(%x: tensor<f32> {graph.input = "x"}) -> (tensor<f32> {graph.metric = "loss"}) {
    // expected-error @+1 {{has no provider; run choose-kernels first}}
    %1 = graph.neg %x : tensor<f32>
    return %1 : tensor<f32>
  }
}

// -----

// expected-error @+1 {{expects a function @micro_batch}}
module {
}

// -----

module {
  // expected-error @+1 {{lies in bucket parameter.0, which no function has}}
  func.func @micro_batch(%w: tensor<f32> {graph.parameter = "w", graph.member = #graph.member<kind = "parameter", index = 0, offset = 0>})
      -> (tensor<f32> {graph.metric = "loss"}) {
    %1 = graph.neg %w {graph.provider = "reference"} : tensor<f32>
    return %1 : tensor<f32>
  }
}

// -----

// Tensors of a pack are computed in the bucket, gaps are zeroed, the reduction goes to where the result belongs. A
// gradient's bucket and the own part of a parameter are views that move with the rank's coordinate.

// CHECK-LABEL: plan.program @train streams ["compute", "communication"]
// CHECK-DAG: %[[P:.*]] = plan.buffer "parameter.0" persistent window bytes 128
// CHECK-DAG: %[[G:.*]] = plan.buffer "gradient.0" step of "gradient" bytes 64
// CHECK-DAG: %[[B:.*]] = plan.buffer "pack" transient window bytes 128
// CHECK: plan.segment @micro_batch
// CHECK: plan.feed "x" %{{.*}} on 0 batch_dimension 0 in <@mesh, [{"data"}]> : <4xf32>
// CHECK: %[[M:.*]] = plan.view %[[B]] offset 0 : <4xf32>
// CHECK: plan.launch "reference" "mul" ins({{.*}}) outs(%[[M]] : {{.*}})
// CHECK: %[[GAP:.*]] = plan.view %[[B]] offset 16 : <28xf32>
// CHECK: plan.launch "reference" "fill" ins() outs(%[[GAP]] : {{.*}})
// CHECK: %[[ALL:.*]] = plan.view %[[B]] offset 0 : <32xf32>
// CHECK: %[[SUM:.*]] = plan.view %[[G]] offset 0 : <16xf32>
// CHECK: plan.collective "reduce_scatter" "sum" over <{"data"}> in(%[[ALL]] : <32xf32>) out(%[[SUM]] : <16xf32>)
// CHECK: plan.segment @update
// CHECK: %[[OLD:.*]] = plan.view %[[P]] offset 0 by [#plan.axis_stride<axis = <"data">, bytes = 64>] : <16xf32>
// CHECK: %[[NEW:.*]] = plan.view %[[P]] offset 0 by [#plan.axis_stride<axis = <"data">, bytes = 64>] : <16xf32>
// CHECK: plan.launch "reference" "sub" ins(%[[OLD]], %{{.*}}) outs(%[[NEW]] : {{.*}})
// CHECK: %[[WHOLE:.*]] = plan.view %[[P]] offset 0 : <32xf32>
// CHECK: plan.collective "all_gather" {{.*}} out(%[[WHOLE]] : <32xf32>)
// CHECK-NOT: "copy"
module {
  sharding.mesh @mesh ["data" = 2]
  func.func @micro_batch(%x: tensor<4xf32> {graph.input = "x", graph.batch_dimension = 0 : i64,
                                            sharding.layout = #sharding.layout<@mesh, [{"data"}]>})
      -> (tensor<16xf32> {graph.bucket = #graph.bucket<kind = "gradient", index = 0>}) {
    %0 = graph.mul %x, %x {graph.provider = "reference"} : tensor<4xf32>, tensor<4xf32>
    %1 = sharding.pack %0 offsets [0] : tensor<4xf32> to tensor<32xf32>
    %2 = sharding.reduce_scatter sum %1 over @mesh {"data"} dim 0 : tensor<32xf32> to tensor<16xf32>
    return %2 : tensor<16xf32>
  }
  func.func @update(%p: tensor<32xf32> {graph.bucket = #graph.bucket<kind = "parameter", index = 0>, graph.state = "parameter.0"},
                    %g: tensor<16xf32> {graph.bucket = #graph.bucket<kind = "gradient", index = 0>})
      -> (tensor<32xf32> {graph.bucket = #graph.bucket<kind = "parameter", index = 0>, graph.state = "parameter.0"}) {
    %0 = sharding.local_slice %p over @mesh {"data"} dim 0 : tensor<32xf32> to tensor<16xf32>
    %1 = graph.sub %0, %g {graph.provider = "reference"} : tensor<16xf32>, tensor<16xf32>
    %2 = sharding.all_gather %1 over @mesh {"data"} dim 0 : tensor<16xf32> to tensor<32xf32>
    return %2 : tensor<32xf32>
  }
}

// -----

// Ranks find each other's input at one place: the part of a larger value, which lies elsewhere on each, is copied first.

// CHECK-LABEL: plan.program @train streams ["compute", "communication"]
// CHECK-DAG: %[[COPY:.*]] = plan.buffer "permute" transient window bytes 8
// CHECK: %[[PART:.*]] = plan.view %{{.*}} offset 0 by [#plan.axis_stride<axis = <"tensor">, bytes = 8>] : <2xf32>
// CHECK: plan.launch "reference" "copy" ins(%[[PART]] : {{.*}}) outs({{.*}})
// CHECK: %[[FROM:.*]] = plan.view %[[COPY]] offset 0 : <2xf32>
// CHECK: plan.collective "permute" {{.*}} in(%[[FROM]] : <2xf32>)
module {
  sharding.mesh @mesh ["tensor" = 2]
  func.func @micro_batch(%x: tensor<4xf32> {graph.input = "x"}) -> (tensor<f32> {graph.metric = "y"}) {
    %0 = graph.mul %x, %x {graph.provider = "reference"} : tensor<4xf32>, tensor<4xf32>
    %1 = sharding.local_slice %0 over @mesh {"tensor"} dim 0 : tensor<4xf32> to tensor<2xf32>
    %2 = sharding.permute %1 over @mesh {"tensor"} sources [1, 0] : tensor<2xf32>
    %3 = graph.reduce_sum %2 dims [0] {graph.provider = "reference"} : tensor<2xf32>
    return %3 : tensor<f32>
  }
}

// -----

// Heads are merged without a copy: what a transpose and a reshape read is laid out as they read it.

// CHECK-LABEL: plan.program @train
// CHECK: %[[HEADS:.*]] = plan.view %[[B:.*]] offset 0 : <2x3x4x5xf32 strides [60, 5, 15, 1]>
// CHECK-NEXT: plan.launch "reference" "neg" ins({{.*}}) outs(%[[HEADS]] : {{.*}})
// CHECK-NOT: "copy"
// CHECK: %[[MERGED:.*]] = plan.view %[[B]] offset 0 : <120xf32>
// CHECK: plan.launch "reference" "sum_squares" ins(%[[MERGED]] : {{.*}})
module {
  func.func @micro_batch(%x: tensor<2x3x4x5xf32> {graph.input = "x"}) -> (tensor<f64> {graph.metric = "y"}) {
    %0 = graph.neg %x {graph.provider = "reference"} : tensor<2x3x4x5xf32>
    %1 = graph.transpose %0 [0, 2, 1, 3] : tensor<2x3x4x5xf32>
    %2 = graph.reshape %1 : tensor<2x4x3x5xf32> to tensor<120xf32>
    %3 = graph.sum_squares %2 {graph.provider = "reference"} : tensor<120xf32>
    return %3 : tensor<f64>
  }
}

// -----

// The same of heads whose halves are joined, as the gradient of the rotary embedding leaves them: one kernel writes both where
// the product reads them.

// CHECK-LABEL: plan.program @train
// CHECK-NOT: "copy"
// CHECK-DAG: %[[LOW:.*]] = plan.view %[[B:.*]] offset 0 : <2x3x4x5xf32 strides [120, 10, 30, 1]>
// CHECK-DAG: %[[HIGH:.*]] = plan.view %[[B]] offset 20 : <2x3x4x5xf32 strides [120, 10, 30, 1]>
// CHECK: plan.launch "generated" "kernel_0" ins({{.*}}) outs(%[[LOW]], %[[HIGH]] : {{.*}})
// CHECK-NOT: "copy"
// CHECK: %[[MERGED:.*]] = plan.view %[[B]] offset 0 : <8x30xf32>
// CHECK: plan.launch "onednn" "matmul" ins(%[[MERGED]], {{.*}})
module {
  func.func @micro_batch(%x: tensor<2x3x4x5xf32> {graph.input = "x"}, %w: tensor<30x7xf32> {graph.input = "w"})
      -> (tensor<f32> {graph.metric = "y"}) {
    %0:2 = call @kernel_0(%x) {graph.provider = "generated"} : (tensor<2x3x4x5xf32>) -> (tensor<2x3x4x5xf32>, tensor<2x3x4x5xf32>)
    %1 = graph.concat %0#0, %0#1 dim 3 : tensor<2x3x4x5xf32>, tensor<2x3x4x5xf32>
    %2 = graph.transpose %1 [0, 2, 1, 3] : tensor<2x3x4x10xf32>
    %3 = graph.reshape %2 : tensor<2x4x3x10xf32> to tensor<8x30xf32>
    %4 = graph.matmul %3, %w batch [] x [] contract [1] x [0] {graph.provider = "onednn"} : tensor<8x30xf32>, tensor<30x7xf32>
    %5 = graph.reduce_sum %4 dims [0, 1] {graph.provider = "reference"} : tensor<8x7xf32>
    return %5 : tensor<f32>
  }
  func.func private @kernel_0(%x: tensor<2x3x4x5xf32>) -> (tensor<2x3x4x5xf32>, tensor<2x3x4x5xf32>) {
    %0 = graph.neg %x : tensor<2x3x4x5xf32>
    %1 = graph.exp %x : tensor<2x3x4x5xf32>
    return %0, %1 : tensor<2x3x4x5xf32>, tensor<2x3x4x5xf32>
  }
}

// -----

// Not where the kernel writes row-major only.

// CHECK-LABEL: plan.program @train
// CHECK: plan.launch "native" "cross_entropy_grad" {{.*}} outs(%{{.*}} : !plan.view<6x8xf32>)
// CHECK: "copy"
module {
  func.func @micro_batch(%x: tensor<6x8xf32> {graph.input = "x"}, %t: tensor<6xi64> {graph.input = "t"},
                         %l: tensor<6xf32> {graph.input = "l"}, %d: tensor<f32> {graph.input = "d"})
      -> (tensor<f64> {graph.metric = "y"}) {
    %0 = graph.cross_entropy_grad %x, %t, %l, %d ignore_index -100 {graph.provider = "native"} : tensor<6x8xf32>, tensor<6xi64>, tensor<6xf32>, tensor<f32>
    %1 = graph.transpose %0 [1, 0] : tensor<6x8xf32>
    %2 = graph.reshape %1 : tensor<8x6xf32> to tensor<48xf32>
    %3 = graph.sum_squares %2 {graph.provider = "reference"} : tensor<48xf32>
    return %3 : tensor<f64>
  }
}
