//===- Threads.cuh - elements, threads and index spaces ---------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_THREADS_CUH
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_THREADS_CUH

#include "runtime/kernels/cuda/Parameters.h"
#include "runtime/kernels/reference/Elements.h"

namespace deepshard::runtime::cuda {
namespace {

constexpr uint32_t kAllLanes = 0xffffffff;
constexpr int kWarp = 32;

__device__ int64_t firstElement() { return int64_t(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ int64_t elementStep() { return int64_t(gridDim.x) * blockDim.x; }

/// a / b of numbers that are not negative. Those of 32 bits, which nearly all are, a GPU divides
/// several times as fast; for others it would call a function, around which registers are spilled.
__device__ int64_t quotient(int64_t a, int64_t b) {
  if (((a | b) >> 32) == 0)
    return int64_t(uint32_t(a) / uint32_t(b));
  uint64_t quotient = 0, rest = 0;
#pragma unroll 1
  for (int bit = 62; bit >= 0; --bit) {
    rest = rest << 1 | (uint64_t(a) >> bit & 1);
    if (rest >= uint64_t(b)) {
      rest -= uint64_t(b);
      quotient |= uint64_t(1) << bit;
    }
  }
  return int64_t(quotient);
}

/// Where an element of a nest lies in its operands.
template <int operands> struct Offsets {
  int64_t of[operands];

  __device__ Offsets(const Nest &nest, int64_t index) {
#pragma unroll
    for (int k = 0; k < operands; ++k)
      of[k] = 0;
    for (int64_t dim = nest.rank - 1; dim >= 0; --dim) {
      int64_t outer = dim > 0 ? quotient(index, nest.shape[dim]) : 0;
      int64_t at = index - outer * nest.shape[dim];
      index = outer;
#pragma unroll
      for (int k = 0; k < operands; ++k)
        of[k] += at * nest.strides[dim][k];
    }
  }
};

__device__ const char *at(const void *base, int64_t offset) {
  return static_cast<const char *>(base) + offset;
}
__device__ char *at(void *base, int64_t offset) { return static_cast<char *>(base) + offset; }

/// Four, or two, elements in 16 bytes.
template <typename T> struct alignas(16) Pack {
  static constexpr int kSize = 16 / sizeof(T);
  T of[kSize];
};

struct alignas(16) Unit16 {
  uint64_t halves[2];
};

/// Calls `body(T())` with an unsigned integer of `width` bytes.
template <typename Body> __device__ void ofWidth(int width, const Body &body) {
  switch (width) {
  case 1:
    return body(uint8_t());
  case 2:
    return body(uint16_t());
  case 4:
    return body(uint32_t());
  default:
    return body(uint64_t());
  }
}

/// Calls `body(T())` with the type of an element.
template <typename Body> __device__ void ofType(Element type, const Body &body) {
  switch (type) {
  case Element::F32:
    return body(float());
  case Element::F64:
    return body(double());
  case Element::BF16:
    return body(reference::BFloat16());
  case Element::F16:
    return body(reference::Float16());
  case Element::I64:
    return body(int64_t());
  case Element::I32:
    return body(int32_t());
  case Element::I8:
    return body(int8_t());
  case Element::I1:
    return body(reference::Bit());
  }
}

/// Elements as they are computed with: bf16 and f16 as f32, integers and i1 as i64.
template <typename V> struct Computed;
template <> struct Computed<float> {
  static __device__ float load(const void *from, Element type) {
    if (type == Element::F32)
      return *static_cast<const float *>(from);
    auto bits = *static_cast<const uint16_t *>(from);
    return type == Element::BF16 ? reference::BFloat16{bits}.toFloat()
                                 : reference::Float16{bits}.toFloat();
  }
  static __device__ void store(void *to, Element type, float value) {
    if (type == Element::F32)
      *static_cast<float *>(to) = value;
    else
      *static_cast<uint16_t *>(to) = type == Element::BF16 ? reference::BFloat16::from(value).bits
                                                           : reference::Float16::from(value).bits;
  }
};
template <> struct Computed<double> {
  static __device__ double load(const void *from, Element) {
    return *static_cast<const double *>(from);
  }
  static __device__ void store(void *to, Element, double value) {
    *static_cast<double *>(to) = value;
  }
};
template <> struct Computed<int64_t> {
  static __device__ int64_t load(const void *from, Element type) {
    switch (type) {
    case Element::I64:
      return *static_cast<const int64_t *>(from);
    case Element::I32:
      return *static_cast<const int32_t *>(from);
    case Element::I8:
      return *static_cast<const int8_t *>(from);
    default:
      return *static_cast<const uint8_t *>(from);
    }
  }
  static __device__ void store(void *to, Element type, int64_t value) {
    if (type == Element::I64)
      *static_cast<int64_t *>(to) = value;
    else if (type == Element::I32)
      *static_cast<int32_t *>(to) = int32_t(value);
    else
      *static_cast<int8_t *>(to) = int8_t(value);
  }
};

/// An element of an index operand.
__device__ int64_t indexAt(const void *indices, int64_t offset, bool isWide) {
  return isWide ? *reinterpret_cast<const int64_t *>(at(indices, offset))
                : *reinterpret_cast<const int32_t *>(at(indices, offset));
}

} // namespace
} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_THREADS_CUH
