//===- PtxArithmetic.cpp - what instructions of PTX compute -----------------------------------===//

#include "PtxArithmetic.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace deepshard::ptx {

namespace {

float asFloat(uint64_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits)); }
uint64_t bitsOf(float value) { return std::bit_cast<uint32_t>(value); }

[[noreturn]] void unknown(const Instruction &instruction) {
  throw std::runtime_error("unknown instruction: " + instruction.text);
}

//===------------------------------------------------------------------------------------------===//
// Floats
//===------------------------------------------------------------------------------------------===//

float extremum(const Instruction &instruction, float x, float y, bool isMaximum) {
  if (std::isnan(x) || std::isnan(y)) {
    if (instruction.has("NaN"))
      return std::numeric_limits<float>::quiet_NaN();
    return std::isnan(x) ? y : x;
  }
  if (x == y) // zeros: -0 is below +0
    return std::signbit(x) == isMaximum ? y : x;
  return (x > y) == isMaximum ? x : y;
}

float onFloats(const Instruction &instruction, float x, float y, float z) {
  std::string_view opcode = instruction.opcode();
  if (opcode == "add")
    return x + y;
  if (opcode == "sub")
    return x - y;
  if (opcode == "mul")
    return x * y;
  if (opcode == "div")
    return x / y;
  if (opcode == "fma")
    return std::fma(x, y, z);
  if (opcode == "neg")
    return -x;
  if (opcode == "abs")
    return std::fabs(x);
  if (opcode == "copysign") // of the first operand
    return std::copysign(y, x);
  if (opcode == "max" || opcode == "min")
    return extremum(instruction, x, y, opcode == "max");
  if (opcode == "sqrt")
    return std::sqrt(x);
  if (opcode == "rcp")
    return 1 / x;
  if (opcode == "ex2")
    return std::exp2(x);
  unknown(instruction);
}

double asDouble(uint64_t bits) { return std::bit_cast<double>(bits); }

uint64_t onDoubles(const Instruction &instruction, const uint64_t *values) {
  std::string_view opcode = instruction.opcode();
  double x = asDouble(values[0]), y = asDouble(values[1]);
  double result = opcode == "add"   ? x + y
                  : opcode == "sub" ? x - y
                  : opcode == "mul" ? x * y
                  : opcode == "fma" ? std::fma(x, y, asDouble(values[2]))
                  : opcode == "neg" ? -x
                                    : (unknown(instruction), 0.0);
  return std::bit_cast<uint64_t>(result);
}

//===------------------------------------------------------------------------------------------===//
// Integers
//===------------------------------------------------------------------------------------------===//

uint64_t multiply(const Instruction &instruction, uint64_t x, uint64_t y) {
  uint32_t bits = instruction.type.bits;
  bool isSigned = instruction.type.kind == Type::Signed;
  __extension__ using Wide = __int128;
  Wide product =
      isSigned
          ? static_cast<Wide>(static_cast<int64_t>(signExtended(x, bits))) *
                static_cast<int64_t>(signExtended(y, bits))
          : static_cast<Wide>(static_cast<unsigned __int128>(lowBits(x, bits)) * lowBits(y, bits));
  if (instruction.has("wide"))
    return lowBits(static_cast<uint64_t>(product), 2 * bits);
  return lowBits(static_cast<uint64_t>(instruction.has("hi") ? product >> bits : product), bits);
}

uint64_t permute(uint64_t a, uint64_t b, uint64_t selector) {
  uint64_t bytes = lowBits(a, 32) | lowBits(b, 32) << 32, result = 0;
  for (uint32_t i = 0; i < 4; ++i) {
    uint64_t which = selector >> (4 * i) & 0xF;
    uint64_t byte = bytes >> (8 * (which & 7)) & 0xFF;
    if (which & 8)
      byte = byte & 0x80 ? 0xFF : 0;
    result |= byte << (8 * i);
  }
  return result;
}

/// The quotient or the remainder of numbers that were extended to 64 bits.
uint64_t divide(bool isQuotient, bool isSigned, uint64_t x, uint64_t y) {
  if (y == 0)
    throw std::runtime_error("a division by 0");
  if (!isSigned)
    return isQuotient ? x / y : x % y;
  auto a = static_cast<int64_t>(x), b = static_cast<int64_t>(y);
  if (b == -1)
    return isQuotient ? 0 - x : 0;
  return static_cast<uint64_t>(isQuotient ? a / b : a % b);
}

uint64_t onIntegers(const Instruction &instruction, const uint64_t *values) {
  const Type &type = instruction.type;
  std::string_view opcode = instruction.opcode();
  uint64_t x = values[0], y = values[1], z = values[2];
  uint32_t bits = type.bits * type.elements;
  bool isSigned = type.kind == Type::Signed;
  auto extended = [&](uint64_t value) {
    return isSigned ? signExtended(value, bits) : lowBits(value, bits);
  };
  auto less = [&](uint64_t a, uint64_t b) {
    return isSigned ? static_cast<int64_t>(a) < static_cast<int64_t>(b) : a < b;
  };
  if (opcode == "mul")
    return multiply(instruction, x, y);
  if (opcode == "mad") {
    uint64_t sum = multiply(instruction, x, y) + z;
    return lowBits(sum, instruction.has("wide") ? 2 * bits : bits);
  }
  uint64_t result;
  if (opcode == "mov" || opcode == "cvta")
    result = x;
  else if (opcode == "add")
    result = x + y;
  else if (opcode == "sub")
    result = x - y;
  else if (opcode == "neg")
    result = 0 - x;
  else if (opcode == "and")
    result = x & y;
  else if (opcode == "or")
    result = x | y;
  else if (opcode == "xor")
    result = x ^ y;
  else if (opcode == "not")
    result = ~x;
  else if (opcode == "shl")
    result = lowBits(y, 32) >= bits ? 0 : x << lowBits(y, 32);
  else if (opcode == "shr") {
    uint64_t count = std::min<uint64_t>(lowBits(y, 32), isSigned ? bits - 1 : 64);
    result = isSigned        ? static_cast<uint64_t>(static_cast<int64_t>(extended(x)) >> count)
             : count >= bits ? 0
                             : lowBits(x, bits) >> count;
  } else if (opcode == "selp")
    result = z != 0 ? x : y;
  else if (opcode == "bfe" && !isSigned) // y: first bit, z: number of bits
    result = (y & 0xFF) >= bits ? 0 : lowBits(lowBits(x, bits) >> (y & 0xFF), z & 0xFF);
  else if (opcode == "bfi") { // x into y: z is the first bit, the last operand the number of bits
    uint64_t mask = (z & 0xFF) >= bits ? 0 : lowBits(~uint64_t{0}, values[3] & 0xFF) << (z & 0xFF);
    result = (y & ~mask) | (x << (z & 0xFF) & mask);
  } else if (opcode == "prmt")
    result = permute(x, y, z);
  else if (opcode == "max" || opcode == "min")
    result = less(extended(x), extended(y)) == (opcode == "max") ? y : x;
  else if (opcode == "div" || opcode == "rem")
    result = divide(opcode == "div", isSigned, extended(x), extended(y));
  else if (opcode == "popc")
    result = static_cast<uint64_t>(std::popcount(lowBits(x, bits)));
  else if (opcode == "shf") { // funnel: the high half of (y, x) << z, or the low one of it >> z
    uint64_t both = lowBits(x, 32) | lowBits(y, 32) << 32, count = z & 31;
    result = instruction.has("l") ? both << count >> 32 : both >> count;
  } else
    unknown(instruction);
  return lowBits(result, bits);
}

//===------------------------------------------------------------------------------------------===//
// Comparisons and conversions
//===------------------------------------------------------------------------------------------===//

template <typename T> bool holds(const Instruction &instruction, T x, T y) {
  const std::string &comparison = instruction.name[1];
  if (comparison == "eq" || comparison == "equ")
    return x == y;
  if (comparison == "ne" || comparison == "neu")
    return x != y;
  if (comparison == "lt" || comparison == "lo" || comparison == "ltu")
    return x < y;
  if (comparison == "le" || comparison == "ls" || comparison == "leu")
    return x <= y;
  if (comparison == "gt" || comparison == "hi" || comparison == "gtu")
    return x > y;
  if (comparison == "ge" || comparison == "hs" || comparison == "geu")
    return x >= y;
  unknown(instruction);
}

bool isFloat(const Type &type) { return type.kind == Type::Float || type.kind == Type::BFloat; }

float widened(uint64_t bits, const Type &type) {
  auto narrow = static_cast<uint16_t>(bits);
  return type.kind == Type::BFloat ? std::bit_cast<float>(uint32_t{narrow} << 16)
                                   : static_cast<float>(std::bit_cast<_Float16>(narrow));
}

uint64_t compare(const Instruction &instruction, const uint64_t *values) {
  const Type &type = instruction.type;
  uint64_t x = lowBits(values[0], type.bits), y = lowBits(values[1], type.bits);
  if (isFloat(type)) {
    if (type.bits == 64)
      unknown(instruction);
    const bool isNarrow = type.bits == 16;
    const float a = isNarrow ? widened(x, type) : asFloat(x),
                b = isNarrow ? widened(y, type) : asFloat(y);
    bool isUnordered = std::isnan(a) || std::isnan(b);
    const std::string &comparison = instruction.name[1];
    if (comparison == "nan" || comparison == "num")
      return isUnordered == (comparison == "nan");
    if (isUnordered) // those that end in u hold
      return comparison.size() == 3;
    return holds(instruction, a, b);
  }
  if (type.kind == Type::Signed)
    return holds(instruction, static_cast<int64_t>(signExtended(x, type.bits)),
                 static_cast<int64_t>(signExtended(y, type.bits)));
  return holds(instruction, x, y);
}

uint64_t narrowed(float value, const Type &type) {
  if (type.kind != Type::BFloat)
    return std::bit_cast<uint16_t>(static_cast<_Float16>(value));
  auto bits = std::bit_cast<uint32_t>(value);
  return value != value ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

/// One or two narrow floats at a time. The f32 result of one operation has enough bits to be
/// rounded again.
uint64_t onNarrowFloats(const Instruction &instruction, const uint64_t *values) {
  const Type &type = instruction.type;
  uint64_t result = 0;
  for (uint32_t shift = 0; shift < 16 * type.elements; shift += 16) {
    auto value = [&](int operand) { return widened(values[operand] >> shift, type); };
    result |= narrowed(onFloats(instruction, value(0), value(1), value(2)), type) << shift;
  }
  return result;
}

uint64_t integerOf(float value, const Type &to) {
  // What the type cannot hold becomes its nearest bound, NaN becomes 0.
  if (std::isnan(value))
    return 0;
  bool isSigned = to.kind == Type::Signed;
  double low = isSigned ? -std::ldexp(1.0, static_cast<int>(to.bits) - 1) : 0;
  double above = std::ldexp(1.0, static_cast<int>(to.bits) - (isSigned ? 1 : 0));
  if (value < low)
    return lowBits(static_cast<uint64_t>(static_cast<int64_t>(low)), to.bits);
  if (value >= above)
    return lowBits(~uint64_t{0}, to.bits - (isSigned ? 1 : 0));
  double whole = std::trunc(static_cast<double>(value));
  return lowBits(isSigned ? static_cast<uint64_t>(static_cast<int64_t>(whole))
                          : static_cast<uint64_t>(whole),
                 to.bits);
}

uint64_t convert(const Instruction &instruction, const uint64_t *values) {
  const Type &to = instruction.type, &from = instruction.from;
  if (to.elements == 2) // the first operand goes to the high half
    return narrowed(asFloat(values[0]), to) << 16 | narrowed(asFloat(values[1]), to);
  if (from.bits == 64 && isFloat(from)) {
    if (to.bits != 32 || !isFloat(to))
      unknown(instruction);
    return bitsOf(static_cast<float>(asDouble(values[0])));
  }
  if (isFloat(from) && to.bits == 64 && isFloat(to))
    return std::bit_cast<uint64_t>(static_cast<double>(asFloat(values[0])));
  if (isFloat(from)) {
    float value = from.bits == 16 ? widened(values[0], from) : asFloat(values[0]);
    if (to.kind == Type::Float && to.bits == 32)
      return bitsOf(instruction.has("rmi") ? std::floor(value) : value);
    return isFloat(to) ? narrowed(value, to) : integerOf(value, to);
  }
  bool isSigned = from.kind == Type::Signed;
  uint64_t value = isSigned ? signExtended(values[0], from.bits) : lowBits(values[0], from.bits);
  if (to.kind == Type::Float && to.bits == 32)
    return bitsOf(isSigned ? static_cast<float>(static_cast<int64_t>(value))
                           : static_cast<float>(value));
  if (to.kind == Type::Float && to.bits == 64)
    return std::bit_cast<uint64_t>(isSigned ? static_cast<double>(static_cast<int64_t>(value))
                                            : static_cast<double>(value));
  if (isFloat(to))
    unknown(instruction);
  return lowBits(value, to.bits);
}

} // namespace

uint64_t compute(const Instruction &instruction, const uint64_t *values) {
  std::string_view opcode = instruction.opcode();
  if (opcode == "cvt")
    return convert(instruction, values);
  if (opcode == "setp")
    return compare(instruction, values);
  if (instruction.type.kind == Type::Predicate)
    return opcode == "not" ? values[0] == 0 : onIntegers(instruction, values);
  bool isMove = opcode == "mov" || opcode == "selp";
  if (!isFloat(instruction.type) || isMove)
    return onIntegers(instruction, values);
  if (instruction.type.bits == 64)
    return onDoubles(instruction, values);
  if (instruction.type.bits == 16)
    return onNarrowFloats(instruction, values);
  return bitsOf(onFloats(instruction, asFloat(values[0]), asFloat(values[1]), asFloat(values[2])));
}

} // namespace deepshard::ptx
