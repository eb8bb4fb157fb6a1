//===- Order.cpp - which sample comes when ----------------------------------------------------===//

#include "runtime/data/Order.h"

#include <algorithm>
#include <bit>

namespace deepshard::runtime {

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection that mixes all bits.
static uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15u;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

Permutation::Permutation(uint64_t size, uint64_t key) : size(size), key(key) {
  unsigned bits = size > 1 ? static_cast<unsigned>(std::bit_width(size - 1)) : 0;
  halfBits = std::max(1u, (bits + 1) / 2);
}

uint64_t Permutation::encrypt(uint64_t value) const {
  constexpr uint64_t kRounds = 6;
  uint64_t mask = (uint64_t{1} << halfBits) - 1;
  uint64_t left = value >> halfBits;
  uint64_t right = value & mask;
  for (uint64_t round = 0; round < kRounds; ++round) {
    uint64_t next = left ^ (mix(mix(key + round) ^ right) & mask);
    left = right;
    right = next;
  }
  return left << halfBits | right;
}

uint64_t Permutation::operator[](uint64_t index) const {
  uint64_t value = encrypt(index);
  while (value >= size)
    value = encrypt(value);
  return value;
}

uint64_t SampleOrder::sampleAt(uint64_t position) const {
  uint64_t index = position % samples;
  if (!isShuffled)
    return index;
  return Permutation(samples, mix(seed) ^ mix(~(position / samples)))[index];
}

} // namespace deepshard::runtime
