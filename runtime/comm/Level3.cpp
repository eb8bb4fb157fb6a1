//===- Level3.cpp - the loops of the collectives for x86-64-v3
//---------------------------------===//

#include "runtime/comm/Loops.h"

#include <immintrin.h>

using namespace deepshard::runtime::comm;

namespace {
using Line = __m256i;
inline Line loadLine(const char *from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from));
}
inline void streamLine(char *to, Line line) {
  _mm256_stream_si256(reinterpret_cast<__m256i *>(to), line);
}
} // namespace

// clang-format off
#include "runtime/comm/Loops.inc"
// clang-format on

const Loops &deepshard::runtime::comm::loopsLevel3() { return kLoops; }
