//===- Indexing.cuh - gather, scatter_add and embedding ---------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_INDEXING_CUH
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_INDEXING_CUH

#include "runtime/kernels/cuda/device/Threads.cuh"

namespace deepshard::runtime::cuda {
namespace {

/// Lines are independent of each other, so that each sum has one order.
template <typename T> __device__ void scatterAdd(const ScatterAddParameters &p) {
  for (int64_t line = firstElement(); line < p.lines.count; line += elementStep()) {
    Offsets<3> offsets(p.lines, line);
    for (int64_t i = 0; i < p.count; ++i) {
      int64_t index = indexAt(p.index, offsets.of[1] + i * p.indexStep, p.isWide);
      if (index >= 0 && index < p.length)
        *reinterpret_cast<T *>(at(p.out, offsets.of[0] + index * p.outStep)) +=
            *reinterpret_cast<const T *>(at(p.updates, offsets.of[2] + i * p.updateStep));
    }
  }
}

/// The row that a position takes from the table, or the bits that stand for its elements.
struct EmbeddedRow {
  const char *from; // null: there is none
  uint64_t bits;

  __device__ EmbeddedRow(const EmbeddingParameters &p, int64_t id) {
    int64_t own = id - (p.firstRow ? *p.firstRow : 0);
    from = own >= 0 && own < p.rows ? at(p.table, own * p.rowStep) : nullptr;
    bits = id >= 0 && id < p.wholeRows ? 0 : p.missing;
  }
};

/// Rows that are dense on both sides, in units of type Unit.
template <typename Unit> __device__ void embedDense(const EmbeddingParameters &p) {
  int64_t units = p.row.count * p.width / int64_t(sizeof(Unit));
  int64_t all = p.places.count * units;
  for (int64_t i = firstElement(); i < all; i += elementStep()) {
    int64_t position = quotient(i, units), unit = i - position * units;
    Offsets<2> place(p.places, position);
    EmbeddedRow row(p, indexAt(p.ids, place.of[1], p.isWide));
    Unit value;
    if (row.from)
      value = reinterpret_cast<const Unit *>(row.from)[unit];
    else if constexpr (sizeof(Unit) == 16)
      value = {row.bits, row.bits};
    else
      value = Unit(row.bits);
    reinterpret_cast<Unit *>(at(p.out, place.of[0]))[unit] = value;
  }
}

__device__ void embedStrided(const EmbeddingParameters &p) {
  int64_t all = p.places.count * p.row.count;
  for (int64_t i = firstElement(); i < all; i += elementStep()) {
    int64_t position = quotient(i, p.row.count);
    Offsets<2> place(p.places, position), element(p.row, i - position * p.row.count);
    EmbeddedRow row(p, indexAt(p.ids, place.of[1], p.isWide));
    ofWidth(p.width, [&](auto unit) {
      using T = decltype(unit);
      *reinterpret_cast<T *>(at(p.out, place.of[0] + element.of[0])) =
          row.from ? *reinterpret_cast<const T *>(row.from + element.of[1]) : T(row.bits);
    });
  }
}

} // namespace

extern "C" __global__ void __launch_bounds__(kThreads)
    ds_gather(const __grid_constant__ GatherParameters p) {
  for (int64_t i = firstElement(); i < p.nest.count; i += elementStep()) {
    Offsets<3> offsets(p.nest, i);
    int64_t index = indexAt(p.index, offsets.of[1], p.isWide);
    bool exists = index >= 0 && index < p.size;
    ofWidth(p.width, [&](auto unit) {
      using T = decltype(unit);
      *reinterpret_cast<T *>(at(p.out, offsets.of[0])) =
          exists ? *reinterpret_cast<const T *>(at(p.x, offsets.of[2] + index * p.step))
                 : T(p.missing);
    });
  }
}

extern "C" __global__ void __launch_bounds__(kThreads)
    ds_scatter_add_f32(const __grid_constant__ ScatterAddParameters p) {
  scatterAdd<float>(p);
}
extern "C" __global__ void __launch_bounds__(kThreads)
    ds_scatter_add_f64(const __grid_constant__ ScatterAddParameters p) {
  scatterAdd<double>(p);
}

extern "C" __global__ void __launch_bounds__(kThreads)
    ds_embedding(const __grid_constant__ EmbeddingParameters p) {
  if (p.row.rank > 1 ||
      (p.row.count > 1 && (p.row.strides[0][0] != p.width || p.row.strides[0][1] != p.width)))
    return embedStrided(p);
  // All that addresses are made of; the lowest bit that is set is what they are multiples of.
  uint64_t parts =
      uint64_t(p.out) | uint64_t(p.table) | uint64_t(p.rowStep) | uint64_t(p.row.count * p.width);
  for (int64_t dim = 0; dim < p.places.rank; ++dim)
    parts |= uint64_t(p.places.strides[dim][0]);
  if (parts % 16 == 0)
    return embedDense<Unit16>(p);
  if (parts % 8 == 0)
    return embedDense<uint64_t>(p);
  if (parts % 4 == 0)
    return embedDense<uint32_t>(p);
  if (parts % 2 == 0)
    return embedDense<uint16_t>(p);
  return embedDense<uint8_t>(p);
}

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_INDEXING_CUH
