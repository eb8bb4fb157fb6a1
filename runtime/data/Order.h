//===- Order.h - which sample comes when ------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_DATA_ORDER_H
#define DEEPSHARD_RUNTIME_DATA_ORDER_H

#include <cstdint>

namespace deepshard::runtime {

/// A permutation of 0 .. size - 1 that depends on a key, computed element by element without a
/// table: a Feistel network over the next power of four, walked until the result lies inside (Black
/// and Rogaway, "Ciphers with arbitrary finite domains", 2002). At most four steps are expected.
class Permutation {
public:
  Permutation(uint64_t size, uint64_t key);
  uint64_t operator[](uint64_t index) const;

private:
  uint64_t encrypt(uint64_t value) const;

  uint64_t size;
  uint64_t key;
  unsigned halfBits;
};

/// The order of the samples over a whole run. Position p, counted from the start of the run over
/// all ranks, lies in epoch p / samples; each epoch has its own permutation. Without shuffling the
/// file's order repeats.
class SampleOrder {
public:
  SampleOrder(uint64_t samples, uint64_t seed, bool shuffle)
      : samples(samples), seed(seed), isShuffled(shuffle) {}
  uint64_t sampleAt(uint64_t position) const;

private:
  uint64_t samples;
  uint64_t seed;
  bool isShuffled;
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_DATA_ORDER_H
