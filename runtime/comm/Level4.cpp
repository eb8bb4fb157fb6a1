//===- Level4.cpp - the loops of the collectives for x86-64-v4
//---------------------------------===//

#include "runtime/comm/Loops.h"

#include <immintrin.h>

using namespace deepshard::runtime::comm;

namespace {
using Line = __m512i;
inline Line loadLine(const char *from) {
  return _mm512_loadu_si512(reinterpret_cast<const __m512i *>(from));
}
inline void streamLine(char *to, Line line) {
  _mm512_stream_si512(reinterpret_cast<__m512i *>(to), line);
}
} // namespace

// clang-format off
#include "runtime/comm/Loops.inc"
// clang-format on

const Loops &deepshard::runtime::comm::loopsLevel4() { return kLoops; }
