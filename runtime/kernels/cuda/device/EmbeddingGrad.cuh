//===- EmbeddingGrad.cuh - the gradient of an embedding ---------------------------------------===//
//
// The sort is described in PositionSort.h. Then a warp has a segment of a row of the table, 16
// bytes a lane, and adds the rows of its positions one after another. Loads do not wait for sums:
// several rows are on their way at a time.
//
// Where a plan asks for it, every element is added by an atomic instead: faster for a few positions
// of a large table, in any order.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_EMBEDDINGGRAD_CUH
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_EMBEDDINGGRAD_CUH

#include "runtime/kernels/cuda/device/Threads.cuh"

namespace deepshard::runtime::cuda {
namespace {

constexpr int kMostDigits = 1 << kMostDigitBits;
constexpr int kSortWarps = kSortTile / kWarp;

//===-- the sort ------------------------------------------------------------------------------===//

/// The row of the element at `place` of the order so far; `rows` if it is none.
__device__ uint32_t keyAt(const SortParameters &p, int64_t place) {
  if (!p.isFirst)
    return p.keysIn[place];
  int64_t id = indexAt(p.ids, Offsets<1>(p.idNest, place).of[0], p.isWide);
  int64_t own = id - (p.firstRow ? *p.firstRow : 0);
  return uint32_t(own >= 0 && own < p.rows ? own : p.rows);
}

__device__ uint32_t digitOf(const SortParameters &p, uint32_t key) {
  return key >> p.shift & ((1u << p.digitBits) - 1);
}

/// The sum of `value` over the threads before this one.
__device__ uint32_t sumBefore(uint32_t value) {
  __shared__ uint32_t warpSums[kSortWarps];
  int lane = int(threadIdx.x) % kWarp, warp = int(threadIdx.x) / kWarp;
  uint32_t sum = value;
  for (int distance = 1; distance < kWarp; distance *= 2) {
    uint32_t other = __shfl_up_sync(kAllLanes, sum, distance);
    sum += lane >= distance ? other : 0;
  }
  if (lane == kWarp - 1)
    warpSums[warp] = sum;
  __syncthreads();
  uint32_t before = 0;
  for (int i = 0; i < warp; ++i)
    before += warpSums[i];
  return before + sum - value;
}

/// In thread d: where the positions with digit d of this block's tile begin.
__device__ uint32_t firstOfDigit(const SortParameters &p, int digits) {
  uint32_t all = 0, earlier = 0;
  int digit = int(threadIdx.x);
  if (digit < digits)
    for (int64_t tile = 0; tile < p.tiles; ++tile) {
      uint32_t count = p.counts[(tile << p.digitBits) + digit];
      all += count;
      earlier += tile < int64_t(blockIdx.x) ? count : 0;
    }
  return sumBefore(all) + earlier;
}

//===-- the sums ------------------------------------------------------------------------------===//

__device__ void add(float &sum, float x) { sum += x; }
__device__ void add(double &sum, double x) { sum += x; }
template <typename T> __device__ void add(Pack<T> &sum, const Pack<T> &x) {
  for (int k = 0; k < Pack<T>::kSize; ++k)
    sum.of[k] += x.of[k];
}

/// The sum of elements of type Unit at `outOffset` of a row of the result, over the positions
/// [begin, end) of the row, whose element is at `offsetOf(position)` of dy. `kAtATime` are loaded
/// before the first is added.
template <typename Unit, uint32_t kAtATime, typename OffsetOf>
__device__ void addRows(const EmbeddingGradParameters &p, uint32_t begin, uint32_t end,
                        int64_t outOffset, const OffsetOf &offsetOf) {
  Unit sum = {};
  if (p.sum) {
    if (p.sum == p.out && begin == end)
      return; // as it was
    sum = *reinterpret_cast<const Unit *>(at(p.sum, outOffset));
  }
  uint32_t i = begin;
  for (; kAtATime > 1 && i + kAtATime <= end; i += kAtATime) {
    Unit x[kAtATime];
#pragma unroll
    for (uint32_t k = 0; k < kAtATime; ++k)
      x[k] = *reinterpret_cast<const Unit *>(at(p.dy, offsetOf(p.positions[i + k])));
#pragma unroll
    for (uint32_t k = 0; k < kAtATime; ++k)
      add(sum, x[k]);
  }
  for (; i < end; ++i)
    add(sum, *reinterpret_cast<const Unit *>(at(p.dy, offsetOf(p.positions[i]))));
  *reinterpret_cast<Unit *>(at(p.out, outOffset)) = sum;
}

/// Whether rows consist of packs on both sides, and positions are one step apart.
template <typename T> __device__ bool isWide(const EmbeddingGradParameters &p) {
  constexpr int64_t kSize = sizeof(T);
  bool isDense =
      p.row.rank == 1 &&
      (p.row.count == 1 || (p.row.strides[0][0] == kSize && p.row.strides[0][1] == kSize));
  uint64_t parts = uint64_t(p.out) | uint64_t(p.dy) | uint64_t(p.sum) | uint64_t(p.rowStep) |
                   uint64_t(p.places.strides[0][0]) | uint64_t(p.columns) * sizeof(T);
  return isDense && p.places.rank == 1 && parts % sizeof(Pack<T>) == 0;
}

template <typename T> __device__ void embeddingGrad(const EmbeddingGradParameters &p) {
  constexpr int kPack = Pack<T>::kSize, kSegment = kWarp * kPack;
  const bool wide = isWide<T>(p);
  int64_t segments = (p.columns + kSegment - 1) / kSegment, all = p.rows * segments;
  int lane = int(threadIdx.x) % kWarp;
  for (int64_t task = firstElement() / kWarp; task < all; task += elementStep() / kWarp) {
    int64_t row = quotient(task, segments), segment = task - row * segments;
    uint32_t begin = p.starts[row], end = p.starts[row + 1];
    if (wide) {
      int64_t column = segment * kSegment + lane * kPack, offset = column * int64_t(sizeof(T));
      int64_t step = p.places.strides[0][0];
      if (column < p.columns)
        addRows<Pack<T>, 8>(p, begin, end, row * p.rowStep + offset,
                            [=](uint32_t position) { return position * step + offset; });
      continue;
    }
    for (int k = 0; k < kPack; ++k) {
      int64_t column = segment * kSegment + k * kWarp + lane;
      if (column >= p.columns)
        break;
      Offsets<2> offsets(p.row, column);
      addRows<T, 1>(p, begin, end, row * p.rowStep + offsets.of[0], [&](uint32_t position) {
        return Offsets<1>(p.places, position).of[0] + offsets.of[1];
      });
    }
  }
}

//===-- by atomics ----------------------------------------------------------------------------===//

template <typename T> __device__ void startSums(const EmbeddingGradAtomicParameters &p) {
  if (p.sum == p.out)
    return;
  for (int64_t i = firstElement(); i < p.table.count; i += elementStep()) {
    int64_t offset = Offsets<1>(p.table, i).of[0];
    *reinterpret_cast<T *>(at(p.out, offset)) =
        p.sum ? *reinterpret_cast<const T *>(at(p.sum, offset)) : T(0);
  }
}

template <typename T> __device__ void addByAtomics(const EmbeddingGradAtomicParameters &p) {
  for (int64_t i = firstElement(); i < p.places.count * p.columns; i += elementStep()) {
    int64_t position = quotient(i, p.columns);
    Offsets<2> place(p.places, position), column(p.row, i - position * p.columns);
    int64_t id = indexAt(p.ids, place.of[1], p.isWide);
    int64_t row = id - (p.firstRow ? *p.firstRow : 0);
    if (row >= 0 && row < p.rows)
      atomicAdd(reinterpret_cast<T *>(at(p.out, row * p.rowStep + column.of[0])),
                *reinterpret_cast<const T *>(at(p.dy, place.of[0] + column.of[1])));
  }
}

} // namespace

extern "C" __global__ void __launch_bounds__(kSortTile)
    ds_sort_count(const __grid_constant__ SortParameters p) {
  __shared__ uint32_t counts[kMostDigits];
  int digits = 1 << p.digitBits, thread = int(threadIdx.x);
  if (thread < digits)
    counts[thread] = 0;
  __syncthreads();
  int64_t place = firstElement();
  if (place < p.positions)
    atomicAdd(&counts[digitOf(p, keyAt(p, place))], 1u);
  __syncthreads();
  if (thread < digits)
    p.counts[(int64_t(blockIdx.x) << p.digitBits) + thread] = counts[thread];
}

extern "C" __global__ void __launch_bounds__(kSortTile)
    ds_sort_place(const __grid_constant__ SortParameters p) {
  __shared__ uint16_t warpCounts[kSortWarps][kMostDigits]; // then those of the warps before
  __shared__ uint32_t first[kMostDigits];
  int digits = 1 << p.digitBits, thread = int(threadIdx.x);
  int lane = thread % kWarp, warp = thread / kWarp;
  uint32_t firstPlace = firstOfDigit(p, digits);
  if (thread < digits)
    first[thread] = firstPlace;
  for (int i = thread; i < kSortWarps * kMostDigits; i += kSortTile)
    (&warpCounts[0][0])[i] = 0;
  __syncthreads();
  int64_t place = firstElement();
  bool isThere = place < p.positions;
  uint32_t key = isThere ? keyAt(p, place) : 0;
  uint32_t value = !isThere ? 0 : p.isFirst ? uint32_t(place) : p.valuesIn[place];
  uint32_t digit = digitOf(p, key);
  uint32_t alike = __match_any_sync(kAllLanes, isThere ? digit : uint32_t(kMostDigits));
  auto before = uint32_t(__popc(alike & ((1u << lane) - 1)));
  if (isThere && before == 0)
    warpCounts[warp][digit] = uint16_t(__popc(alike));
  __syncthreads();
  if (thread < digits) {
    uint32_t sum = 0;
    for (int i = 0; i < kSortWarps; ++i) {
      uint32_t count = warpCounts[i][thread];
      warpCounts[i][thread] = uint16_t(sum);
      sum += count;
    }
  }
  __syncthreads();
  if (!isThere)
    return;
  uint32_t to = first[digit] + warpCounts[warp][digit] + before;
  p.keysOut[to] = key;
  p.valuesOut[to] = value;
}

extern "C" __global__ void __launch_bounds__(kThreads)
    ds_sort_starts(const __grid_constant__ SortStartsParameters p) {
  for (int64_t row = firstElement(); row <= p.rows; row += elementStep()) {
    int64_t begin = 0, end = p.positions; // the first key that is not below `row` is in between
    while (begin < end) {
      int64_t middle = (begin + end) / 2;
      if (p.keys[middle] < uint32_t(row))
        begin = middle + 1;
      else
        end = middle;
    }
    p.starts[row] = uint32_t(begin);
  }
}

extern "C" __global__ void __launch_bounds__(kThreads, 1)
    ds_embedding_grad_f32(const __grid_constant__ EmbeddingGradParameters p) {
  embeddingGrad<float>(p);
}
extern "C" __global__ void __launch_bounds__(kThreads, 1)
    ds_embedding_grad_f64(const __grid_constant__ EmbeddingGradParameters p) {
  embeddingGrad<double>(p);
}

#define DEEPSHARD_ATOMICS(type, T)                                                                 \
  extern "C" __global__ void __launch_bounds__(kThreads)                                           \
      ds_embedding_grad_start_##type(const __grid_constant__ EmbeddingGradAtomicParameters p) {    \
    startSums<T>(p);                                                                               \
  }                                                                                                \
  extern "C" __global__ void __launch_bounds__(kThreads)                                           \
      ds_embedding_grad_atomic_##type(const __grid_constant__ EmbeddingGradAtomicParameters p) {   \
    addByAtomics<T>(p);                                                                            \
  }
DEEPSHARD_ATOMICS(f32, float)
DEEPSHARD_ATOMICS(f64, double)

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_EMBEDDINGGRAD_CUH
