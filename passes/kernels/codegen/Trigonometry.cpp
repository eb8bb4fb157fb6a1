//===- Trigonometry.cpp - sin and cos as arithmetic -------------------------------------------===//
//
// |x| = n pi/2 + r with |r| <= pi/4; n mod 4 says which of +-sin r and +-cos r it is. Up to 2^28
// the difference is taken in f64 with pi/2 in two parts. Above, where hardly anybody goes, by a
// branch: |x| = m 2^e with an integer m < 2^24, and n mod 4 and r are integer and fraction of
//
//   m 2^e 2/pi mod 4
//
// of which, mod 4, only some bits of 2/pi matter (Payne and Hanek, 1983): 96 of them, from a table
// by e in steps of 8.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/kernels/codegen/Functions.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <array>
#include <limits>

using namespace mlir;

namespace deepshard {

static constexpr double kHalfPi = 1.57079632679489661923;

namespace {

/// The quarter turn of an angle, an i32 of which two bits count, and the rest, an f32.
struct Angle {
  Value quarter, rest;
};

/// 2^8j 2/pi mod 4 in units of 2^-94: its upper 64 and lower 32 bits.
struct TwoOverPi {
  uint64_t high, low;
};

} // namespace

static TwoOverPi twoOverPi(int j) {
  // The fraction of 2/pi; byte i has the weight 2^(-8 (i + 1)).
  static constexpr std::array<uint8_t, 27> kBytes = {
      0xa2, 0xf9, 0x83, 0x6e, 0x4e, 0x44, 0x15, 0x29, 0xfc, 0x27, 0x57, 0xd1, 0xf5, 0x34,
      0xdd, 0xc0, 0xdb, 0x62, 0x95, 0x99, 0x3c, 0x43, 0x90, 0x41, 0xfe, 0x51, 0x63};
  unsigned __int128 bits = j > 0 ? kBytes[j - 1] : 0;
  for (int i = 0; i < 12; ++i)
    bits = bits << 8 | kBytes[j + i];
  bits >>= 2;
  return {static_cast<uint64_t>(bits >> 32), static_cast<uint64_t>(bits) & 0xffffffff};
}

static Angle reduceSmall(Lanes &l, Value a) {
  // pi/2 less its nearest f64.
  constexpr double kHalfPiRest = 6.123233995736766036e-17;
  constexpr double kShift = 0x1.8p52; // rounds to an integer in the low bits
  Value wide = l.extend(l.f64(), a);
  Value shifted = l.fma(wide, l.f64(1 / kHalfPi), l.f64(kShift));
  Value n = l.sub(shifted, l.f64(kShift));
  Value rest = l.fma(n, l.f64(-kHalfPi), wide);
  rest = l.fma(n, l.f64(-kHalfPiRest), rest);
  return {l.truncate(l.i32(), l.bitcast(l.i64(), shifted)), l.round(l.f32(), rest)};
}

/// From 2^23 on, to the largest f32.
static Angle reduceLarge(Lanes &l, Value a) {
  Value bits = l.bitcast(l.i32(), a);
  Value e = l.subi(l.shiftRight(bits, l.i32(23)), l.i32(150));
  Value m = l.ori(l.andi(bits, l.i32(0x7fffff)), l.i32(0x800000));
  Value block = l.shiftRightSigned(e, l.i32(3));
  // Less than 2^31.
  Value scaled = l.extendUnsigned(l.i64(), l.shiftLeft(m, l.andi(e, l.i32(7))));
  Value high = l.i64(0), low = l.i64(0);
  constexpr int kBlocks = 14; // e <= 104
  for (int j = 0; j < kBlocks; ++j) {
    TwoOverPi entry = twoOverPi(j);
    Value isHere = l.compare(Lanes::IntegerComparison::eq, block, l.i32(j));
    high = l.select(isHere, l.i64(static_cast<int64_t>(entry.high)), high);
    low = l.select(isHere, l.i64(static_cast<int64_t>(entry.low)), low);
  }
  // In units of 2^-62 mod 2^64; n is the nearest integer, the rest has a sign.
  Value turns = l.addi(l.muli(scaled, high), l.shiftRight(l.muli(scaled, low), l.i64(32)));
  Value n = l.shiftRight(l.addi(turns, l.i64(int64_t{1} << 61)), l.i64(62));
  Value rest = l.subi(turns, l.shiftLeft(n, l.i64(62)));
  Value radians = l.mul(l.toFloat(l.f64(), rest), l.f64(kHalfPi * 0x1p-62));
  return {l.truncate(l.i32(), n), l.round(l.f32(), radians)};
}

static Angle reduce(Lanes &l, Value a) {
  // Infinities and NaN take the branch too, and what comes of it is not used.
  Value isLarge = l.compare(Lanes::Comparison::UGE, a, l.f32(0x1p28));
  Value anyLarge = isLarge;
  if (l.areVector())
    anyLarge =
        vector::ReductionOp::create(l.builder, l.location, vector::CombiningKind::OR, isLarge);
  Angle small = reduceSmall(l, a);
  auto branch = scf::IfOp::create(
      l.builder, l.location, anyLarge,
      [&](OpBuilder &builder, Location location) {
        Lanes inside(builder, location, a.getType());
        Angle large = reduceLarge(inside, a);
        Value results[] = {inside.select(isLarge, large.quarter, small.quarter),
                           inside.select(isLarge, large.rest, small.rest)};
        scf::YieldOp::create(builder, location, results);
      },
      [&](OpBuilder &builder, Location location) {
        Value results[] = {small.quarter, small.rest};
        scf::YieldOp::create(builder, location, results);
      });
  return {branch.getResult(0), branch.getResult(1)};
}

/// The sine of an angle `quarters` behind this one. The polynomials are those of Cephes' sinf.
static Value sineOf(Lanes &l, Angle angle, int quarters) {
  Value r = angle.rest, z = l.mul(r, r);
  Value sine =
      l.fma(l.mul(l.polynomial(z, {-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1}), z), r, r);
  Value cosine =
      l.polynomial(z, {2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2, -0.5, 1});
  Value quarter = l.addi(angle.quarter, l.i32(quarters));
  Value isOdd = l.compare(Lanes::IntegerComparison::ne, l.andi(quarter, l.i32(1)), l.i32(0));
  Value sign = l.shiftLeft(l.andi(quarter, l.i32(2)), l.i32(30));
  return l.bitcast(l.f32(), l.xori(l.bitcast(l.i32(), l.select(isOdd, cosine, sine)), sign));
}

static Value unlessInfinite(Lanes &l, Value a, Value result) {
  Value isFinite =
      l.compare(Lanes::Comparison::OLT, a, l.f32(std::numeric_limits<double>::infinity()));
  return l.select(isFinite, result, l.f32(std::numeric_limits<double>::quiet_NaN()));
}

Value buildSin(Lanes &l, Value x) {
  Value a = l.abs(x);
  Value positive = sineOf(l, reduce(l, a), 0);
  Value sign = l.andi(l.bitcast(l.i32(), x), l.i32(std::numeric_limits<int32_t>::min()));
  return unlessInfinite(l, a, l.bitcast(l.f32(), l.xori(l.bitcast(l.i32(), positive), sign)));
}

Value buildCos(Lanes &l, Value x) {
  Value a = l.abs(x);
  return unlessInfinite(l, a, sineOf(l, reduce(l, a), 1));
}

} // namespace deepshard
