// RUN: ds-opt %s -verify-diagnostics -split-input-file

// Constraint 1.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @constraint(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{layout: has 1 dimensions but the value has type 'tensor<8x4xf32>'}}
  %r = sharding.constraint %x : tensor<8x4xf32> to <@mesh, [{}]>
  return
}

// -----

// Reshard 1.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @reshard(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{layout: names axis "pipe", but the axes of the mesh are "data", "tensor"}}
  %r = sharding.reshard %x : tensor<8x4xf32> to <@mesh, [{"pipe"}, {}]>
  return
}

// -----

// AllGather 1.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @all_gather_axes(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{over: names axis "pipe", but the axes of the mesh are "data", "tensor"}}
  %r = sharding.all_gather %x over @mesh {"pipe"} dim 0 : tensor<8x4xf32> to tensor<8x4xf32>
  return
}

// -----

// ReduceScatter 1.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @reduce_scatter_axes(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{over: names axis "pipe", but the axes of the mesh are "data", "tensor"}}
  %r = sharding.reduce_scatter sum %x over @mesh {"pipe"} dim 0 : tensor<8x4xf32> to tensor<8x4xf32>
  return
}

// -----

// AllReduce 1.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @all_reduce_axes(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{over: names axis "pipe", but the axes of the mesh are "data", "tensor"}}
  %r = sharding.all_reduce sum %x over @mesh {"pipe"} : tensor<8x4xf32>
  return
}

// -----

// AllToAll 1.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @all_to_all_axes(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{over: names axis "pipe", but the axes of the mesh are "data", "tensor"}}
  %r = sharding.all_to_all %x over @mesh {"pipe"} split 0 concat 1 : tensor<8x4xf32> to tensor<8x4xf32>
  return
}

// -----

// Permute 1.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @permute_axes(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{over: names axis "pipe", but the axes of the mesh are "data", "tensor"}}
  %r = sharding.permute %x over @mesh {"pipe"} sources [0] : tensor<8x4xf32>
  return
}

// -----

// LocalSlice 1.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @local_slice_axes(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{over: names axis "pipe", but the axes of the mesh are "data", "tensor"}}
  %r = sharding.local_slice %x over @mesh {"pipe"} dim 0 : tensor<8x4xf32> to tensor<8x4xf32>
  return
}

// -----

// AxisIndex 1.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @axis_index_axes(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{over: names axis "pipe", but the axes of the mesh are "data", "tensor"}}
  %r = sharding.axis_index over @mesh {"pipe"} : tensor<i64>
  return
}

// -----

// AllReduce 1.
func.func @no_mesh(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{over: @mesh is no sharding.mesh of the module}}
  %r = sharding.all_reduce sum %x over @mesh {"data"} : tensor<8x4xf32>
  return
}

// -----

// AllGather 2.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @all_gather_dim(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{dim 2 is not a dimension of 'tensor<8x4xf32>'}}
  %r = sharding.all_gather %x over @mesh {"data"} dim 2 : tensor<8x4xf32> to tensor<8x4xf32>
  return
}

// -----

// AllGather 3.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @all_gather_result(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{has result type 'tensor<16x4xf32>'; expected 'tensor<32x4xf32>'}}
  %r = sharding.all_gather %x over @mesh {"data"} dim 0 : tensor<8x4xf32> to tensor<16x4xf32>
  return
}

// -----

// ReduceScatter 2.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @reduce_scatter_dim(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{dim -1 is not a dimension of 'tensor<8x4xf32>'}}
  %r = sharding.reduce_scatter sum %x over @mesh {"data"} dim -1 : tensor<8x4xf32> to tensor<2x4xf32>
  return
}

// -----

// ReduceScatter 3.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @reduce_scatter_split(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{dimension 1 of size 4 does not split over the group's 8 ranks}}
  %r = sharding.reduce_scatter sum %x over @mesh {"data", "tensor"} dim 1 : tensor<8x4xf32> to tensor<8x1xf32>
  return
}

// -----

// ReduceScatter 3.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @reduce_scatter_result(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{has result type 'tensor<2x4xf64>'; expected 'tensor<2x4xf32>'}}
  %r = sharding.reduce_scatter sum %x over @mesh {"data"} dim 0 : tensor<8x4xf32> to tensor<2x4xf64>
  return
}

// -----

// AllToAll 2.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @all_to_all_split(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{split 2 is not a dimension of 'tensor<8x4xf32>'}}
  %r = sharding.all_to_all %x over @mesh {"data"} split 2 concat 1 : tensor<8x4xf32> to tensor<2x16xf32>
  return
}

// -----

// AllToAll 2.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @all_to_all_concat(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{concat 2 is not a dimension of 'tensor<8x4xf32>'}}
  %r = sharding.all_to_all %x over @mesh {"data"} split 0 concat 2 : tensor<8x4xf32> to tensor<2x16xf32>
  return
}

// -----

// AllToAll 2.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @all_to_all_same(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{split and concat are both dimension 0}}
  %r = sharding.all_to_all %x over @mesh {"data"} split 0 concat 0 : tensor<8x4xf32> to tensor<8x4xf32>
  return
}

// -----

// AllToAll 3.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @all_to_all_uneven(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{dimension 1 of size 4 does not split over the group's 8 ranks}}
  %r = sharding.all_to_all %x over @mesh {"data", "tensor"} split 1 concat 0 : tensor<8x4xf32> to tensor<64x1xf32>
  return
}

// -----

// AllToAll 3.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @all_to_all_result(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{has result type 'tensor<2x4xf32>'; expected 'tensor<2x16xf32>'}}
  %r = sharding.all_to_all %x over @mesh {"data"} split 0 concat 1 : tensor<8x4xf32> to tensor<2x4xf32>
  return
}

// -----

// Permute 2.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @permute_count(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{has 2 sources for the group's 4 ranks}}
  %r = sharding.permute %x over @mesh {"data"} sources [1, 0] : tensor<8x4xf32>
  return
}

// -----

// Permute 2.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @permute_range(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{source 4 is not one of the group's 4 ranks}}
  %r = sharding.permute %x over @mesh {"data"} sources [1, 2, 3, 4] : tensor<8x4xf32>
  return
}

// -----

// Permute 2.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @permute_twice(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{names source 1 twice}}
  %r = sharding.permute %x over @mesh {"data"} sources [1, 2, 1, 0] : tensor<8x4xf32>
  return
}

// -----

// LocalSlice 2.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @local_slice_dim(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{dim 2 is not a dimension of 'tensor<8x4xf32>'}}
  %r = sharding.local_slice %x over @mesh {"data"} dim 2 : tensor<8x4xf32> to tensor<8x4xf32>
  return
}

// -----

// LocalSlice 3.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @local_slice_split(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{dimension 1 of size 4 does not split over the group's 8 ranks}}
  %r = sharding.local_slice %x over @mesh {"data", "tensor"} dim 1 : tensor<8x4xf32> to tensor<8x1xf32>
  return
}

// -----

// LocalSlice 3.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @local_slice_result(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{has result type 'tensor<8x4xf32>'; expected 'tensor<2x4xf32>'}}
  %r = sharding.local_slice %x over @mesh {"data"} dim 0 : tensor<8x4xf32> to tensor<8x4xf32>
  return
}

// -----

// AxisIndex 2.
sharding.mesh @mesh ["data" = 4, "tensor" = 2]
func.func @axis_index(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{has result type 'tensor<i32>'; expected 'tensor<i64>'}}
  %r = sharding.axis_index over @mesh {"data"} : tensor<i32>
  return
}

// -----

// Pack 1.
func.func @pack_none(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{expects at least one tensor}}
  %r = "sharding.pack"() {offsets = array<i64>} : () -> tensor<8xf32>
  return
}

// -----

// Pack 1.
func.func @pack_offsets(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{has 1 tensors but 2 offsets}}
  %r = sharding.pack %x offsets [0, 32] : tensor<8x4xf32> to tensor<64xf32>
  return
}

// -----

// Pack 2.
func.func @pack_type(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{element type of tensor 0 is 'f32' but that of the result is 'f64'}}
  %r = sharding.pack %x offsets [0] : tensor<8x4xf32> to tensor<64xf64>
  return
}

// -----

// Pack 3.
func.func @pack_rank(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{has result type 'tensor<8x8xf32>'; expected rank 1}}
  %r = sharding.pack %x offsets [0] : tensor<8x4xf32> to tensor<8x8xf32>
  return
}

// -----

// Pack 4.
func.func @pack_overlap(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{offset 16 of tensor 1 is below 32, where what is before it ends}}
  %r = sharding.pack %x, %x offsets [0, 16] : tensor<8x4xf32>, tensor<8x4xf32> to tensor<64xf32>
  return
}

// -----

// Pack 4.
func.func @pack_negative(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{offset -1 of tensor 0 is below 0, where what is before it ends}}
  %r = sharding.pack %x offsets [-1] : tensor<8x4xf32> to tensor<64xf32>
  return
}

// -----

// Pack 4.
func.func @pack_end(%x: tensor<8x4xf32>) {
  // expected-error @+1 {{the last tensor ends at element 64 of a result of 63}}
  %r = sharding.pack %x offsets [32] : tensor<8x4xf32> to tensor<63xf32>
  return
}
