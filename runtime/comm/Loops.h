//===- Loops.h - the inner loops of the collectives, per CPU level ----------------------------===//
//
// Loops.inc is compiled once per level, by Level3.cpp and Level4.cpp; this is what it offers. Every
// level gives the same bits. Plain pointers and numbers only: an inline function of the C++ library
// that a wide file instantiates could be the copy that the linker keeps for everybody.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_COMM_LOOPS_H
#define DEEPSHARD_RUNTIME_COMM_LOOPS_H

#include <cstdint>

namespace deepshard::runtime::comm {

/// What can be reduced, and how; rows and columns of Loops::reduce.
enum Element { kF32, kF64, kBF16, kF16, kI64, kI32, kElements };
enum Operation { kSum, kMax, kMin, kOperations };

/// Whether stores leave a copy in the cache, or go past it (which saves reading the line first).
enum class Stores { Cached, Streaming };

struct Loops {
  /// Reduces `count` elements of `ninputs` >= 2 inputs by the tree of Communicator.h and writes the
  /// result to each of `noutputs` outputs. An output may equal an input. All outputs have the same
  /// address modulo 64.
  void (*reduce[kElements][kOperations])(const void *const *inputs, int ninputs,
                                         void *const *outputs, int noutputs, int64_t count,
                                         Stores stores);
  /// Copies with streaming stores; seen by others only after `fence`.
  void (*stream)(char *to, const char *from, int64_t bytes);
  void (*fence)();
};

const Loops &loopsLevel3(); // x86-64-v3
const Loops &loopsLevel4(); // x86-64-v4
/// Those of the highest level that this machine offers.
const Loops &bestLoops();

} // namespace deepshard::runtime::comm

#endif // DEEPSHARD_RUNTIME_COMM_LOOPS_H
