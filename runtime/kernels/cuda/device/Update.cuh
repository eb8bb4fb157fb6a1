//===- Update.cuh - the optimizer's step, the gradient's norm, the loss scale -----------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_UPDATE_CUH
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_UPDATE_CUH

#include "runtime/kernels/cuda/device/Threads.cuh"

namespace deepshard::runtime::cuda {
namespace {

//===-- adamw ---------------------------------------------------------------------------------===//

template <typename T> struct AdamW {
  using Wide = Pack<T>;
  const AdamWParameters &p;
  const AdamWFactors<T> &factors;
  bool applies;

  __device__ void update(T &parameter, T gradient, T &m, T &v) const {
    if (applies)
      factors.update(parameter, gradient, m, v);
  }

  __device__ uint16_t rounded(T parameter) const {
    return p.copyType == Element::BF16 ? reference::BFloat16::from(parameter).bits
                                       : reference::Float16::from(parameter).bits;
  }

  /// The elements of pack i.
  __device__ void wide(int64_t i) const {
    Wide parameter = static_cast<const Wide *>(p.p)[i],
         gradient = static_cast<const Wide *>(p.g)[i];
    Wide m = static_cast<const Wide *>(p.m)[i], v = static_cast<const Wide *>(p.v)[i];
    for (int k = 0; k < Wide::kSize; ++k)
      update(parameter.of[k], gradient.of[k], m.of[k], v.of[k]);
    static_cast<Wide *>(p.newP)[i] = parameter;
    static_cast<Wide *>(p.newM)[i] = m;
    static_cast<Wide *>(p.newV)[i] = v;
    if (!p.copy)
      return;
    struct alignas(2 * Wide::kSize) Narrow {
      uint16_t of[Wide::kSize];
    } narrow;
    for (int k = 0; k < Wide::kSize; ++k)
      narrow.of[k] = rounded(parameter.of[k]);
    static_cast<Narrow *>(p.copy)[i] = narrow;
  }

  __device__ void single(int64_t i) const {
    T parameter = static_cast<const T *>(p.p)[i];
    T m = static_cast<const T *>(p.m)[i], v = static_cast<const T *>(p.v)[i];
    update(parameter, static_cast<const T *>(p.g)[i], m, v);
    static_cast<T *>(p.newP)[i] = parameter;
    static_cast<T *>(p.newM)[i] = m;
    static_cast<T *>(p.newV)[i] = v;
    if (p.copy)
      static_cast<uint16_t *>(p.copy)[i] = rounded(parameter);
  }
};

template <typename T> __device__ bool isAligned(const AdamWParameters &p) {
  uint64_t addresses = uint64_t(p.p) | uint64_t(p.g) | uint64_t(p.m) | uint64_t(p.v) |
                       uint64_t(p.newP) | uint64_t(p.newM) | uint64_t(p.newV);
  return addresses % sizeof(Pack<T>) == 0 && uint64_t(p.copy) % (2 * Pack<T>::kSize) == 0;
}

/// The factors take powers of f64: one thread of a block computes them.
template <typename T> __device__ void adamw(const AdamWParameters &p, AdamWStep &step) {
  if (threadIdx.x == 0)
    step = AdamWStep::of(p.options, p.scalars);
  __syncthreads();
  const AdamWFactors<T> factors(step);
  AdamW<T> adamw{p, factors, step.applies};
  int64_t packs = isAligned<T>(p) ? p.count / Pack<T>::kSize : 0;
  for (int64_t i = firstElement(); i < packs; i += elementStep())
    adamw.wide(i);
  for (int64_t i = packs * Pack<T>::kSize + firstElement(); i < p.count; i += elementStep())
    adamw.single(i);
}

//===-- sum_squares ---------------------------------------------------------------------------===//

/// The sum over the threads of a block, in thread 0: halves of a warp, then the warps in order.
__device__ double sumOfBlock(double sum) {
  __shared__ double warpSums[kThreads / kWarp];
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    sum += __shfl_xor_sync(kAllLanes, sum, distance);
  if (threadIdx.x % kWarp == 0)
    warpSums[threadIdx.x / kWarp] = sum;
  __syncthreads();
  double all = 0;
  if (threadIdx.x == 0)
    for (double each : warpSums)
      all += each;
  return all;
}

/// Four sums of a thread, of four neighbouring elements at a time.
template <typename T> struct Squares {
  static constexpr int kNeighbours = 4, kPacks = kNeighbours / Pack<T>::kSize;
  double sums[kNeighbours] = {};

  __device__ void add(const T (&values)[kNeighbours]) {
    for (int k = 0; k < kNeighbours; ++k)
      sums[k] += double(values[k]) * double(values[k]);
  }
  __device__ void addPacks(const T *x) {
    T values[kNeighbours];
    for (int pack = 0; pack < kPacks; ++pack) {
      Pack<T> loaded = reinterpret_cast<const Pack<T> *>(x)[pack];
      for (int k = 0; k < Pack<T>::kSize; ++k)
        values[pack * Pack<T>::kSize + k] = loaded.of[k];
    }
    add(values);
  }
  __device__ double all() const { return (sums[0] + sums[1]) + (sums[2] + sums[3]); }
};

/// A thread sums four neighbours of every 4 x kThreads elements of a tile. Who sums what does not
/// depend on addresses, so that equal tensors have equal sums wherever they lie.
template <typename T> __device__ void sumSquares(const SumSquaresParameters &p) {
  constexpr int kNeighbours = Squares<T>::kNeighbours, kStep = kNeighbours * kThreads;
  const T *x = static_cast<const T *>(p.x);
  Squares<T> squares;
  int64_t begin = int64_t(blockIdx.x) * kSquaresTile, end = begin + kSquaresTile;
  int64_t first = begin + kNeighbours * int64_t(threadIdx.x);
  if (p.stride == 1 && uint64_t(x) % sizeof(Pack<T>) == 0 && end <= p.count) {
#pragma unroll 8
    for (int i = 0; i < kSquaresTile; i += kStep)
      squares.addPacks(x + first + i);
  } else {
    end = end < p.count ? end : p.count;
    for (int64_t i = first; i < end; i += kStep) {
      T values[kNeighbours] = {};
      for (int k = 0; k < kNeighbours; ++k)
        if (i + k < end)
          values[k] = x[(i + k) * p.stride];
      squares.add(values);
    }
  }
  double sum = sumOfBlock(squares.all());
  if (threadIdx.x == 0)
    p.sums[blockIdx.x] = sum;
}

} // namespace

extern "C" __global__ void __launch_bounds__(kThreads)
    ds_adamw_f32(const __grid_constant__ AdamWParameters p) {
  __shared__ AdamWStep step;
  adamw<float>(p, step);
}
extern "C" __global__ void __launch_bounds__(kThreads)
    ds_adamw_f64(const __grid_constant__ AdamWParameters p) {
  __shared__ AdamWStep step;
  adamw<double>(p, step);
}

extern "C" __global__ void __launch_bounds__(kThreads)
    ds_sum_squares_f32(const __grid_constant__ SumSquaresParameters p) {
  sumSquares<float>(p);
}
extern "C" __global__ void __launch_bounds__(kThreads)
    ds_sum_squares_f64(const __grid_constant__ SumSquaresParameters p) {
  sumSquares<double>(p);
}

extern "C" __global__ void __launch_bounds__(kThreads)
    ds_sum_partials(const __grid_constant__ SumPartialsParameters p) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < p.count; i += kThreads)
    sum += p.sums[i];
  sum = sumOfBlock(sum);
  if (threadIdx.x == 0)
    *p.out = sum;
}

extern "C" __global__ void ds_update_loss_scale(const __grid_constant__ LossScaleParameters p) {
  p.rule.update(p.state, *p.isFinite != 0, p.next);
}

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_UPDATE_CUH
