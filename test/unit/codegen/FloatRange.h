//===- FloatRange.h - points of the whole range of f32, and errors in its last place ----------===//

#ifndef DEEPSHARD_TEST_UNIT_CODEGEN_FLOATRANGE_H
#define DEEPSHARD_TEST_UNIT_CODEGEN_FLOATRANGE_H

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace deepshard {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Ends of all binades, zeros, infinities, NaN, and `count` random numbers of each binade.
inline std::vector<float> wholeRange(int count) {
  std::mt19937 generator(7);
  std::vector<float> result = {kInfinity, -kInfinity, kNan, std::bit_cast<float>(0xffc00001u)};
  for (uint32_t binade = 0; binade < 2 * 256; ++binade)
    if (binade % 256 != 255)
      for (int i = 0; i < count; ++i) {
        uint32_t mantissa = i == 0 ? 0 : i == 1 ? 0x7fffff : generator() >> 9;
        result.push_back(std::bit_cast<float>(binade << 23 | mantissa));
      }
  return result;
}

/// Units in the last place of the exact result between `found` and `exact`; infinite if a sign or a
/// NaN is wrong. What lies above the largest f32 counts as 2^128.
inline double errorOf(float found, double exact) {
  if (std::isnan(exact) || std::isnan(found))
    return std::isnan(exact) && std::isnan(found) ? 0 : kInfinity;
  if (std::signbit(exact) != std::signbit(found))
    return kInfinity;
  auto size = [](double value) { return std::min(std::abs(value), 0x1p128); };
  int exponent = exact == 0 ? -126 : std::max(std::ilogb(size(exact)), -126);
  return std::abs(size(found) - size(exact)) / std::ldexp(1.0, std::min(exponent, 127) - 23);
}

} // namespace deepshard

#endif // DEEPSHARD_TEST_UNIT_CODEGEN_FLOATRANGE_H
