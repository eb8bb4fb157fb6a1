//===- ConvertTest.cpp - conversion of numbers ------------------------------------------------===//

#include "runtime/data/Convert.h"

#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <vector>

using namespace deepshard::runtime;

namespace {

uint16_t toBf16(float value) {
  uint16_t result = 0;
  convertNumbers(DType::F32, &value, 1, DType::BF16, &result, 1, 1);
  return result;
}

/// Rounding to nearest even in integer arithmetic, as processors do it.
uint16_t bf16ByBits(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

TEST(ConvertTest, Bf16RoundsToNearestEven) {
  uint32_t state = 1;
  for (int i = 0; i < 200000; ++i) {
    state = state * 1664525u + 1013904223u;
    float value = std::bit_cast<float>(state);
    if (std::isnan(value))
      continue;
    ASSERT_EQ(toBf16(value), bf16ByBits(value)) << value;
  }
  EXPECT_EQ(toBf16(INFINITY), 0x7f80);
  EXPECT_EQ(toBf16(-INFINITY), 0xff80);
  EXPECT_EQ(toBf16(NAN) & 0x7f80, 0x7f80);
  EXPECT_NE(toBf16(NAN) & 0x007f, 0);
}

TEST(ConvertTest, HalvesSurviveTheWayThroughWiderTypes) {
  for (DType narrow : {DType::F16, DType::BF16}) {
    for (DType wide : {DType::F32, DType::F64}) {
      for (uint32_t bits = 0; bits < 0x10000; ++bits) {
        auto half = static_cast<uint16_t>(bits);
        double middle = 0;
        uint16_t back = 0;
        convertNumbers(narrow, &half, 1, wide, &middle, 1, 1);
        convertNumbers(wide, &middle, 1, narrow, &back, 1, 1);
        uint16_t infinity = narrow == DType::F16 ? 0x7c00 : 0x7f80;
        bool isNan = (bits & 0x7fff) > infinity;
        ASSERT_TRUE(isNan ? (back & 0x7fff) > infinity : back == half) << bits;
      }
    }
  }
  uint16_t half = 0x3555; // (1 + 341/1024) / 4
  float value = 0;
  convertNumbers(DType::F16, &half, 1, DType::F32, &value, 1, 1);
  EXPECT_EQ(value, (1 + 341.0f / 1024) / 4);
}

TEST(ConvertTest, StridesAndRanges) {
  std::vector<uint16_t> from = {1, 2, 3, 4, 60000, 6};
  std::vector<int64_t> to(6, -1);
  EXPECT_EQ(convertNumbers(DType::U16, from.data(), 2, DType::I64, to.data(), 2, 3), -1);
  EXPECT_THAT(to, testing::ElementsAre(1, -1, 3, -1, 60000, -1));
  int8_t narrow[6];
  EXPECT_EQ(convertNumbers(DType::U16, from.data(), 1, DType::I8, narrow, 1, 6), 4);
  ValueRange range;
  range.lowest = 0;
  range.highest = 9;
  EXPECT_EQ(convertNumbers(DType::U16, from.data(), 1, DType::I64, to.data(), 1, 6, range), 4);
  range.alsoAllowed = 60000;
  EXPECT_EQ(convertNumbers(DType::U16, from.data(), 1, DType::I64, to.data(), 1, 6, range), -1);
  std::vector<int64_t> flags = {0, 1, 2};
  uint8_t bools[3];
  EXPECT_EQ(convertNumbers(DType::I64, flags.data(), 1, DType::I1, bools, 1, 3), 2);
  EXPECT_FALSE(isConvertible(DType::F32, DType::I64));
  EXPECT_FALSE(isConvertible(DType::U8, DType::F32));
}

} // namespace
