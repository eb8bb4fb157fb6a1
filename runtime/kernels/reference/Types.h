//===- Types.h - the C++ types of the element types, and dispatch over them -------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_REFERENCE_TYPES_H
#define DEEPSHARD_RUNTIME_KERNELS_REFERENCE_TYPES_H

#include "runtime/kernels/Kernel.h"
#include "runtime/kernels/Require.h"
#include "runtime/kernels/reference/Elements.h"

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>

namespace deepshard::runtime::reference {

template <typename T> struct Tag {
  using Type = T;
};

/// Calls `body(Tag<T>{})` with the C++ type of a floating-point `dtype` that kernels compute in.
template <typename Body>
auto dispatchFloat(DType dtype, const std::string &what, const Body &body) {
  switch (dtype) {
  case DType::F32:
    return body(Tag<float>{});
  case DType::F64:
    return body(Tag<double>{});
  default:
    require(false, what + " has type " + std::string(nameOf(dtype)) + ", expected f32 or f64");
    return body(Tag<float>{});
  }
}

/// As `dispatchFloat`, for the floats too that are computed with in f32.
template <typename Body>
auto dispatchAnyFloat(DType dtype, const std::string &what, const Body &body) {
  switch (dtype) {
  case DType::BF16:
    return body(Tag<BFloat16>{});
  case DType::F16:
    return body(Tag<Float16>{});
  default:
    return dispatchFloat(dtype, what, body);
  }
}

/// As `dispatchFloat`, for signed integers too.
template <typename Body>
auto dispatchNumber(DType dtype, const std::string &what, const Body &body) {
  switch (dtype) {
  case DType::I64:
    return body(Tag<int64_t>{});
  case DType::I32:
    return body(Tag<int32_t>{});
  case DType::I8:
    return body(Tag<int8_t>{});
  case DType::F32:
    return body(Tag<float>{});
  case DType::F64:
    return body(Tag<double>{});
  default:
    require(false, what + " has type " + std::string(nameOf(dtype)) +
                       ", expected f32, f64, i64, i32 or i8");
    return body(Tag<float>{});
  }
}

/// As `dispatchNumber`, for the floats too that are computed with in f32.
template <typename Body>
auto dispatchAnyNumber(DType dtype, const std::string &what, const Body &body) {
  switch (dtype) {
  case DType::BF16:
    return body(Tag<BFloat16>{});
  case DType::F16:
    return body(Tag<Float16>{});
  default:
    return dispatchNumber(dtype, what, body);
  }
}

/// Calls `body(Tag<T>{})` with an unsigned integer of the size of `dtype`, for kernels that only
/// move elements.
template <typename Body> auto dispatchSize(DType dtype, const Body &body) {
  switch (sizeOf(dtype)) {
  case 1:
    return body(Tag<uint8_t>{});
  case 2:
    return body(Tag<uint16_t>{});
  case 4:
    return body(Tag<uint32_t>{});
  default:
    return body(Tag<uint64_t>{});
  }
}

} // namespace deepshard::runtime::reference

#endif // DEEPSHARD_RUNTIME_KERNELS_REFERENCE_TYPES_H
