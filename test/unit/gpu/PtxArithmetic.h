//===- PtxArithmetic.h - what instructions of PTX compute -------------------------------------===//

#ifndef DEEPSHARD_TEST_UNIT_GPU_PTXARITHMETIC_H
#define DEEPSHARD_TEST_UNIT_GPU_PTXARITHMETIC_H

#include "Ptx.h"

namespace deepshard::ptx {

constexpr uint64_t lowBits(uint64_t value, uint32_t bits) {
  return bits >= 64 ? value : value & ((uint64_t{1} << bits) - 1);
}
constexpr uint64_t signExtended(uint64_t value, uint32_t bits) {
  return static_cast<uint64_t>(static_cast<int64_t>(value << (64 - bits)) >> (64 - bits));
}

/// The result of an instruction without side effects. `values` are those of the operands behind the
/// first. Approximations are taken to be rounded correctly. Throws std::runtime_error at what it
/// does not know.
uint64_t compute(const Instruction &instruction, const uint64_t *values);

} // namespace deepshard::ptx

#endif // DEEPSHARD_TEST_UNIT_GPU_PTXARITHMETIC_H
