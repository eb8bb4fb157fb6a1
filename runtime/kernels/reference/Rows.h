//===- Rows.h - row functions of elementwise kernels ------------------------------------------===//
//
// A functor with a static `apply` becomes a row function. Contiguous and repeated (stride 0)
// operands get loops of their own, which the compiler vectorises; a result may be written over an
// operand of the same description. bf16 and f16 are computed with in f32.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_REFERENCE_ROWS_H
#define DEEPSHARD_RUNTIME_KERNELS_REFERENCE_ROWS_H

#include "runtime/kernels/reference/Types.h"

#include <cstdint>

namespace deepshard::runtime::reference {

template <typename T> T &element(char *at, int64_t stride, int64_t i) {
  return *reinterpret_cast<T *>(at + i * stride);
}

template <typename Op, typename R, typename... T> R applied(T... x) {
  return narrowed<R>(Op::apply(widened(x)...));
}

template <typename Op, typename R, typename T>
void unaryRow(const void *, char *const *at, const int64_t *strides, int64_t count) {
  if (strides[0] == sizeof(R) && strides[1] == sizeof(T)) {
    auto *out = reinterpret_cast<R *>(at[0]);
    const auto *in = reinterpret_cast<const T *>(at[1]);
#pragma omp simd
    for (int64_t i = 0; i < count; ++i)
      out[i] = applied<Op, R>(in[i]);
    return;
  }
  for (int64_t i = 0; i < count; ++i)
    element<R>(at[0], strides[0], i) = applied<Op, R>(element<T>(at[1], strides[1], i));
}

template <typename Op, typename R, typename T>
void binaryRow(const void *, char *const *at, const int64_t *strides, int64_t count) {
  auto *out = reinterpret_cast<R *>(at[0]);
  const auto *a = reinterpret_cast<const T *>(at[1]);
  const auto *b = reinterpret_cast<const T *>(at[2]);
  constexpr auto kSize = static_cast<int64_t>(sizeof(T));
  if (strides[0] == sizeof(R) && strides[1] == kSize && strides[2] == kSize) {
#pragma omp simd
    for (int64_t i = 0; i < count; ++i)
      out[i] = applied<Op, R>(a[i], b[i]);
    return;
  }
  if (strides[0] == sizeof(R) && strides[1] == kSize && strides[2] == 0) {
    const T right = *b;
#pragma omp simd
    for (int64_t i = 0; i < count; ++i)
      out[i] = applied<Op, R>(a[i], right);
    return;
  }
  if (strides[0] == sizeof(R) && strides[1] == 0 && strides[2] == kSize) {
    const T left = *a;
#pragma omp simd
    for (int64_t i = 0; i < count; ++i)
      out[i] = applied<Op, R>(left, b[i]);
    return;
  }
  for (int64_t i = 0; i < count; ++i)
    element<R>(at[0], strides[0], i) =
        applied<Op, R>(element<T>(at[1], strides[1], i), element<T>(at[2], strides[2], i));
}

} // namespace deepshard::runtime::reference

#endif // DEEPSHARD_RUNTIME_KERNELS_REFERENCE_ROWS_H
