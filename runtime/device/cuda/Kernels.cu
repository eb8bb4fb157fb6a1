//===- Kernels.cu - the device code of the library itself -------------------------------------===//
//
// Copies of strided windows, and the sums of ranks that share a GPU. Everything else a GPU computes
// comes with the plan or from NVIDIA's libraries; this stays small, because it is compiled for each
// architecture. Tests compile it for the host.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/device/cuda/Kernels.h"

using namespace deepshard::runtime::cuda;

namespace {

__device__ int64_t firstElement() { return int64_t(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ int64_t elementStep() { return int64_t(gridDim.x) * blockDim.x; }

template <typename Unit> __device__ void copy(const StridedWindow &window) {
  for (int64_t i = firstElement(); i < window.elements; i += elementStep()) {
    int64_t rest = i, from = 0, to = 0;
    for (int dim = window.rank - 1; dim >= 0; --dim) {
      int64_t index = rest % window.shape[dim];
      rest /= window.shape[dim];
      from += index * window.fromStrides[dim];
      to += index * window.toStrides[dim];
    }
    static_cast<Unit *>(window.to)[to] = static_cast<const Unit *>(window.from)[from];
  }
}

// What is reduced: how it lies in memory and how it is computed with.
template <typename T> struct Plain {
  using Stored = T;
  using Wide = T;
  static __device__ Wide load(Stored x) { return x; }
  static __device__ Stored round(Wide x) { return x; }
};
struct BF16 {
  using Stored = uint16_t;
  using Wide = float;
  static __device__ Wide load(Stored x) { return __uint_as_float(uint32_t(x) << 16); }
  static __device__ Stored round(Wide x) {
    uint32_t bits = __float_as_uint(x);
    if (x != x)
      return uint16_t(bits >> 16 | 0x40);
    return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16); // to nearest, ties to even
  }
};
struct F16 {
  using Stored = uint16_t;
  using Wide = float;
#ifdef __CUDACC__
  static __device__ Wide load(Stored x) {
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(x));
    return wide;
  }
  static __device__ Stored round(Wide x) {
    Stored narrow;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(narrow) : "f"(x));
    return narrow;
  }
#else
  static Wide load(Stored x) { return static_cast<Wide>(__builtin_bit_cast(_Float16, x)); }
  static Stored round(Wide x) { return __builtin_bit_cast(Stored, static_cast<_Float16>(x)); }
#endif
};

struct Sum {
  template <typename T> static __device__ T of(T a, T b) { return a + b; }
  // Integers wrap.
  static __device__ int32_t of(int32_t a, int32_t b) { return int32_t(uint32_t(a) + uint32_t(b)); }
  static __device__ int64_t of(int64_t a, int64_t b) { return int64_t(uint64_t(a) + uint64_t(b)); }
};
struct Max {
  template <typename T> static __device__ T of(T a, T b) { return a > b || a != a ? a : b; }
};
struct Min {
  template <typename T> static __device__ T of(T a, T b) { return a < b || a != a ? a : b; }
};

/// The inputs [begin, begin + count), count up to 2 ^ depth: halves first, the first the larger.
template <typename Type, typename Operation, int depth>
__device__ typename Type::Wide tree(const ReducedRows &rows, int64_t at, int begin, int count) {
  if constexpr (depth > 0) {
    if (count > 1) {
      int first = (count + 1) / 2;
      return Operation::of(tree<Type, Operation, depth - 1>(rows, at, begin, first),
                           tree<Type, Operation, depth - 1>(rows, at, begin + first, count - first));
    }
  }
  return Type::load(static_cast<const typename Type::Stored *>(rows.inputs[begin])[at]);
}

template <typename Type, typename Operation> __device__ void reduce(const ReducedRows &rows) {
  constexpr int kDepth = 4;
  static_assert(kMostMembers == 1 << kDepth);
  int64_t input = blockIdx.y * rows.inputStride, output = blockIdx.y * rows.outputStride;
  for (int64_t i = firstElement(); i < rows.elements; i += elementStep()) {
    auto sum = tree<Type, Operation, kDepth>(rows, input + i, 0, rows.inputCount);
    typename Type::Stored rounded = Type::round(sum);
    for (int k = 0; k < rows.outputCount; ++k)
      static_cast<typename Type::Stored *>(rows.outputs[k])[output + i] = rounded;
  }
}

} // namespace

extern "C" __global__ void ds_mark(const __grid_constant__ Mark mark) { *mark.place = mark.number; }

#define DEEPSHARD_COPY(width, Unit)                                                                \
  extern "C" __global__ void ds_copy_##width(const __grid_constant__ StridedWindow window) {                \
    copy<Unit>(window);                                                                            \
  }
DEEPSHARD_COPY(1, uint8_t)
DEEPSHARD_COPY(2, uint16_t)
DEEPSHARD_COPY(4, uint32_t)
DEEPSHARD_COPY(8, uint64_t)
DEEPSHARD_COPY(16, uint4)

#define DEEPSHARD_REDUCE(name, Type)                                                               \
  extern "C" __global__ void ds_reduce_##name##_sum(const __grid_constant__ ReducedRows rows) {    \
    reduce<Type, Sum>(rows);                                                                       \
  }                                                                                                \
  extern "C" __global__ void ds_reduce_##name##_max(const __grid_constant__ ReducedRows rows) {    \
    reduce<Type, Max>(rows);                                                                       \
  }                                                                                                \
  extern "C" __global__ void ds_reduce_##name##_min(const __grid_constant__ ReducedRows rows) {    \
    reduce<Type, Min>(rows);                                                                       \
  }
DEEPSHARD_REDUCE(f32, Plain<float>)
DEEPSHARD_REDUCE(f64, Plain<double>)
DEEPSHARD_REDUCE(bf16, BF16)
DEEPSHARD_REDUCE(f16, F16)
DEEPSHARD_REDUCE(i64, Plain<int64_t>)
DEEPSHARD_REDUCE(i32, Plain<int32_t>)
