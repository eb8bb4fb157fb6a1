//===- Philox.h - counter-based random numbers ------------------------------------------------===//
//
// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers, SC 2011): four words from a
// 128-bit counter and a 64-bit key. Dropout takes one word per element, so that whether an element
// is kept depends on its place in the logical tensor only, not on who computes it. Everything has
// internal linkage: files compiled for different levels include it.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_PHILOX_H
#define DEEPSHARD_RUNTIME_KERNELS_PHILOX_H

#include "runtime/kernels/HostDevice.h"

#include <cstdint>

namespace deepshard::runtime {
namespace {

struct PhiloxWords {
  uint32_t word[4];
};

[[maybe_unused]] inline DS_HOST_DEVICE PhiloxWords philox4x32(PhiloxWords counter, uint32_t key0,
                                                              uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53} * counter.word[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57} * counter.word[2];
    counter = {{static_cast<uint32_t>(product1 >> 32) ^ counter.word[1] ^ key0,
                static_cast<uint32_t>(product1),
                static_cast<uint32_t>(product0 >> 32) ^ counter.word[3] ^ key1,
                static_cast<uint32_t>(product0)}};
    key0 += 0x9E3779B9; // the golden ratio
    key1 += 0xBB67AE85; // sqrt(3) - 1
  }
  return counter;
}

/// The dropout mask of one op in one step. The key is the seed; the counter is (element >> 2, id,
/// step); element e takes word e & 3; u = word / 2^32 and the element is kept if u >= p.
struct DropoutMask {
  uint64_t seed;
  uint32_t id;
  uint32_t step;
  uint64_t base;      // index of element 0: micro-batch * elements of the logical tensor
  uint64_t threshold; // a word below it drops: ceil(p * 2^32), for every p in [0, 1]

  /// `counter` is {seed, step, micro-batch}; `elements` those of the logical tensor.
  DS_HOST_DEVICE DropoutMask(const int64_t *counter, double p, int64_t id, int64_t elements)
      : seed(static_cast<uint64_t>(counter[0])), id(static_cast<uint32_t>(id)),
        step(static_cast<uint32_t>(counter[1])),
        base(static_cast<uint64_t>(counter[2]) * static_cast<uint64_t>(elements)),
        threshold(thresholdOf(p)) {}

  DS_HOST_DEVICE PhiloxWords words(uint64_t group) const {
    return philox4x32(
        {{static_cast<uint32_t>(group), static_cast<uint32_t>(group >> 32), id, step}},
        static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
  }

  /// Whether element `index` (row-major in the logical tensor) is kept.
  DS_HOST_DEVICE bool keeps(int64_t index) const {
    const uint64_t element = base + static_cast<uint64_t>(index);
    return words(element >> 2).word[element & 3] >= threshold;
  }

  /// Writes 1 (kept) or 0 for the `count` elements from `index` on; kGroups groups of four at a
  /// time, which the compiler turns into vector code.
  void keepRow(int64_t index, int64_t count, uint8_t *kept) const {
    const uint64_t first = base + static_cast<uint64_t>(index);
    const uint64_t end = first + static_cast<uint64_t>(count);
    for (uint64_t group = first >> 2; group << 2 < end; group += kGroups) {
      uint8_t all[4 * kGroups];
      keepGroups(group, all);
      const uint64_t whole = group << 2;
      const uint64_t begin = whole > first ? whole : first;
      const uint64_t limit = whole + 4 * kGroups < end ? whole + 4 * kGroups : end;
      for (uint64_t element = begin; element < limit; ++element)
        kept[element - first] = all[element - whole];
    }
  }

private:
  static constexpr int kGroups = 16;

  static DS_HOST_DEVICE uint64_t thresholdOf(double p) {
    const double scaled = p * 4294967296.0;
    const auto truncated = static_cast<uint64_t>(scaled);
    return truncated + (static_cast<double>(truncated) < scaled ? 1 : 0);
  }

  /// Whether the elements of kGroups consecutive groups are kept.
  void keepGroups(uint64_t group, uint8_t (&kept)[4 * kGroups]) const {
    uint32_t x[4][kGroups]; // word w of group `group` + g
    for (int g = 0; g < kGroups; ++g) {
      x[0][g] = static_cast<uint32_t>(group + g);
      x[1][g] = static_cast<uint32_t>((group + g) >> 32);
      x[2][g] = id;
      x[3][g] = step;
    }
    auto key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
      for (int g = 0; g < kGroups; ++g) {
        const uint64_t product0 = uint64_t{0xD2511F53} * x[0][g];
        const uint64_t product1 = uint64_t{0xCD9E8D57} * x[2][g];
        x[0][g] = static_cast<uint32_t>(product1 >> 32) ^ x[1][g] ^ key0;
        x[1][g] = static_cast<uint32_t>(product1);
        x[2][g] = static_cast<uint32_t>(product0 >> 32) ^ x[3][g] ^ key1;
        x[3][g] = static_cast<uint32_t>(product0);
      }
      key0 += 0x9E3779B9;
      key1 += 0xBB67AE85;
    }
    for (int w = 0; w < 4; ++w)
      for (int g = 0; g < kGroups; ++g)
        kept[4 * g + w] = x[w][g] >= threshold;
  }
};

} // namespace
} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_KERNELS_PHILOX_H
