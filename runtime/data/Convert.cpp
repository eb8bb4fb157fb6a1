//===- Convert.cpp - numbers of one type into numbers of another ------------------------------===//

#include "runtime/data/Convert.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <type_traits>

namespace deepshard::runtime {

namespace {

struct BFloat16 {
  uint16_t bits;
  explicit operator double() const { return std::bit_cast<float>(uint32_t{bits} << 16); }
  /// To nearest even; NaN stays NaN.
  static BFloat16 from(float value) {
    const auto wide = std::bit_cast<uint32_t>(value);
    if (std::isnan(value))
      return {static_cast<uint16_t>((wide >> 16) | 0x40)};
    return {static_cast<uint16_t>((wide + 0x7fff + ((wide >> 16) & 1)) >> 16)};
  }
};

struct Float16 {
  uint16_t bits;
  explicit operator double() const {
    double sign = bits & 0x8000 ? -1 : 1;
    int exponent = bits >> 10 & 0x1f;
    int fraction = bits & 0x3ff;
    if (exponent == 0x1f)
      return fraction ? std::numeric_limits<double>::quiet_NaN()
                      : sign * std::numeric_limits<double>::infinity();
    if (exponent == 0)
      return sign * std::ldexp(fraction, -24);
    return sign * std::ldexp(fraction + 0x400, exponent - 25);
  }
};

/// Rounds to a binary format of `fractionBits` and exponents from `lowest` (of the smallest normal
/// number) to `highest`, biased by `bias`; the sign is in bit 15.
uint16_t roundTo16(double value, int fractionBits, int lowest, int highest, int bias) {
  uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  uint16_t infinity = static_cast<uint16_t>((highest + 1 + bias) << fractionBits);
  if (std::isnan(value))
    return sign | infinity | uint16_t(1u << (fractionBits - 1));
  double magnitude = std::fabs(value);
  if (magnitude == 0 || std::isinf(magnitude))
    return sign | (magnitude == 0 ? 0 : infinity);
  int exponent = std::max(std::ilogb(magnitude), lowest);
  // An integer number of units in the last place, to nearest even (the default rounding mode).
  double units = std::nearbyint(std::ldexp(magnitude, fractionBits - exponent));
  // Units of a normal number carry the implicit bit, which raises the exponent field by one.
  double field = units + std::ldexp(exponent + bias - 1, fractionBits);
  return sign | (field >= infinity ? infinity : static_cast<uint16_t>(field));
}

template <typename To> To roundTo(double value) {
  if constexpr (std::is_same_v<To, BFloat16>)
    return {roundTo16(value, 7, -126, 127, 127)};
  else if constexpr (std::is_same_v<To, Float16>)
    return {roundTo16(value, 10, -14, 15, 15)};
  else
    return static_cast<To>(value);
}

/// Strides in elements between numbers read and written.
struct Steps {
  int64_t from;
  int64_t to;
  int64_t count;
};

template <typename From, typename To>
int64_t convert(const void *source, void *target, const Steps &steps, const ValueRange &range) {
  const char *from = static_cast<const char *>(source);
  char *to = static_cast<char *>(target);
  for (int64_t i = 0; i < steps.count; ++i) {
    From value;
    // Data of a file may lie at any address.
    std::memcpy(&value, from + i * steps.from * int64_t{sizeof(From)}, sizeof(From));
    To result;
    if constexpr (std::is_integral_v<From>) {
      int64_t number = static_cast<int64_t>(value);
      if ((number < range.lowest || number > range.highest) && number != range.alsoAllowed)
        return i;
      result = static_cast<To>(number);
      if (static_cast<int64_t>(result) != number)
        return i;
    } else if constexpr (std::is_same_v<From, float> && std::is_same_v<To, BFloat16>) {
      result = BFloat16::from(value); // what copies of all parameters take at load
    } else {
      result = roundTo<To>(static_cast<double>(value));
    }
    std::memcpy(to + i * steps.to * int64_t{sizeof(To)}, &result, sizeof(To));
  }
  return -1;
}

template <typename From>
int64_t convertFloating(const void *source, DType to, void *target, const Steps &steps,
                        const ValueRange &range) {
  switch (to) {
  case DType::F32:
    return convert<From, float>(source, target, steps, range);
  case DType::F64:
    return convert<From, double>(source, target, steps, range);
  case DType::BF16:
    return convert<From, BFloat16>(source, target, steps, range);
  case DType::F16:
    return convert<From, Float16>(source, target, steps, range);
  default:
    throw std::invalid_argument("no conversion from a floating to an integer type");
  }
}

template <typename From>
int64_t convertInteger(const void *source, DType to, void *target, const Steps &steps,
                       ValueRange range) {
  switch (to) {
  case DType::I64:
    return convert<From, int64_t>(source, target, steps, range);
  case DType::I32:
    return convert<From, int32_t>(source, target, steps, range);
  case DType::I8:
    return convert<From, int8_t>(source, target, steps, range);
  case DType::U8:
    return convert<From, uint8_t>(source, target, steps, range);
  case DType::U16:
    return convert<From, uint16_t>(source, target, steps, range);
  case DType::I1:
    range.lowest = std::max<int64_t>(range.lowest, 0);
    range.highest = std::min<int64_t>(range.highest, 1);
    return convert<From, uint8_t>(source, target, steps, range);
  default:
    throw std::invalid_argument("no conversion from an integer to a floating type");
  }
}

} // namespace

bool isFloating(DType dtype) {
  return dtype == DType::F32 || dtype == DType::F64 || dtype == DType::BF16 || dtype == DType::F16;
}

bool isConvertible(DType from, DType to) { return isFloating(from) == isFloating(to); }

int64_t convertNumbers(DType from, const void *source, int64_t fromStride, DType to, void *target,
                       int64_t toStride, int64_t count, const ValueRange &range) {
  Steps steps = {fromStride, toStride, count};
  switch (from) {
  case DType::F32:
    return convertFloating<float>(source, to, target, steps, range);
  case DType::F64:
    return convertFloating<double>(source, to, target, steps, range);
  case DType::BF16:
    return convertFloating<BFloat16>(source, to, target, steps, range);
  case DType::F16:
    return convertFloating<Float16>(source, to, target, steps, range);
  case DType::I64:
    return convertInteger<int64_t>(source, to, target, steps, range);
  case DType::I32:
    return convertInteger<int32_t>(source, to, target, steps, range);
  case DType::I8:
    return convertInteger<int8_t>(source, to, target, steps, range);
  case DType::I1:
  case DType::U8:
    return convertInteger<uint8_t>(source, to, target, steps, range);
  case DType::U16:
    return convertInteger<uint16_t>(source, to, target, steps, range);
  }
  throw std::invalid_argument("unknown element type");
}

} // namespace deepshard::runtime
