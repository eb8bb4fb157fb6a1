//===- Elementwise.cuh - elementwise functions, conversion, choice, dropout -------------------===//
//
// A function is chosen by its code while the kernel runs: these are kernels for what is rare, and
// small ones.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_ELEMENTWISE_CUH
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_ELEMENTWISE_CUH

#include "runtime/kernels/Philox.h"
#include "runtime/kernels/cuda/device/Threads.cuh"
#include "runtime/kernels/reference/BinaryFunctions.h"
#include "runtime/kernels/reference/Conversion.h"
#include "runtime/kernels/reference/UnaryFunctions.h"

namespace deepshard::runtime::cuda {
namespace {

/// The functions of floats only; `b` is the second operand, if there is one.
template <typename V> __device__ V computeFloat(Operation operation, V a) {
  switch (operation) {
  case Operation::Exp:
    return reference::Exp::apply(a);
  case Operation::Log:
    return reference::Log::apply(a);
  case Operation::Sqrt:
    return reference::Sqrt::apply(a);
  case Operation::Rsqrt:
    return reference::Rsqrt::apply(a);
  case Operation::Reciprocal:
    return reference::Reciprocal::apply(a);
  case Operation::Sin:
    return reference::Sin::apply(a);
  case Operation::Cos:
    return reference::Cos::apply(a);
  case Operation::Tanh:
    return reference::Tanh::apply(a);
  case Operation::Erf:
    return reference::Erf::apply(a);
  case Operation::Ndtr:
    return reference::Ndtr::apply(a);
  case Operation::Sigmoid:
    return reference::Sigmoid::apply(a);
  default:
    return reference::Floor::apply(a);
  }
}

/// Of i1, which only the integers' kernel sees.
__device__ int64_t computeBits(Operation operation, int64_t left, int64_t right) {
  reference::Bit a{uint8_t(left)}, b{uint8_t(right)};
  switch (operation) {
  case Operation::Not:
    return reference::Not::apply(a).value;
  case Operation::And:
    return reference::And::apply(a, b).value;
  case Operation::Or:
    return reference::Or::apply(a, b).value;
  default:
    return reference::Xor::apply(a, b).value;
  }
}

template <typename V> __device__ V compute(Operation operation, V a, V b) {
  switch (operation) {
  case Operation::Neg:
    return reference::Neg::apply(a);
  case Operation::Abs:
    return reference::Abs::apply(a);
  case Operation::Sign:
    return reference::Sign::apply(a);
  case Operation::Add:
    return reference::Add::apply(a, b);
  case Operation::Sub:
    return reference::Sub::apply(a, b);
  case Operation::Mul:
    return reference::Mul::apply(a, b);
  case Operation::Div:
    return reference::Div::apply(a, b);
  case Operation::Remainder:
    return reference::Remainder::apply(a, b);
  case Operation::Pow:
    return reference::Pow::apply(a, b);
  case Operation::Maximum:
    return reference::Maximum::apply(a, b);
  case Operation::Minimum:
    return reference::Minimum::apply(a, b);
  default:
    if constexpr (std::is_integral_v<V>)
      return computeBits(operation, a, b);
    else
      return computeFloat(operation, a);
  }
}

template <typename V> __device__ bool compare(Operation operation, V a, V b) {
  switch (operation) {
  case Operation::Eq:
    return a == b;
  case Operation::Ne:
    return a != b;
  case Operation::Lt:
    return a < b;
  case Operation::Le:
    return a <= b;
  case Operation::Gt:
    return a > b;
  default:
    return a >= b;
  }
}

template <typename V> __device__ void elementwise(const ElementwiseParameters &p) {
  for (int64_t i = firstElement(); i < p.nest.count; i += elementStep()) {
    Offsets<3> offsets(p.nest, i);
    V a = Computed<V>::load(at(p.a, offsets.of[1]), p.type);
    V b = p.b ? Computed<V>::load(at(p.b, offsets.of[2]), p.type) : a;
    char *out = at(p.out, offsets.of[0]);
    if (p.operation >= Operation::Eq)
      *reinterpret_cast<uint8_t *>(out) = compare(p.operation, a, b);
    else
      Computed<V>::store(out, p.resultType, compute(p.operation, a, b));
  }
}

template <typename T> __device__ void dropout(const DropoutParameters &p) {
  DropoutMask mask(p.counter, p.p, p.id, p.wholeElements);
  int64_t first = 0;
  if (p.offsets)
    for (int64_t dim = 0; dim < p.rank; ++dim)
      first += p.offsets[dim] * p.wholeStrides[dim];
  T factor = T(p.scale);
  for (int64_t i = firstElement(); i < p.nest.count; i += elementStep()) {
    Offsets<3> offsets(p.nest, i);
    T x = *reinterpret_cast<const T *>(at(p.x, offsets.of[1]));
    *reinterpret_cast<T *>(at(p.out, offsets.of[0])) =
        mask.keeps(first + offsets.of[2]) ? x * factor : T(0);
  }
}

} // namespace

extern "C" __global__ void __launch_bounds__(kThreads)
    ds_elementwise_f32(const __grid_constant__ ElementwiseParameters p) {
  elementwise<float>(p);
}
extern "C" __global__ void __launch_bounds__(kThreads)
    ds_elementwise_f64(const __grid_constant__ ElementwiseParameters p) {
  elementwise<double>(p);
}
extern "C" __global__ void __launch_bounds__(kThreads)
    ds_elementwise_i64(const __grid_constant__ ElementwiseParameters p) {
  elementwise<int64_t>(p);
}

extern "C" __global__ void __launch_bounds__(kThreads)
    ds_select(const __grid_constant__ SelectParameters p) {
  for (int64_t i = firstElement(); i < p.nest.count; i += elementStep()) {
    Offsets<4> offsets(p.nest, i);
    const char *from = *reinterpret_cast<const uint8_t *>(at(p.predicate, offsets.of[1]))
                           ? at(p.a, offsets.of[2])
                           : at(p.b, offsets.of[3]);
    ofWidth(p.width, [&](auto unit) {
      using T = decltype(unit);
      *reinterpret_cast<T *>(at(p.out, offsets.of[0])) = *reinterpret_cast<const T *>(from);
    });
  }
}

extern "C" __global__ void __launch_bounds__(kThreads)
    ds_convert(const __grid_constant__ ConvertParameters p) {
  for (int64_t i = firstElement(); i < p.nest.count; i += elementStep()) {
    Offsets<2> offsets(p.nest, i);
    const char *from = at(p.in, offsets.of[1]);
    char *out = at(p.out, offsets.of[0]);
    ofType(p.from, [&](auto in) {
      using T = decltype(in);
      auto value = reference::widened(*reinterpret_cast<const T *>(from));
      ofType(p.to, [&](auto to) {
        using R = decltype(to);
        if constexpr (std::is_same_v<R, T>) // as it is, whatever it stands for
          *reinterpret_cast<R *>(out) = *reinterpret_cast<const T *>(from);
        else
          *reinterpret_cast<R *>(out) = reference::ConvertTo<R>::apply(value);
      });
    });
  }
}

extern "C" __global__ void __launch_bounds__(kThreads)
    ds_dropout_f32(const __grid_constant__ DropoutParameters p) {
  dropout<float>(p);
}
extern "C" __global__ void __launch_bounds__(kThreads)
    ds_dropout_f64(const __grid_constant__ DropoutParameters p) {
  dropout<double>(p);
}

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_ELEMENTWISE_CUH
