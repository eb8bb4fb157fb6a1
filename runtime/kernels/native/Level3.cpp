//===- Level3.cpp - the native loops for x86-64-v3 --------------------------------------------===//

#include "runtime/kernels/AdamW.h"
#include "runtime/kernels/Philox.h"
#include "runtime/kernels/native/Loops.h"

#include <immintrin.h>
#include <utility>

using namespace deepshard::runtime;
using namespace deepshard::runtime::native;

namespace {
constexpr int kWidth = 8; // floats in a vector
constexpr int kRows = 6;  // 16 vector registers: 12 sums, 2 columns, 1 element
} // namespace

// clang-format off
#include "runtime/kernels/native/Vector.inc"
#include "runtime/kernels/native/Products.inc"
#include "runtime/kernels/native/Dropout.inc"
#include "runtime/kernels/native/Attention.inc"
#include "runtime/kernels/native/CrossEntropy.inc"
#include "runtime/kernels/native/Update.inc"
// clang-format on

template <typename T> static constexpr ElementLoops elementLoops() {
  return {forward<T>, backward<T>, logSumExp<T>, crossEntropyGrad<T>, crossEntropyWithGrad<T>,
          adamw<T>};
}

const Loops &deepshard::runtime::native::loopsLevel3() {
  static constexpr Loops kLoops = {forwardScratch,       backwardScratch,     elementLoops<float>(),
                                   elementLoops<Bf16>(), elementLoops<F16>(), sumSquares};
  return kLoops;
}
