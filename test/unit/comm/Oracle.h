//===- Oracle.h - data of all ranks, and the collectives by their definition ------------------===//
//
// Every rank can compute every rank's input, so every rank can compute what it must receive.
// Results are compared bit for bit.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_COMM_ORACLE_H
#define DEEPSHARD_TEST_UNIT_COMM_ORACLE_H

#include "runtime/comm/Communicator.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <type_traits>
#include <vector>

namespace deepshard::runtime::test {

struct BF16 {
  uint16_t bits;
};
using F16 = _Float16;

template <typename T> DType dtypeOf() {
  if constexpr (std::is_same_v<T, float>)
    return DType::F32;
  else if constexpr (std::is_same_v<T, double>)
    return DType::F64;
  else if constexpr (std::is_same_v<T, BF16>)
    return DType::BF16;
  else if constexpr (std::is_same_v<T, F16>)
    return DType::F16;
  else if constexpr (std::is_same_v<T, int64_t>)
    return DType::I64;
  else if constexpr (std::is_same_v<T, int32_t>)
    return DType::I32;
  else
    return DType::I8;
}

template <typename T> auto widened(T x) {
  if constexpr (std::is_same_v<T, BF16>)
    return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16);
  else if constexpr (std::is_same_v<T, F16>)
    return static_cast<float>(x);
  else
    return x;
}

/// The nearest bf16 by comparing distances; of two as near the even one.
inline BF16 nearestBF16(float x) {
  const auto below = static_cast<uint16_t>(std::bit_cast<uint32_t>(x) >> 16); // towards zero
  if (std::isnan(x))
    return {static_cast<uint16_t>(below | 0x40)};
  if (std::isinf(x))
    return {below};
  const auto above = static_cast<uint16_t>(below + 1);
  const auto valueOf = [](uint16_t bits) { // with infinity where the next power of two would be
    return (bits & 0x7fff) == 0x7f80 ? std::copysign(0x1p128, (bits & 0x8000) != 0 ? -1.0 : 1.0)
                                     : static_cast<double>(widened(BF16{bits}));
  };
  const double down = std::abs(x - valueOf(below)), up = std::abs(x - valueOf(above));
  if (down == up)
    return {(below & 1) == 0 ? below : above};
  return {down < up ? below : above};
}

template <typename T, typename Wide> T narrowed(Wide x) {
  if constexpr (std::is_same_v<T, BF16>)
    return nearestBF16(x);
  else
    return static_cast<T>(x);
}

template <typename T> T fold(Reduction reduction, T a, T b) {
  switch (reduction) {
  case Reduction::Sum:
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) +
                            static_cast<std::make_unsigned_t<T>>(b));
    else
      return a + b;
  case Reduction::Max:
    return a > b || a != a ? a : b;
  default:
    return a < b || a != a ? a : b;
  }
}

/// The tree of Communicator.h over the values of the members.
template <typename T> T tree(Reduction reduction, std::span<const T> values) {
  if (values.size() == 1)
    return values[0];
  const size_t first = (values.size() + 1) / 2;
  return fold(reduction, tree(reduction, values.first(first)),
              tree(reduction, values.subspan(first)));
}

/// Element `index` of the input of `rank` in test `salt`: numbers of several magnitudes, and for
/// floating-point types now and then a NaN, an infinity (one sign, so that a sum is not a NaN of
/// the machine's choice), a zero of either sign.
template <typename T> T inputOf(int rank, int64_t index, unsigned salt) {
  uint64_t bits = (static_cast<uint64_t>(salt) << 40) ^ (static_cast<uint64_t>(rank) << 32) ^ index;
  for (int round = 0; round < 3; ++round) { // splitmix64
    bits += 0x9e3779b97f4a7c15;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
    bits ^= bits >> 31;
  }
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(bits);
  } else {
    using Wide = decltype(widened(T{}));
    switch (bits % 97) {
    case 0:
      return narrowed<T>(std::numeric_limits<Wide>::quiet_NaN());
    case 1:
      return narrowed<T>(std::numeric_limits<Wide>::infinity());
    case 2:
      return narrowed<T>(Wide{0});
    case 3:
      return narrowed<T>(-Wide{0});
    default:
      const double unit = static_cast<double>(bits >> 11) * 0x1p-53 - 0.5;
      const double scale = static_cast<double>(1 << (bits % 13)) / 64;
      return narrowed<T>(static_cast<Wide>(unit * scale));
    }
  }
}

template <typename T> std::vector<T> inputs(int rank, int64_t count, unsigned salt) {
  std::vector<T> values(count);
  for (int64_t index = 0; index < count; ++index)
    values[index] = inputOf<T>(rank, index, salt);
  return values;
}

/// Element `index` of the reduction over `members`, at most 16.
template <typename T>
T reduced(Reduction reduction, std::span<const int> members, int64_t index, unsigned salt) {
  using Wide = decltype(widened(T{}));
  if (members.size() == 1)
    return inputOf<T>(members[0], index, salt);
  Wide values[16];
  for (size_t member = 0; member < members.size(); ++member)
    values[member] = widened(inputOf<T>(members[member], index, salt));
  return narrowed<T>(tree(reduction, std::span<const Wide>(values, members.size())));
}

/// How many elements differ in their bits.
template <typename T> int64_t differences(const T *found, const std::vector<T> &expected) {
  int64_t count = 0;
  for (size_t index = 0; index < expected.size(); ++index)
    count += std::memcmp(found + index, &expected[index], sizeof(T)) != 0;
  return count;
}

/// Calls `body(T{})` for each type that collectives reduce.
template <typename Body> void forEachType(const Body &body) {
  body(float{});
  body(double{});
  body(BF16{});
  body(F16{});
  body(int64_t{});
  body(int32_t{});
}

constexpr Reduction kReductions[] = {Reduction::Sum, Reduction::Max, Reduction::Min};

} // namespace deepshard::runtime::test

#endif // DEEPSHARD_TEST_UNIT_COMM_ORACLE_H
